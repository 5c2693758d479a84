// QoS 1 to a session that is kept, acknowledged after the group commit on the real disk, beside the same
// broker with sessions in memory only. No sockets: publishers with one message outstanding each, one
// subscriber that acknowledges at once.
//
//   durable_bench [--seconds S] [--rounds N] [--folder DIR] [--json FILE]

#include "io/real_env.h"
#include "mqtt/broker.h"
#include "mqtt/codec.h"
#include "mqtt/session_log.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace {

using namespace brim;
using namespace brim::mqtt;

[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "durable_bench: %s\n", why.c_str());
    std::exit(1);
}

/// Publishers, subscriber and broker on one loop; what the broker sends is answered at the end of the turn.
class Run final : public BrokerHost {
public:
    Run(io::RealEnv& env, std::unique_ptr<SessionLog> log, std::size_t publishers)
        : env_(env), log_(std::move(log)), broker_(*this, {}, log_.get()), end_(env.loop()) {
        if (log_)
            log_->attach(broker_);
        Connect packet;
        packet.client_id = "subscriber";
        packet.session_expiry_s = log_ ? 3'600 : 0;
        packet.topic_alias_max = 0;
        subscriber_ = join(packet);
        packet.session_expiry_s = 0;
        std::vector<std::string> names;
        for (std::size_t i = 0; i < publishers; ++i)
            names.push_back("publisher" + std::to_string(i));
        for (const std::string& name : names) {
            packet.client_id = name;
            publishers_.push_back(join(packet));
        }
        const Bytes payload(256, 'x');
        encode_plain_publish(publish_, "bench/topic", payload, 2, 1, ProtocolVersion::v5);
    }

    /// Acknowledged messages a second.
    double measure(double seconds) {
        Subscribe packet;
        packet.packet_id = 1;
        packet.filters.push_back({"bench/#", 1, false, false, RetainHandling::never});
        Bytes bytes;
        encode_subscribe(bytes, packet, ProtocolVersion::v5);
        broker_.data(subscriber_, bytes, now());
        const auto began = std::chrono::steady_clock::now();
        end_.start(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)), [this] {
            is_over_ = true;
            env_.loop().stop();
        });
        for (const ConnId id : publishers_)
            broker_.data(id, publish_, now());
        env_.loop().run();
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        return static_cast<double>(acked_) / took.count();
    }

    void send(ConnId conn, ByteView bytes) override {
        Bytes& out = output(conn);
        if (out.empty())
            dirty_.push_back(conn);
        out.append(bytes);
        if (is_scheduled_)
            return;
        is_scheduled_ = true;
        env_.loop().post([this] {
            is_scheduled_ = false;
            answer();
        });
    }

    void close(ConnId) override { give_up("the broker closed a connection"); }

    void pause(ConnId, bool) override {}

    void on_connect(ConnId conn, const Connect& connect) override {
        Admission admission;
        admission.session_key = connect.client_id;
        broker_.accept(conn, admission, now());
    }

    bool authorise(const ConnView&, Action, std::string_view) override { return true; }

    Verdict on_publish(const ConnView&, const MessagePtr&, AckToken) override { return Verdict::route; }

    void on_up(const ConnView&) override {}

    void on_down(const ConnView&, Ended) override {}

    void on_dropped(std::string_view, std::string_view reason, std::uint64_t) override {
        give_up("dropped: " + std::string(reason));
    }

private:
    Mono now() { return env_.loop().now(); }

    ConnId join(const Connect& packet) {
        const ConnId id = broker_.open(now());
        Bytes bytes;
        encode_connect(bytes, packet);
        broker_.data(id, bytes, now());
        return id;
    }

    Bytes& output(ConnId conn) {
        const std::size_t place = static_cast<std::uint32_t>(conn);
        if (outputs_.size() <= place)
            outputs_.resize(place + 1);
        return outputs_[place];
    }

    void answer() {
        for (const ConnId id : std::exchange(dirty_, {})) {
            const Bytes bytes = std::exchange(output(id), {});
            Framer framer(packet_bytes_format_max);
            ByteView rest = bytes;
            Bytes answers;
            for (auto frame = framer.next(rest); frame && *frame; frame = framer.next(rest))
                answer_one(id, **frame, answers);
            if (!answers.empty() && !is_over_)
                broker_.data(id, answers, now());
        }
    }

    void answer_one(ConnId id, const Frame& frame, Bytes& answers) {
        if (frame.type == PacketType::puback) {
            ++acked_;
            answers += publish_;
        } else if (frame.type == PacketType::publish && id == subscriber_) {
            const std::size_t topic_bytes =
                static_cast<std::size_t>(frame.body[0]) << 8 | static_cast<unsigned char>(frame.body[1]);
            answers += ByteView("\x40\x02", 2);
            answers += frame.body.substr(2 + topic_bytes, 2);
        }
    }

    io::RealEnv& env_;
    std::unique_ptr<SessionLog> log_;
    Broker broker_;
    io::Timer end_;
    ConnId subscriber_ = 0;
    std::vector<ConnId> publishers_;
    Bytes publish_;
    std::vector<Bytes> outputs_;
    std::vector<ConnId> dirty_;
    bool is_scheduled_ = false;
    bool is_over_ = false;
    std::uint64_t acked_ = 0;
};

struct Options {
    double seconds = 1;
    int rounds = 5;
    std::string folder = ".";
    std::string json;
};

Options parse(int argc, char** argv) {
    Options options;
    for (int at = 1; at + 1 < argc; at += 2) {
        const std::string_view name = argv[at];
        if (name == "--json")
            options.json = argv[at + 1];
        else if (name == "--folder")
            options.folder = argv[at + 1];
        else if (name == "--seconds")
            options.seconds = std::atof(argv[at + 1]);
        else if (name == "--rounds")
            options.rounds = std::atoi(argv[at + 1]);
        else
            give_up("unknown option " + std::string(name));
    }
    return options;
}

double run_once(const Options& options, std::size_t publishers, bool is_durable) {
    Log::Options quiet;
    quiet.level = LogLevel::error;
    const SystemClock clock;
    Log log(clock, quiet);
    Metrics metrics;
    const std::string folder = options.folder + "/durable_bench." + std::to_string(::getpid());
    double rate = 0;
    {
        io::RealEnv env(log, metrics);
        std::unique_ptr<SessionLog> sessions;
        if (is_durable) {
            auto opened = SessionLog::open(env, {.folder = folder});
            if (!opened)
                give_up(opened.error().text());
            sessions = std::move(*opened);
        }
        Run run(env, std::move(sessions), publishers);
        rate = run.measure(options.seconds);
    }
    std::filesystem::remove_all(folder);
    return rate;
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

} // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    std::string json;
    for (const std::size_t publishers : {std::size_t{1}, std::size_t{10}, std::size_t{100}}) {
        std::vector<double> ours;
        std::vector<double> memory;
        for (int round = 0; round < options.rounds; ++round) {
            ours.push_back(run_once(options, publishers, true));
            memory.push_back(run_once(options, publishers, false));
        }
        const double our = median(ours);
        const double limit = median(memory);
        std::ranges::sort(ours);
        std::printf(
            "durable QoS 1, %3zu publishers %10.0f acked/s   (%.0f..%.0f)   memory only %10.0f   ratio "
            "%.2f\n",
            publishers,
            our,
            ours.front(),
            ours.back(),
            limit,
            our / limit
        );
        char row[256];
        std::snprintf(
            row,
            sizeof row,
            R"({"name":"durable QoS 1, %zu publishers","unit":"acked messages/s","ours":%.0f,"peer":null,)"
            R"("limit":%.0f,"ratio_peer":null,"ratio_limit":%.3f})",
            publishers,
            our,
            limit,
            our / limit
        );
        json += (json.empty() ? "[\n" : ",\n") + std::string(row);
    }
    if (!options.json.empty())
        std::ofstream(options.json) << json << "\n]\n";
    return 0;
}
