#include "sim/broker_fate.h"

namespace brim::sim {

using namespace std::chrono_literals;
using io::DiskFault;
using io::DiskOp;

BrokerFate::BrokerFate(BrokerWorld& broker_world, std::uint64_t seed)
    : broker_world_(broker_world), random_(seed), over_(std::make_shared<bool>(false)) {
    acts_ = {
        {3, &BrokerFate::kill},        {3, &BrokerFate::cut},         {4, &BrokerFate::cut_in_mid_write},
        {1, &BrokerFate::terminate},   {2, &BrokerFate::disk_error},  {1, &BrokerFate::disk_full},
        {2, &BrokerFate::slow_disk},   {1, &BrokerFate::jump_clock},  {1, &BrokerFate::freeze},
        {2, &BrokerFate::kick},        {2, &BrokerFate::partition},   {3, &BrokerFate::half_open},
        {3, &BrokerFate::reset},       {1, &BrokerFate::refuse},      {2, &BrokerFate::slow_link},
        {6, &BrokerFate::cut_sending}, {6, &BrokerFate::cut_reading}, {4, &BrokerFate::leave},
        {4, &BrokerFate::take_over},   {3, &BrokerFate::guest},       {4, &BrokerFate::slow_reader},
        {4, &BrokerFate::forbid},
    };
    for (const auto& [weight, act] : acts_)
        weight_sum_ += weight;
}

void BrokerFate::run(Duration span, Duration every) {
    io::SimWorld& world = broker_world_.world();
    const Mono end = world.now() + span;
    const auto step = static_cast<std::uint64_t>(every.count());
    while (world.now() < end) {
        world.run_for(Duration(static_cast<Duration::rep>(below(2 * step))));
        strike();
    }
    *over_ = true;
}

void BrokerFate::strike() {
    std::uint64_t ticket = below(weight_sum_);
    for (const auto& [weight, act] : acts_) {
        if (ticket < weight)
            return (this->*act)();
        ticket -= weight;
    }
}

void BrokerFate::tell(std::string what) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(broker_world_.world().now().time_since_epoch());
    broker_world_.world().note("fate", what);
    story_.push_back(std::to_string(ms.count()) + " ms: " + std::move(what));
}

Duration BrokerFate::between(std::chrono::milliseconds from, std::chrono::milliseconds to) {
    return from + std::chrono::milliseconds(below(static_cast<std::uint64_t>((to - from).count()) + 1));
}

BrokerClient& BrokerFate::any_client() {
    return broker_world_.client(1 + below(broker_world_.client_count() - 1));
}

void BrokerFate::later(Duration wait, std::function<void()> work) {
    broker_world_.world().after(wait, [over = over_, work = std::move(work)] {
        if (!*over)
            work();
    });
}

void BrokerFate::kill() {
    tell("kill -9 of the broker");
    broker_world_.node().kill();
    if (chance(3))
        broker_world_.node().stay_down(between(1s, 6s));
}

void BrokerFate::cut() {
    tell("power cut of the broker");
    broker_world_.node().cut(chance(3) ? io::CutMode::lose_all : io::CutMode::random);
}

void BrokerFate::cut_in_mid_write() {
    const bool is_starting = chance(3);
    const std::uint64_t nth = 1 + below(is_starting ? 30 : 60);
    if (is_starting)
        broker_world_.node().kill();
    tell("power cut at disk change " + std::to_string(nth) + (is_starting ? " of a start" : ""));
    broker_world_.node().machine().disk().add_fault({.kind = DiskFault::Kind::power_off, .nth = nth});
}

void BrokerFate::terminate() {
    tell("SIGTERM to the broker");
    broker_world_.node().terminate();
}

void BrokerFate::disk_error() {
    DiskFault fault;
    fault.kind = chance(4) ? DiskFault::Kind::short_write : DiskFault::Kind::io_error;
    if (chance(2))
        fault.op = DiskOp::sync;
    fault.nth = 1 + below(30);
    fault.times = chance(4) ? 1 + below(10) : 1;
    tell("disk error at change " + std::to_string(fault.nth) + ", " + std::to_string(fault.times) + " times");
    broker_world_.node().machine().disk().add_fault(fault);
}

void BrokerFate::disk_full() {
    tell("the disk is full");
    io::SimDisk& disk = broker_world_.node().machine().disk();
    disk.add_fault({.kind = DiskFault::Kind::no_space, .op = DiskOp::write, .times = UINT64_MAX});
    disk.add_fault({.kind = DiskFault::Kind::no_space, .op = DiskOp::allocate, .times = UINT64_MAX});
    later(between(300ms, 4s), [&disk] { disk.clear_faults(); });
}

void BrokerFate::slow_disk() {
    tell("the disk is slow");
    DiskFault fault{.kind = DiskFault::Kind::slow, .op = DiskOp::sync, .times = 3 + below(12)};
    fault.delay = between(20ms, 1'200ms);
    broker_world_.node().machine().disk().add_fault(fault);
    broker_world_.recorder().disk_slowed();
}

void BrokerFate::jump_clock() {
    const auto by =
        chance(2) ? -std::chrono::milliseconds(below(600'000)) : std::chrono::milliseconds(below(60'000));
    tell("the broker's clock jumps by " + std::to_string(by.count()) + " ms");
    broker_world_.node().machine().jump_wall(by);
    broker_world_.recorder().clock_jumped(by);
}

void BrokerFate::freeze() {
    const bool is_broker = chance(2);
    const std::string name = is_broker ? std::string(broker_machine) : any_client().options().name;
    const Duration span = between(300ms, 6s);
    tell(name + " freezes");
    broker_world_.world().machine(name).freeze(span);
}

void BrokerFate::kick() {
    BrokerNode& node = broker_world_.node();
    const std::string name = any_client().options().name;
    tell(name + " is thrown out");
    node.post([&node, name] {
        node.broker()->broker().kick(
            name, mqtt::ReasonCode::administrative_action, false, node.machine().env().loop().now()
        );
    });
}

void BrokerFate::partition() {
    const std::string client = any_client().options().name;
    tell("no way between " + client + " and the broker");
    auto& links = broker_world_.world().links();
    links.partition_both(client, std::string(broker_machine));
    later(between(200ms, 8s), [&links, client] { links.heal_both(client, std::string(broker_machine)); });
}

void BrokerFate::half_open() {
    std::string from = any_client().options().name;
    std::string to(broker_machine);
    if (chance(2))
        std::swap(from, to);
    tell("nothing gets through from " + from + " to " + to);
    auto& links = broker_world_.world().links();
    links.partition(from, to);
    later(between(200ms, 45s), [&links, from, to] { links.heal(from, to); });
}

void BrokerFate::reset() {
    const std::string client = any_client().options().name;
    tell("connections between " + client + " and the broker are reset");
    broker_world_.world().links().reset(client, std::string(broker_machine));
}

void BrokerFate::refuse() {
    tell("new connections are refused");
    auto& links = broker_world_.world().links();
    links.refuse(std::string(broker_machine), true);
    links.reset(any_client().options().name, std::string(broker_machine));
    later(between(300ms, 3s), [&links] { links.refuse(std::string(broker_machine), false); });
}

void BrokerFate::slow_link() {
    const std::string client = any_client().options().name;
    const Duration latency = between(20ms, 500ms);
    tell(client + " is far away");
    auto& links = broker_world_.world().links();
    links.set_link(
        client,
        std::string(broker_machine),
        {.latency = latency, .jitter = latency / 2, .bytes_per_second = 20'000 + below(200'000)}
    );
    // The time of trouble may end first: a slow link is no fault to heal.
    broker_world_.world().after(between(1s, 8s), [&links, client] {
        links.set_link(client, std::string(broker_machine), {});
    });
}

void BrokerFate::cut_sending() {
    BrokerClient& client = any_client();
    const std::uint64_t bytes = below(chance(2) ? 40 : 3'000);
    tell(client.options().name + " goes away after " + std::to_string(bytes) + " bytes sent");
    client.cut_after_sending(bytes);
}

void BrokerFate::cut_reading() {
    BrokerClient& client = any_client();
    const std::uint64_t bytes = below(chance(2) ? 40 : 3'000);
    tell(client.options().name + " goes away after " + std::to_string(bytes) + " bytes read");
    client.cut_after_reading(bytes);
}

void BrokerFate::leave() {
    BrokerClient& client = any_client();
    tell(client.options().name + " says goodbye");
    client.leave(between(50ms, 6s));
}

void BrokerFate::take_over() {
    BrokerClient& client = any_client();
    tell(client.options().name + " comes a second time");
    client.take_over();
}

void BrokerFate::guest() {
    const std::size_t victim = 1 + below(broker_world_.client_count() - 1);
    const BrokerClientOptions& options = broker_world_.client(victim).options();
    // A guest who begins a session anew, unknown to its owner, would leave nothing to judge.
    if (options.expiry_s < 3'600)
        return;
    tell("somebody else comes as " + options.name);
    broker_world_.add_guest(victim, between(20ms, 2s));
}

void BrokerFate::slow_reader() {
    BrokerClient& client = any_client();
    tell(client.options().name + " reads nothing");
    client.read_nothing_for(between(100ms, 6s));
}

void BrokerFate::forbid() {
    BrokerClient& client = any_client();
    constexpr std::string_view families = "tsr";
    const char family = families[below(families.size())];
    tell(client.options().name + " may not receive " + family + "/# any more");
    broker_world_.recorder().ban(client.index(), family);
    auto& recorder = broker_world_.recorder();
    if (chance(2))
        later(between(200ms, 5s), [&recorder, who = client.index()] { recorder.lift(who); });
}

} // namespace brim::sim
