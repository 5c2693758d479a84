#include "io/sim/sim_links.h"

#include "io/sim/sim_connection.h"
#include "io/sim/sim_env.h"
#include "io/sim/sim_network.h"
#include "io/sim/sim_world.h"

#include <algorithm>

namespace brim::io {

namespace {

const SimLink loopback{.latency = 20us, .jitter = 20us};

} // namespace

SimLinks::SimLinks(SimWorld& world) : world_(world) {}

SimLinks::~SimLinks() = default;

void SimLinks::set_link(const std::string& a, const std::string& b, SimLink link) {
    links_[{a, b}] = link;
    links_[{b, a}] = link;
}

const SimLink& SimLinks::link(const std::string& from, const std::string& to) const {
    const auto found = links_.find({from, to});
    if (found != links_.end())
        return found->second;
    return from == to ? loopback : default_;
}

bool SimLinks::blocked(const std::string& from, const std::string& to) const {
    return partitions_.contains({from, to});
}

void SimLinks::partition(const std::string& from, const std::string& to) {
    world_.note("net", "partition " + from + ">" + to);
    partitions_.insert({from, to});
}

void SimLinks::heal(const std::string& from, const std::string& to) {
    world_.note("net", "heal " + from + ">" + to);
    partitions_.erase({from, to});
    for (const auto& connection : live())
        for (unsigned side = 0; side < 2; ++side)
            if (connection->ends[side].machine == from && connection->ends[1 - side].machine == to)
                connection->path_healed(side);
}

void SimLinks::partition_both(const std::string& a, const std::string& b) {
    partition(a, b);
    partition(b, a);
}

void SimLinks::heal_both(const std::string& a, const std::string& b) {
    heal(a, b);
    heal(b, a);
}

std::size_t SimLinks::reset(const std::string& a, const std::string& b) {
    world_.note("net", "reset " + a + "-" + b);
    std::size_t count = 0;
    for (const auto& connection : live()) {
        if (!connection->joins(a, b))
            continue;
        connection->abort(0, Error{Errc::closed, connection->name(), "connection reset", ""});
        connection->abort(1, Error{Errc::closed, connection->name(), "connection reset", ""});
        ++count;
    }
    return count;
}

void SimLinks::refuse(const std::string& machine, bool refused) {
    if (refused)
        refused_.insert(machine);
    else
        refused_.erase(machine);
}

void SimLinks::set_silent(const std::string& machine, bool silent) {
    if (silent)
        silent_.insert(machine);
    else
        silent_.erase(machine);
}

void SimLinks::fail_dns(const std::string& host, bool fails) {
    if (fails)
        failing_dns_.insert(host);
    else
        failing_dns_.erase(host);
}

std::size_t SimLinks::connections(const std::string& a, const std::string& b) const {
    std::size_t count = 0;
    for (const auto& weak : connections_)
        if (const auto connection = weak.lock(); connection && connection->open() && connection->joins(a, b))
            ++count;
    return count;
}

Duration SimLinks::dns_delay(const std::string& host) const {
    const auto found = dns_delay_.find(host);
    return found == dns_delay_.end() ? Duration{100us} : found->second;
}

SimMachine* SimLinks::resolve(const std::string& host, SimMachine& asking) const {
    if (failing_dns_.contains(host))
        return nullptr;
    if (host == "localhost" || host == "::1" || host.starts_with("127."))
        return &asking;
    if (const auto alias = hosts_.find(host); alias != hosts_.end())
        return world_.find_machine(alias->second);
    return world_.find_machine(host);
}

Duration SimLinks::travel_time(const std::string& from, const std::string& to, std::size_t bytes) const {
    const SimLink& way = link(from, to);
    auto time = way.latency;
    if (way.jitter.count() > 0)
        time += Duration(world_.random().below(static_cast<std::uint64_t>(way.jitter.count())));
    if (way.bytes_per_second > 0)
        time += Duration(1'000'000'000ULL * bytes / way.bytes_per_second);
    return time;
}

void SimLinks::adopt(const std::shared_ptr<SimConnection>& connection) {
    std::erase_if(connections_, [](const auto& weak) { return weak.expired(); });
    connections_.push_back(connection);
}

std::vector<std::shared_ptr<SimConnection>> SimLinks::live() {
    std::vector<std::shared_ptr<SimConnection>> found;
    for (const auto& weak : connections_)
        if (auto connection = weak.lock())
            found.push_back(std::move(connection));
    return found;
}

void SimLinks::process_died(SimEnv& env, bool silent) {
    std::erase_if(listeners, [&env](const auto& entry) { return &entry.second->env() == &env; });
    for (const auto& connection : live())
        for (unsigned side = 0; side < 2; ++side)
            if (connection->ends[side].env == &env)
                connection->process_died(side, silent);
}

void SimLinks::machine_booted(SimMachine& machine) {
    for (const auto& connection : live())
        for (unsigned side = 0; side < 2; ++side)
            if (connection->ends[side].machine == machine.name() && connection->ends[side].dead)
                connection->path_healed(1 - side);
}

} // namespace brim::io
