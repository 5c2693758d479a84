#include "sim/broker_scenario.h"

#include "sim/broker_fate.h"
#include "sim/broker_model.h"

#include <algorithm>

namespace brim::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t options_salt = 0x62726f6b6572;    // options and faults have randomness of their own,
constexpr std::uint64_t faults_salt = 0x62726f6b65726661; // so that a change of one does not stir the other
constexpr Duration settle_max = 60s;                      // law 5
constexpr Duration echo = 3s;                    // what was sent twice, or too late, has come by then
constexpr std::uint16_t inflight_count_min = 10; ///< of brokers with a narrow window
constexpr std::uint32_t expiry_v311_s = 604'800;

std::string ms_text(Duration span) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(span).count()) + " ms";
}

BrokerClientOptions draw_client(SeededRandom& random, std::size_t number, bool is_member) {
    BrokerClientOptions client;
    client.name = "c" + std::to_string(number);
    const bool is_v5 = random.below(3) != 0;
    client.version = is_v5 ? mqtt::ProtocolVersion::v5 : mqtt::ProtocolVersion::v311;
    const std::uint32_t expiries[] = {0, 2, 15, 3'600, 3'600, 3'600, 3'600, 3'600};
    client.expiry_s = expiries[random.below(std::size(expiries))];
    if (!is_v5 && client.expiry_s != 0)
        client.expiry_s = expiry_v311_s;
    client.receive_maximum = static_cast<std::uint16_t>(1 + random.below(20));
    client.inflight_max = static_cast<std::uint16_t>(1 + random.below(30));
    // 3.1.1 knows no Receive Maximum: such a client takes what comes.
    // Nor does its broker tell it how much that takes: it must know (QoS 2 above is a protocol error).
    if (!is_v5) {
        client.receive_maximum = 65'535;
        client.inflight_max = std::min(client.inflight_max, inflight_count_min);
    }
    client.is_lazy = random.below(3) == 0;
    client.has_wills = random.below(2) == 0;
    client.will_delay_s = random.below(2) == 0 ? 0 : static_cast<std::uint32_t>(1 + random.below(5));
    client.starts_clean = is_v5 && random.below(4) == 0;
    client.act_every = std::chrono::milliseconds(60 + random.below(300));
    const char* plain[] = {"t/#", "t/0", "t/+", "r/#", "w/#", "+/1", "#", "r/c1/#"};
    const auto qos = [&] {
        return static_cast<std::uint8_t>(random.below(5) == 0 ? 0 : 1 + random.below(2));
    };
    if (is_member) // of nothing else that matches "s/#": then each copy is one of the group's
        client.filters = {{"$share/g/s/#", std::max<std::uint8_t>(1, qos())}};
    for (std::uint64_t count = random.below(4); count > 0; --count) {
        const std::string filter = plain[random.below(is_member ? 5 : std::size(plain))];
        if (std::ranges::none_of(client.filters, [&](const auto& known) { return known.first == filter; }))
            client.filters.emplace_back(filter, qos());
    }
    return client;
}

} // namespace

BrokerScenarioOptions draw_broker_options(std::uint64_t seed) {
    SeededRandom random(seed ^ options_salt);
    BrokerScenarioOptions options;
    options.seed = seed;
    options.broker.log.folder = "/broker/sessions";
    options.broker.log.segment_bytes = 1'048'576;
    options.broker.log.bytes_max = 64ull * 1'048'576;
    options.broker.log.pending_bytes_max = 8'388'608;
    options.broker.log.compact_bytes_min = 10'000 + random.below(400'000);
    options.broker.log.snapshot_step_bytes = static_cast<std::uint32_t>(1 + random.below(20'000));
    options.broker.limits.queue_count_max = random.below(4) == 0 ? 30 : 1'000;
    options.broker.limits.inflight_count_max =
        static_cast<std::uint16_t>(random.below(2) == 0 ? 128 : inflight_count_min);
    options.broker.limits.window_count_max = options.broker.limits.inflight_count_max;
    if (seed % 2 == 0)
        options.broker.limits.window_count_max *= 4;
    BrokerClientOptions witness;
    witness.name = "witness";
    witness.receive_maximum = 128;
    witness.is_steady = true;
    witness.filters = {{"w/#", 2}, {"t/#", 2}, {"r/#", 1}, {"s/#", 2}};
    options.clients.push_back(witness);
    const std::size_t count = 3 + random.below(5);
    const std::size_t members = random.below(2) == 0 ? 0 : 2 + random.below(2);
    for (std::size_t i = 1; i <= count; ++i)
        options.clients.push_back(draw_client(random, i, i <= members));
    options.link.latency = std::chrono::microseconds(100 + random.below(30'000));
    options.link.jitter = options.link.latency / 2;
    options.link.whole_chunks = random.below(2) == 0;
    options.trouble = std::chrono::seconds(4 + random.below(10));
    options.fault_every = std::chrono::milliseconds(150 + random.below(700));
    return options;
}

std::string describe(const BrokerScenarioOptions& options) {
    std::string text =
        std::to_string(options.clients.size() - 1) + " clients, latency " + ms_text(options.link.latency) +
        ", " + std::to_string(options.broker.limits.inflight_count_max) + " in flight, queues of " +
        std::to_string(options.broker.limits.queue_count_max) + ", " + ms_text(options.trouble) +
        " of trouble, a fault every " + ms_text(options.fault_every);
    for (const BrokerClientOptions& client : options.clients) {
        text += "\n  " + client.name +
                (client.version == mqtt::ProtocolVersion::v5 ? " (MQTT 5" : " (MQTT 3.1.1") + ", session " +
                std::to_string(client.expiry_s) + " s, receive maximum " +
                std::to_string(client.receive_maximum) + (client.is_lazy ? ", lazy" : "") +
                (client.has_wills ? ", wills after " + std::to_string(client.will_delay_s) + " s" : "") +
                (client.starts_clean ? ", at times clean" : "") + "):";
        for (const auto& [filter, qos] : client.filters)
            text += " " + filter + "=" + std::to_string(qos);
    }
    return text;
}

BrokerOutcome run_broker_scenario(const BrokerScenarioOptions& options) {
    BrokerOutcome outcome;
    BrokerWorld run(options);
    BrokerFate fate(run, options.seed ^ faults_salt);
    std::vector<Violation>& violations = outcome.violations;
    const auto settle = [&](const char* when) {
        if (violations.empty() && !run.settle(settle_max))
            violations.push_back({5, std::string("no rest ") + when + ": " + run.state()});
    };
    // Only the witness must be settled before trouble begins; the others come when they come.
    run.world().run_until([&] { return run.client(0).is_settled(); }, settle_max);
    fate.run(options.trouble, options.fault_every);
    run.heal();
    settle("when faults have stopped");
    run.world().run_for(echo);
    if (violations.empty())
        violations =
            BrokerModel(run.recorder()).check(0); // while those that are not kept still have something
    // What was acknowledged is on disk: nothing else is there after this.
    run.node().cut(io::CutMode::lose_all);
    settle("after a power cut in the calm");
    const std::size_t newcomer = run.add_newcomer();
    settle("with a newcomer");
    run.world().run_for(echo);
    if (violations.empty()) {
        BrokerModel model(run.recorder());
        violations = model.check(0);
        const auto found = model.check_retained(newcomer);
        violations.insert(violations.end(), found.begin(), found.end());
    }
    outcome.trace_hash = run.world().trace_hash();
    outcome.acked = run.recorder().acked_count();
    outcome.received = run.recorder().received_count();
    outcome.starts = run.node().starts();
    outcome.snapshots = run.node().snapshots();
    for (const ClientFacts& client : run.recorder().clients()) {
        for (const auto& [reason, count] : client.dropped)
            outcome.dropped += count;
    }
    outcome.story = fate.story();
    if (!violations.empty()) {
        outcome.trace = run.world().trace_text();
        outcome.log = run.world().log_text();
    }
    return outcome;
}

std::string complaint(std::uint64_t seed, const BrokerOutcome& outcome) {
    std::string text = "seed " + std::to_string(seed) + " breaks";
    for (const Violation& violation : outcome.violations)
        text += " L" + std::to_string(violation.law) + ": " + violation.text + ";";
    return text + " again: ./dev sim --scenario broker --seed " + std::to_string(seed);
}

} // namespace brim::sim
