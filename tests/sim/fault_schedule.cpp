#include "sim/fault_schedule.h"

namespace brim::sim {

using namespace std::chrono_literals;
using io::DiskFault;
using io::DiskOp;

FaultSchedule::FaultSchedule(Installation& installation, const FaultWeights& weights, std::uint64_t seed)
    : installation_(installation), random_(seed), over_(std::make_shared<bool>(false)) {
    acts_ = {
        {weights.kill_hub, &FaultSchedule::kill_hub},
        {weights.cut_hub, &FaultSchedule::cut_hub},
        {weights.cut_hub_in_mid_write, &FaultSchedule::cut_hub_in_mid_write},
        {weights.terminate_hub, &FaultSchedule::terminate_hub},
        {weights.kill_edge, &FaultSchedule::kill_edge},
        {weights.cut_edge, &FaultSchedule::cut_edge},
        {weights.cut_edge_in_mid_write, &FaultSchedule::cut_edge_in_mid_write},
        {weights.terminate_edge, &FaultSchedule::terminate_edge},
        {weights.kill_driver, &FaultSchedule::kill_driver},
        {weights.kill_device, &FaultSchedule::kill_device},
        {weights.partition, &FaultSchedule::partition},
        {weights.half_open, &FaultSchedule::half_open},
        {weights.reset, &FaultSchedule::reset},
        {weights.refuse, &FaultSchedule::refuse},
        {weights.slow_link, &FaultSchedule::slow_link},
        {weights.hub_disk_error, &FaultSchedule::hub_disk_error},
        {weights.edge_disk_error, &FaultSchedule::edge_disk_error},
        {weights.hub_disk_full, &FaultSchedule::hub_disk_full},
        {weights.edge_disk_full, &FaultSchedule::edge_disk_full},
        {weights.slow_disk, &FaultSchedule::slow_disk},
        {weights.jump_clock, &FaultSchedule::jump_clock},
        {weights.freeze, &FaultSchedule::freeze},
    };
    for (const auto& [weight, act] : acts_)
        weight_sum_ += weight;
}

void FaultSchedule::run(Duration span, Duration every) {
    const Mono end = installation_.world().now() + span;
    const auto step = static_cast<std::uint64_t>(every.count());
    while (installation_.world().now() < end) {
        installation_.world().run_for(Duration(static_cast<Duration::rep>(below(2 * step))));
        if (weight_sum_ > 0)
            strike();
    }
    *over_ = true;
}

void FaultSchedule::strike() {
    std::uint64_t ticket = below(weight_sum_);
    for (const auto& [weight, act] : acts_) {
        if (ticket < weight)
            return (this->*act)();
        ticket -= weight;
    }
}

void FaultSchedule::tell(std::string what) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(installation_.world().now().time_since_epoch());
    installation_.world().note("fate", what);
    story_.push_back(std::to_string(ms.count()) + " ms: " + std::move(what));
}

Duration FaultSchedule::between(std::chrono::milliseconds from, std::chrono::milliseconds to) {
    return from + std::chrono::milliseconds(below(static_cast<std::uint64_t>((to - from).count()) + 1));
}

std::string FaultSchedule::any_client() {
    const auto names = installation_.machines();
    return names[below(names.size())];
}

EdgeNode& FaultSchedule::any_edge() {
    return installation_.edge(below(installation_.edge_count()));
}

io::CutMode FaultSchedule::any_cut_mode() {
    return chance(4) ? io::CutMode::lose_all : io::CutMode::random;
}

void FaultSchedule::later(Duration wait, std::function<void()> work) {
    installation_.world().after(wait, [over = over_, work = std::move(work)] {
        if (!*over)
            work();
    });
}

void FaultSchedule::kill_hub() {
    tell("kill -9 of the hub");
    installation_.hub().kill();
    if (chance(3))
        installation_.hub().stay_down(between(1s, 8s));
}

void FaultSchedule::cut_hub() {
    tell("power cut of the hub");
    installation_.hub().cut(any_cut_mode());
}

void FaultSchedule::cut_hub_in_mid_write() {
    const bool starting = chance(2);
    const std::uint64_t nth = 1 + below(starting ? 60 : 150);
    if (starting)
        installation_.hub().kill();
    tell("power cut of the hub at disk change " + std::to_string(nth) + (starting ? " of its start" : ""));
    installation_.hub().machine().disk().add_fault({.kind = DiskFault::Kind::power_off, .nth = nth});
}

void FaultSchedule::terminate_hub() {
    tell("SIGTERM to the hub");
    installation_.hub().terminate();
}

void FaultSchedule::kill_edge() {
    EdgeNode& edge = any_edge();
    tell("kill -9 of " + edge.options().machine);
    edge.kill();
}

void FaultSchedule::cut_edge() {
    EdgeNode& edge = any_edge();
    tell("power cut of " + edge.options().machine);
    edge.cut(any_cut_mode());
}

void FaultSchedule::cut_edge_in_mid_write() {
    EdgeNode& edge = any_edge();
    const bool starting = chance(2);
    const std::uint64_t nth = 1 + below(starting ? 30 : 100);
    if (starting)
        edge.kill();
    tell(
        "power cut of " + edge.options().machine + " at disk change " + std::to_string(nth) +
        (starting ? " of its start" : "")
    );
    edge.machine().disk().add_fault({.kind = DiskFault::Kind::power_off, .nth = nth});
}

void FaultSchedule::terminate_edge() {
    EdgeNode& edge = any_edge();
    tell("SIGTERM to " + edge.options().machine);
    edge.terminate();
}

void FaultSchedule::kill_driver() {
    EdgeNode& edge = any_edge();
    const std::size_t driver = below(edge.options().drivers.size());
    tell("kill -9 of driver-" + std::to_string(driver) + " on " + edge.options().machine);
    edge.kill_driver(driver);
}

void FaultSchedule::kill_device() {
    if (installation_.direct_count() == 0)
        return;
    const std::size_t device = below(installation_.direct_count());
    tell("kill -9 of device-" + std::to_string(device));
    installation_.kill_direct(device);
}

void FaultSchedule::partition() {
    const std::string client = any_client();
    tell("no way between " + client + " and the hub");
    auto& links = installation_.world().links();
    links.partition_both(client, std::string(hub_machine));
    later(between(200ms, 20s), [&links, client] { links.heal_both(client, std::string(hub_machine)); });
}

void FaultSchedule::half_open() {
    std::string from = any_client();
    std::string to(hub_machine);
    if (chance(2))
        std::swap(from, to);
    tell("nothing gets through from " + from + " to " + to);
    auto& links = installation_.world().links();
    links.partition(from, to);
    later(between(200ms, 60s), [&links, from, to] { links.heal(from, to); });
}

void FaultSchedule::reset() {
    const std::string client = any_client();
    tell("connections between " + client + " and the hub are reset");
    installation_.world().links().reset(client, std::string(hub_machine));
}

void FaultSchedule::refuse() {
    tell("new connections to the hub are refused");
    auto& links = installation_.world().links();
    links.refuse(std::string(hub_machine), true);
    links.reset(any_client(), std::string(hub_machine));
    later(between(500ms, 5s), [&links] { links.refuse(std::string(hub_machine), false); });
}

void FaultSchedule::slow_link() {
    const std::string client = any_client();
    const Duration latency = between(20ms, 800ms);
    tell(client + " is far away");
    auto& links = installation_.world().links();
    links.set_link(
        client,
        std::string(hub_machine),
        {.latency = latency, .jitter = latency / 2, .bytes_per_second = 20'000 + below(200'000)}
    );
    // The time of trouble may end first: a slow link is no fault to heal.
    installation_.world().after(between(1s, 10s), [&links, client] {
        links.set_link(client, std::string(hub_machine), {});
    });
}

void FaultSchedule::disk_error(io::SimMachine& machine) {
    DiskFault fault;
    fault.kind = chance(4) ? DiskFault::Kind::short_write : DiskFault::Kind::io_error;
    if (chance(2))
        fault.op = DiskOp::sync;
    fault.nth = 1 + below(60);
    fault.times = chance(4) ? 1 + below(10) : 1;
    tell(
        "disk error on " + machine.name() + " at change " + std::to_string(fault.nth) + ", " +
        std::to_string(fault.times) + " times"
    );
    machine.disk().add_fault(fault);
}

void FaultSchedule::hub_disk_error() {
    disk_error(installation_.hub().machine());
}

void FaultSchedule::edge_disk_error() {
    disk_error(any_edge().machine());
}

void FaultSchedule::disk_full(io::SimMachine& machine) {
    tell("the disk of " + machine.name() + " is full");
    machine.disk().add_fault({.kind = DiskFault::Kind::no_space, .op = DiskOp::write, .times = UINT64_MAX});
    machine.disk().add_fault({.kind = DiskFault::Kind::no_space, .op = DiskOp::allocate, .times = UINT64_MAX}
    );
    later(between(500ms, 5s), [&machine] { machine.disk().clear_faults(); });
}

void FaultSchedule::hub_disk_full() {
    disk_full(installation_.hub().machine());
}

void FaultSchedule::edge_disk_full() {
    disk_full(any_edge().machine());
}

void FaultSchedule::slow_disk() {
    const bool at_hub = chance(2);
    io::SimMachine& machine = at_hub ? installation_.hub().machine() : any_edge().machine();
    tell("the disk of " + machine.name() + " is slow");
    DiskFault fault{.kind = DiskFault::Kind::slow, .op = DiskOp::sync, .times = 5 + below(20)};
    fault.delay = between(20ms, 1'500ms);
    machine.disk().add_fault(fault);
    if (!at_hub)
        return;
    // A hub that answers late is left and come back to: what it has not answered arrives again while the
    // first copy is still on its way to the disk.
    for (const std::string& client : installation_.machines()) {
        later(between(100ms, 2s), [this, client] {
            installation_.world().links().reset(client, std::string(hub_machine));
        });
    }
}

void FaultSchedule::jump_clock() {
    const std::string name = chance(2) ? std::string(hub_machine) : any_client();
    const auto by =
        chance(2) ? -std::chrono::milliseconds(below(3'600'000)) : std::chrono::milliseconds(below(500'000));
    tell("the clock of " + name + " jumps by " + std::to_string(by.count()) + " ms");
    installation_.world().machine(name).jump_wall(by);
}

void FaultSchedule::freeze() {
    const std::string name = chance(2) ? std::string(hub_machine) : any_client();
    const Duration span = between(500ms, 20s);
    tell(name + " freezes");
    installation_.world().machine(name).freeze(span);
}

} // namespace brim::sim
