// The broker core alone, no sockets: what of a delivery's cost is ours and not the kernel's. The limit is a
// loop that cuts the same bytes into packets, copies each to its receivers and answers it, and knows nothing
// else.
//
//   core_bench [--seconds S] [--json FILE] [--only TEXT]     (TEXT: in the name)

#include "mqtt/broker.h"
#include "mqtt/codec.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace brim;
using namespace brim::mqtt;

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Admits everyone, keeps what is sent by connection.
class Host final : public BrokerHost {
public:
    void send(ConnId conn, ByteView bytes) override { out(conn).append(bytes); }

    void close(ConnId) override {
        std::fputs("core_bench: the broker closed a connection\n", stderr);
        std::exit(1);
    }

    void pause(ConnId, bool) override {}

    void on_connect(ConnId conn, const Connect& connect) override {
        Admission admission;
        admission.session_key = connect.client_id;
        admission.principal = "bench";
        broker->accept(conn, admission, Mono{});
    }

    bool authorise(const ConnView&, Action, std::string_view) override { return true; }

    Verdict on_publish(const ConnView&, const MessagePtr&, AckToken) override { return Verdict::route; }

    void on_up(const ConnView&) override {}

    void on_down(const ConnView&, Ended) override {}

    void on_dropped(std::string_view, std::string_view, std::uint64_t count) override { dropped += count; }

    Bytes& out(ConnId conn) {
        const std::size_t place = static_cast<std::uint32_t>(conn);
        if (outputs_.size() <= place)
            outputs_.resize(place + 1);
        return outputs_[place];
    }

    Broker* broker = nullptr;
    std::uint64_t dropped = 0;

private:
    std::vector<Bytes> outputs_;
};

struct Rig {
    explicit Rig(BrokerLimits limits) : broker(host, limits) { host.broker = &broker; }

    ConnId join(const std::string& name) {
        const ConnId conn = broker.open(Mono{});
        Connect packet;
        packet.version = ProtocolVersion::v311;
        packet.client_id = name;
        packet.keepalive_s = 600;
        Bytes bytes;
        encode_connect(bytes, packet);
        broker.data(conn, bytes, Mono{});
        host.out(conn).clear();
        return conn;
    }

    void subscribe(ConnId conn, const std::string& filter, std::uint8_t qos) {
        Subscribe packet;
        packet.packet_id = 1;
        packet.filters.push_back({filter, qos, false, false, RetainHandling::send});
        Bytes bytes;
        encode_subscribe(bytes, packet, ProtocolVersion::v311);
        broker.data(conn, bytes, Mono{});
        host.out(conn).clear();
    }

    Host host;
    Broker broker;
};

Bytes publishes(const std::vector<std::string>& topics, std::size_t count, std::uint8_t qos) {
    const Bytes payload(256, 'x');
    Bytes bytes;
    for (std::size_t i = 0; i < count; ++i) {
        const unsigned flags = static_cast<unsigned>(qos) << 1;
        encode_plain_publish(
            bytes,
            topics[i % topics.size()],
            payload,
            flags,
            static_cast<std::uint16_t>(i + 1),
            ProtocolVersion::v311
        );
    }
    return bytes;
}

/// Calls `visit(first byte, body)` for each packet of `bytes`.
template <class Visit> void each_packet(ByteView bytes, Visit visit) {
    while (!bytes.empty()) {
        std::size_t length = 0;
        std::size_t header = 1;
        for (unsigned shift = 0;; shift += 7) {
            const auto byte = static_cast<unsigned char>(bytes[header++]);
            length |= static_cast<std::size_t>(byte & 0x7F) << shift;
            if (byte < 0x80)
                break;
        }
        visit(static_cast<unsigned char>(bytes[0]), bytes.substr(header, length));
        bytes.remove_prefix(header + length);
    }
}

/// The answers a subscriber (PUBACK, PUBREC, PUBCOMP) or a publisher (PUBREL) owes for what it was sent.
Bytes answers(ByteView bytes) {
    Bytes made;
    each_packet(bytes, [&made](unsigned first, ByteView body) {
        const auto put = [&made](unsigned type, ByteView id) {
            made.push_back(static_cast<char>(type));
            made.push_back(2);
            made.append(id);
        };
        const unsigned type = first >> 4;
        if (type == 3 && (first & 6u) != 0) {
            const std::size_t topic = static_cast<std::size_t>(static_cast<unsigned char>(body[0])) << 8 |
                                      static_cast<unsigned char>(body[1]);
            put((first & 2u) != 0 ? 0x40 : 0x50, body.substr(2 + topic, 2));
        } else if (type == 5) {
            put(0x62, body.substr(0, 2));
        } else if (type == 6) {
            put(0x70, body.substr(0, 2));
        }
    });
    return made;
}

struct Load {
    std::string name;
    std::size_t publishers;
    std::size_t subscribers;
    std::size_t batch; ///< messages of a publisher at once
    std::uint8_t qos;
    std::size_t strangers = 0; ///< subscriptions of another session that match nothing
    bool wildcards = false;    ///< of the strangers
    std::size_t topics = 1;    ///< of each publisher
};

/// Deliveries per CPU second, answers included.
double ours(const Load& load, double seconds) {
    BrokerLimits limits;
    limits.inflight_count_max = 4'096;
    limits.subscriptions_max = 1'000'000;
    Rig rig(limits);
    std::vector<ConnId> subscribers;
    for (std::size_t i = 0; i < load.subscribers; ++i) {
        subscribers.push_back(rig.join("s" + std::to_string(i)));
        rig.subscribe(subscribers.back(), "b/+/+", load.qos);
    }
    const ConnId stranger = rig.join("stranger");
    for (std::size_t i = 0; i < load.strangers; ++i)
        rig.subscribe(stranger, "b/far/" + std::to_string(i) + (load.wildcards ? "/+" : "/x"), 1);
    std::vector<ConnId> publishers;
    std::vector<Bytes> batches;
    for (std::size_t i = 0; i < load.publishers; ++i) {
        publishers.push_back(rig.join("p" + std::to_string(i)));
        std::vector<std::string> topics;
        for (std::size_t k = 0; k < load.topics; ++k)
            topics.push_back("b/" + std::to_string(i) + "/" + std::to_string(k));
        batches.push_back(publishes(topics, load.batch, load.qos));
    }
    const auto feed = [&rig](ConnId conn, const Bytes& bytes) {
        if (!bytes.empty())
            rig.broker.data(conn, bytes, Mono{});
    };
    double used = 0;
    double delivered = 0;
    std::vector<ConnId> everyone = subscribers;
    everyone.insert(everyone.end(), publishers.begin(), publishers.end());
    std::vector<Bytes> replies(everyone.size());
    while (used < seconds) {
        double begin = cpu_seconds();
        for (std::size_t i = 0; i < publishers.size(); ++i)
            feed(publishers[i], batches[i]);
        used += cpu_seconds() - begin;
        for (bool more = true; more;) {
            more = false;
            for (std::size_t i = 0; i < everyone.size(); ++i) {
                Bytes& out = rig.host.out(everyone[i]);
                replies[i] = answers(out);
                more = more || !replies[i].empty();
                out.clear();
            }
            begin = cpu_seconds();
            for (std::size_t i = 0; i < everyone.size(); ++i)
                feed(everyone[i], replies[i]);
            used += cpu_seconds() - begin;
        }
        delivered += static_cast<double>(load.publishers * load.batch * load.subscribers);
    }
    const BrokerStats stats = rig.broker.stats();
    if (rig.host.dropped != 0 || static_cast<double>(stats.sent[load.qos]) != delivered) {
        std::fprintf(stderr, "core_bench: %s lost messages\n", load.name.c_str());
        std::exit(1);
    }
    return delivered / used;
}

/// Cuts, copies, answers.
double bare(const Load& load, double seconds) {
    const Bytes batch = publishes({"b/0/0"}, load.batch, load.qos);
    std::vector<Bytes> outputs(load.subscribers);
    Bytes acks;
    double used = 0;
    double delivered = 0;
    while (used < seconds) {
        const double begin = cpu_seconds();
        for (std::size_t p = 0; p < load.publishers; ++p) {
            const char* at = batch.data();
            each_packet(batch, [&](unsigned first, ByteView body) {
                const ByteView whole(at, static_cast<std::size_t>(body.data() + body.size() - at));
                at += whole.size();
                for (Bytes& out : outputs)
                    out.append(whole);
                if ((first & 6u) != 0)
                    acks.append("\x40\x02\0\1", 4);
            });
        }
        // A receiver's acknowledgement costs at least looking at it.
        if (load.qos != 0) {
            for (std::size_t i = 0; i < load.subscribers; ++i) {
                unsigned seen = 0;
                each_packet(acks, [&seen](unsigned, ByteView body) {
                    seen += static_cast<unsigned char>(body[1]);
                });
                if (seen == 0)
                    std::exit(1);
            }
        }
        for (Bytes& out : outputs)
            out.clear();
        acks.clear();
        used += cpu_seconds() - begin;
        delivered += static_cast<double>(load.publishers * load.batch * load.subscribers);
    }
    return delivered / used;
}

double median_of_five(const std::function<double()>& measure) {
    std::vector<double> values;
    for (int i = 0; i < 5; ++i)
        values.push_back(measure());
    std::ranges::sort(values);
    return values[2];
}

} // namespace

int main(int argc, char** argv) {
    double seconds = 0.4;
    std::string file;
    std::string only;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::string_view(argv[i]) == "--seconds")
            seconds = std::atof(argv[i + 1]);
        else if (std::string_view(argv[i]) == "--json")
            file = argv[i + 1];
        else if (std::string_view(argv[i]) == "--only")
            only = argv[i + 1];
    }
    const std::vector<Load> loads{
        {"core, fan-in 10 x 100, QoS 0", 10, 1, 100, 0},
        {"core, fan-in 10 x 100, QoS 1", 10, 1, 100, 1},
        {"core, fan-in 10 x 100, QoS 2", 10, 1, 100, 2},
        {"core, fan-out 1 -> 100, QoS 0", 1, 100, 10, 0},
        {"core, fan-out 1 -> 100, QoS 1", 1, 100, 10, 1},
        {"core, 10,000 topics in turn, QoS 0", 10, 1, 1'000, 0, 0, false, 1'000},
        {"core, beside 100 exact subscriptions", 10, 1, 100, 0, 100, false},
        {"core, beside 10,000 exact subscriptions", 10, 1, 100, 0, 10'000, false},
        {"core, beside 100,000 exact subscriptions", 10, 1, 100, 0, 100'000, false},
        {"core, beside 100 wildcard subscriptions", 10, 1, 100, 0, 100, true},
        {"core, beside 10,000 wildcard subscriptions", 10, 1, 100, 0, 10'000, true},
        {"core, beside 100,000 wildcard subscriptions", 10, 1, 100, 0, 100'000, true},
    };
    std::string rows;
    for (const Load& load : loads) {
        if (load.name.find(only) == std::string::npos)
            continue;
        const double mine = median_of_five([&] { return ours(load, seconds / 5); });
        const double limit = median_of_five([&] { return bare(load, seconds / 5); });
        std::printf(
            "%-46s %11.0f deliveries/cpu-s   bare %11.0f   ratio %.2f\n",
            load.name.c_str(),
            mine,
            limit,
            mine / limit
        );
        std::fflush(stdout);
        char row[256];
        std::snprintf(
            row,
            sizeof row,
            R"({"name":"%s","unit":"deliveries/cpu-s","ours":%.0f,"peer":null,"limit":%.0f,"ratio_peer":null,"ratio_limit":%.4f})",
            load.name.c_str(),
            mine,
            limit,
            mine / limit
        );
        rows += (rows.empty() ? "" : ",\n") + std::string(row);
    }
    if (!file.empty())
        std::ofstream(file) << "[" << rows << "]\n";
    return 0;
}
