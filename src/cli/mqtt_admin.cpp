// brim mqtt conns, kick, trace, stats: requests below $CONTROL/broker/v1/ and their answers.

#include "cli/mqtt_commands.h"
#include "cli/mqtt_session.h"

#include <algorithm>
#include <cstdio>

namespace brim::cli {

namespace {

constexpr std::string_view control_root = "$CONTROL/broker/v1/";
constexpr std::chrono::seconds answer_wait_max{10};

/// One request after the other until all is there. A trace goes on until its end or Ctrl-C.
class Administrator final : private mqtt::LinkEvents {
public:
    Administrator(MqttSession& session, const AdminOptions& options, Format format)
        : session_(session), options_(options), format_(format), link_(session.link(*this)),
          wait_(session.loop()) {}

    Exit run() {
        link_->start();
        return session_.run([this] { session_.finish(*link_, Exit::ok); });
    }

private:
    mqtt::ClientOptions login() override { return session_.target().login; }

    void on_up(const mqtt::Connack&) override { ask(); }

    void on_down(const Error& why, std::chrono::milliseconds) override {
        if (!session_.finishing())
            session_.finish(*link_, complain(explained(why, session_.target())));
    }

    void on_subscribed(std::string_view, mqtt::ReasonCode) override {}

    std::string command() const {
        const bool is_one = options_.command == "sessions" && !options_.client_id.empty();
        return is_one ? "session" : options_.command;
    }

    void ask() {
        Json wanted = Json::object();
        if (!options_.client_id.empty())
            wanted.set("clientId", options_.client_id);
        if (!options_.user.empty())
            wanted.set("user", options_.user);
        if (options_.online_only)
            wanted.set("online", true);
        if (options_.forget)
            wanted.set("forget", true);
        if (command() == "trace")
            wanted.set("seconds", options_.seconds);
        if (command() == "sessions") {
            wanted.set("limit", 200);
            wanted.set("from", next_);
        }
        Message request = session_.target().publish;
        request.topic = std::string(control_root) + command();
        request.payload = wanted.text();
        request.response_topic = std::string(control_root) + "response";
        request.qos = 1;
        if (const auto sent = link_->client().publish(request, 1, link_->now()); !sent)
            return session_.finish(*link_, complain(sent.error()));
        wait_.start(answer_wait_max, [this] { unanswered(); });
    }

    void unanswered() {
        session_.finish(
            *link_,
            complain(
                {Errc::timeout,
                 "administration of " + session_.target().to.text(),
                 "there is no answer",
                 "ask a Brim broker (brim-hub or brim-edge with auth = \"users\"); others do not know these "
                 "requests"}
            )
        );
    }

    void on_settled(mqtt::PublishTag, mqtt::ReasonCode reason) override {
        if (!mqtt::is_failure(reason))
            return;
        session_.finish(
            *link_,
            complain(
                {Errc::denied,
                 "administration of " + session_.target().to.text(),
                 "the server refused the request: " + std::string(mqtt::reason_text(reason)),
                 "this user needs \"topic write " + std::string(control_root) + "#\" in the broker's ACL file"
                }
            )
        );
    }

    bool on_message(const MessagePtr& message, std::uint16_t) override {
        if (session_.finishing() || !message->topic.starts_with(control_root))
            return true;
        auto answer = Json::parse(message->payload, {.bytes_max = 1'048'576, .depth_max = 8});
        if (!answer)
            return true;
        wait_.stop();
        if (const Json* error = answer->find("error"))
            session_.finish(*link_, refused(*error));
        else if (command() == "sessions")
            take_page(*answer);
        else if (command() == "trace")
            show_traced(*answer);
        else
            show(*answer);
        return true;
    }

    static Exit refused(const Json& error) {
        Errc code = Errc::invalid;
        for (const Errc each : {Errc::not_found, Errc::conflict, Errc::busy, Errc::full, Errc::malformed}) {
            if (errc_name(each) == error["code"].as_string())
                code = each;
        }
        return complain(
            {code,
             std::string(error["object"].as_string()),
             std::string(error["cause"].as_string()),
             std::string(error["fix"].as_string())}
        );
    }

    void take_page(const Json& answer) {
        for (const Json& each : answer["sessions"].items())
            rows_.push_back(each);
        next_ = answer["next"].as_int();
        if (next_ != 0)
            return ask();
        if (format_ == Format::json) {
            print_json(Json(std::move(rows_)));
        } else {
            print_table(
                {{"CLIENT", "clientId"},
                 {"USER", "principal"},
                 {"ONLINE", "online"},
                 {"PEER", "peer"},
                 {"MQTT", "protocol"},
                 {"SUBS", "subscriptions"},
                 {"QUEUED", "queued"},
                 {"INFLIGHT", "inflightOut"},
                 {"SLOW", "slow"},
                 {"DURABLE", "durable"}},
                Json(std::move(rows_)),
                session_.loop().clock().wall().ms
            );
        }
        session_.finish(*link_, Exit::ok);
    }

    void show(const Json& answer) {
        if (format_ == Format::json) {
            print_json(answer);
        } else {
            for (const auto& [name, value] : answer.members())
                print_member(name, value);
        }
        session_.finish(*link_, Exit::ok);
    }

    static void print_member(const std::string& name, const Json& value) {
        const std::string shown = value.is_string() ? std::string(value.as_string()) : value.text();
        std::printf("%-18s %s\n", printable(name).c_str(), printable(shown).c_str());
    }

    void show_traced(const Json& event) {
        if (event.find("tracing") != nullptr) {
            std::fprintf(
                stderr, "tracing %s for %u s; Ctrl-C ends it\n", options_.client_id.c_str(), options_.seconds
            );
            return;
        }
        if (event["event"].as_string() == "end")
            return session_.finish(*link_, Exit::ok);
        std::string line = format_ == Format::json ? event.text() : traced_line(event);
        line += '\n';
        std::fwrite(line.data(), 1, line.size(), stdout);
        std::fflush(stdout);
    }

    /// "12:00:00.123  in  PUBLISH     topic=a qos=1 ...".
    static std::string traced_line(const Json& event) {
        std::string line(event["time"].as_string());
        const std::string_view direction = event["direction"].as_string();
        line += direction == "in" ? "  ->  " : direction == "out" ? "  <-  " : "  --  ";
        std::string what(event["packet"].as_string());
        if (what.empty())
            what = event["event"].as_string();
        what.resize(std::max<std::size_t>(what.size(), 12), ' ');
        line += what;
        for (const auto& [name, value] : event.members()) {
            if (name == "time" || name == "direction" || name == "packet" || name == "event" ||
                name == "clientId")
                continue;
            line += ' ';
            line += name;
            line += '=';
            line += value.is_string() ? value.as_string() : value.text();
        }
        return printable(line);
    }

    MqttSession& session_;
    const AdminOptions& options_;
    const Format format_;
    std::unique_ptr<mqtt::Link> link_;
    io::Timer wait_;
    Json::Array rows_;
    std::int64_t next_ = 0;
};

} // namespace

Exit mqtt_admin(const AdminOptions& options, Format format) {
    Exit exit = Exit::ok;
    const auto session = MqttSession::make(options.words, exit);
    if (!session)
        return exit;
    if (session->target().login.version != mqtt::ProtocolVersion::v5) {
        return static_cast<Exit>(
            complain_of_words({Errc::invalid, "-V", "administration needs MQTT 5", "leave -V away"})
        );
    }
    return Administrator(*session, options, format).run();
}

} // namespace brim::cli
