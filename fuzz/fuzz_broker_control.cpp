// Administration requests of anybody who may send them: the first line is the command, the rest the payload.
// Each gets one answer, of JSON; who asks is never thrown out by it, and an error names its cause.
#include "broker/control.h"
#include "fuzz/require.h"
#include "mqtt/codec.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

using namespace brim;
using namespace brim::broker;

namespace {

using brim::fuzz::require;

constexpr Mono start{std::chrono::seconds{1'000}};
constexpr std::string_view asker = "admin";

class Host final : public mqtt::BrokerHost, public ControlHost {
public:
    void send(mqtt::ConnId, ByteView) override {}

    void close(mqtt::ConnId) override {}

    void pause(mqtt::ConnId, bool) override {}

    void on_connect(mqtt::ConnId conn, const mqtt::Connect& connect) override {
        mqtt::Admission admission;
        admission.session_key = connect.client_id;
        admission.principal = "user:" + std::string(connect.client_id);
        broker->accept(conn, admission, start);
    }

    bool authorise(const mqtt::ConnView&, mqtt::Action, std::string_view) override { return true; }

    mqtt::Verdict on_publish(const mqtt::ConnView&, const MessagePtr&, mqtt::AckToken) override {
        return mqtt::Verdict::route;
    }

    void on_up(const mqtt::ConnView& who) override { online.emplace(who.session_key); }

    void on_down(const mqtt::ConnView& who, mqtt::Ended) override {
        online.erase(std::string(who.session_key));
    }

    void on_dropped(std::string_view, std::string_view, std::uint64_t) override {}

    mqtt::Broker& core() override { return *broker; }

    WallTime wall() override { return WallTime{1'800'000'000'000}; }

    Json session_json(const mqtt::SessionView& session) override {
        return Json::object({{"clientId", session.who.client_id}, {"online", session.is_online}});
    }

    Json stats_json() override { return Json::object(); }

    void answer(std::string_view session_key, const Message&, const Json& body) override {
        ++answers;
        require(session_key == asker && body.is_object());
        require(Json::parse(body.text()).has_value());
        const Json& error = body["error"];
        require(error.is_null() || !error["cause"].as_string().empty());
    }

    Result<void> start_trace(const TraceOrder& order) override {
        require(order.asker == asker && !order.client_id.empty());
        require(order.length.count() >= 1 && order.length.count() <= ControlLimits::trace_seconds_max);
        return {};
    }

    mqtt::Broker* broker = nullptr;
    std::set<std::string> online;
    int answers = 0;
};

void connect(mqtt::Broker& broker, std::string_view client_id) {
    mqtt::Connect packet;
    packet.client_id = client_id;
    Bytes bytes;
    mqtt::encode_connect(bytes, packet);
    mqtt::Subscribe subscribe;
    subscribe.packet_id = 1;
    subscribe.filters.push_back({"a/#", 1, false, false, mqtt::RetainHandling::send});
    mqtt::encode_subscribe(bytes, subscribe, packet.version);
    broker.data(broker.open(start), bytes, start);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::string_view command = text.substr(0, text.find('\n'));
    static Host host;
    static mqtt::Broker broker(host, {});
    host.broker = &broker;
    for (const std::string_view client_id : {asker, std::string_view("b"), std::string_view("c")}) {
        if (!host.online.contains(std::string(client_id)))
            connect(broker, client_id);
    }
    require(host.online.size() == 3);
    Control control(host);
    Message request;
    request.topic = std::string(Control::root).append(command);
    request.payload = text.substr(std::min(size, command.size() + 1));
    mqtt::ConnView who;
    who.session_key = who.client_id = asker;
    host.answers = 0;
    control.handle(who, request, start);
    require(host.answers == 1);
    require(host.online.contains(std::string(asker)) && host.online.size() >= 2);
    return 0;
}
