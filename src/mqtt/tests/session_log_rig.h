#pragma once
// A broker with a session log on a simulated machine: kill it, cut its power, start it again.

#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "mqtt/session_log.h"
#include "mqtt/tests/broker_bench.h"

#include <memory>
#include <optional>

namespace brim::mqtt::bench {

inline SessionLogOptions small_log() {
    return {
        .folder = "/data/sessions",
        .segment_bytes = 1'048'576,
        .bytes_max = 64ull * 1'048'576,
        .pending_bytes_max = 8'388'608,
        .compact_bytes_min = 1'048'576,
    };
}

struct KeptRig {
    explicit KeptRig(std::uint64_t seed = 1, SessionLogOptions log_options = small_log())
        : world(seed), options(std::move(log_options)) {
        machine();
        world.run_for(std::chrono::seconds{1}); // a machine is never asked at the very instant of its boot
    }

    io::SimMachine& machine() { return world.machine("hub"); }

    io::SimDisk& disk() { return machine().disk(); }

    /// False when the machine died while it started.
    bool try_start() {
        const auto started = start_or_error();
        if (!started)
            REQUIRE_MESSAGE(!machine().running(), started.error().text());
        return started.has_value();
    }

    Result<void> start_or_error() {
        io::Env& env = machine().env();
        auto opened = SessionLog::open(env, options);
        if (!opened)
            return fail(std::move(opened).error());
        log = std::move(*opened);
        bench = std::make_unique<Bench>(limits, log.get());
        bench->host.now = env.loop().now();
        bench->host.judge = judge;
        log->attach(bench->broker);
        return {};
    }

    void start() { REQUIRE(try_start()); }

    /// Time passes and the broker's timers run.
    void run(Duration span = std::chrono::milliseconds{50}) {
        world.run_for(span);
        sync();
    }

    void sync() {
        if (!bench || !machine().running())
            return;
        bench->host.now = machine().env().loop().now();
        bench->broker.tick(bench->host.now);
    }

    /// Many short steps: for what is due one after the other.
    void pass(Duration span) {
        for (const Mono end = world.now() + span; world.now() < end;)
            run(std::min<Duration>(std::chrono::milliseconds{500}, end - world.now()));
    }

    void stop_objects() {
        bench.reset();
        log.reset();
    }

    /// kill -9: the page cache survives.
    void kill() {
        machine().crash();
        stop_objects();
    }

    void power_cut(io::CutMode mode = io::CutMode::random) {
        machine().power_cut(mode);
        stop_objects();
    }

    void restart() {
        kill();
        world.run_for(std::chrono::milliseconds{1});
        start();
    }

    Host& host() { return bench->host; }

    Broker& broker() { return bench->broker; }

    io::SimWorld world;
    SessionLogOptions options;
    BrokerLimits limits;
    std::function<Verdict(const ConnView&, const MessagePtr&, AckToken)> judge;
    std::unique_ptr<SessionLog> log;
    std::unique_ptr<Bench> bench;
};

/// A client whose session is kept: joins, waits for CONNACK.
inline Connack join_kept(
    KeptRig& rig, Peer& peer, std::string_view id, bool clean_start = false, std::uint32_t expiry_s = 3'600
) {
    Connect packet;
    packet.client_id = id;
    packet.clean_start = clean_start;
    packet.session_expiry_s = peer.version() == ProtocolVersion::v5 ? expiry_s : 0;
    peer.connect(packet);
    rig.run();
    return peer.connack();
}

/// SUBSCRIBE and its SUBACK.
inline ReasonCode
subscribe_kept(KeptRig& rig, Peer& peer, std::string_view filter, std::uint8_t qos, std::uint32_t id = 0) {
    Subscribe packet;
    packet.packet_id = 77;
    packet.subscription_id = id;
    packet.filters.push_back({filter, qos, false, false, RetainHandling::send});
    Bytes bytes;
    encode_subscribe(bytes, packet, peer.version());
    peer.raw(bytes);
    rig.run();
    const Received received = peer.take(PacketType::suback);
    const auto answer = decode_suback(received.frame(), peer.version(), {});
    REQUIRE(answer.has_value());
    REQUIRE(answer->reasons.size() == 1);
    return answer->reasons[0];
}

} // namespace brim::mqtt::bench
