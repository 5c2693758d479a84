#pragma once
// The network between simulated machines, and what a test may do to it. Machines are named as SimWorld names
// them.

#include "base/random.h"
#include "base/time.h"
#include "io/net.h"

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace brim::io {

class SimEnv;
class SimListener;
class SimMachine;
class SimWorld;
struct SimConnection;

/// How one direction between two machines behaves.
struct SimLink {
    Duration latency = 1ms;             ///< one way
    Duration jitter = 500us;            ///< added to it, uniformly, never reordering a stream
    std::uint64_t bytes_per_second = 0; ///< 0: no limit
    bool whole_chunks = false; ///< true: bytes arrive cut as they were written, for tests that count calls
};

/// All streams of a SimWorld. The members up to the break are for tests, the rest for the simulator's parts.
class SimLinks {
public:
    explicit SimLinks(SimWorld& world);
    ~SimLinks();
    SimLinks(const SimLinks&) = delete;
    SimLinks& operator=(const SimLinks&) = delete;

    /// Both directions between `a` and `b`; without names, every pair that has no link of its own.
    void set_link(const std::string& a, const std::string& b, SimLink link);

    void set_default(SimLink link) { default_ = link; }

    /// Silently drops everything from `from` to `to`, acknowledgements included: a half-open link. What was
    /// sent is retransmitted when healed; after 15 minutes without, the sender's stream ends with
    /// Errc::timeout.
    void partition(const std::string& from, const std::string& to);
    void heal(const std::string& from, const std::string& to);
    void partition_both(const std::string& a, const std::string& b);
    void heal_both(const std::string& a, const std::string& b);
    /// Every connection between the two ends at once with Errc::closed at both ends. Returns how many.
    std::size_t reset(const std::string& a, const std::string& b);
    /// New connections to `machine` are refused, whoever listens there.
    void refuse(const std::string& machine, bool refused);
    /// When a process of `machine` is killed its peers hear nothing (as if the cable went first).
    void set_silent(const std::string& machine, bool silent);

    /// `host` is another name of `machine`.
    void add_host(const std::string& host, const std::string& machine) { hosts_[host] = machine; }

    /// Looking up `host` takes this long.
    void slow_dns(const std::string& host, Duration delay) { dns_delay_[host] = delay; }

    void fail_dns(const std::string& host, bool fails);
    /// Open connections between the two machines.
    std::size_t connections(const std::string& a, const std::string& b) const;

    static constexpr Duration retransmit_max = 15min;
    /// What the kernels of both sides hold of one direction; more waits in the writer's queue.
    static constexpr std::size_t window_bytes = 64 * 1024;

    // ---- for the simulator's own parts ----
    SimWorld& world() const noexcept { return world_; }

    const SimLink& link(const std::string& from, const std::string& to) const;
    bool blocked(const std::string& from, const std::string& to) const;

    bool is_silent(const std::string& machine) const { return silent_.contains(machine); }

    bool is_refused(const std::string& machine) const { return refused_.contains(machine); }

    Duration dns_delay(const std::string& host) const;
    /// The machine behind a host name or address; null when the name is unknown.
    SimMachine* resolve(const std::string& host, SimMachine& asking) const;
    Duration travel_time(const std::string& from, const std::string& to, std::size_t bytes) const;

    using ListenKey = std::pair<std::string, std::string>; ///< machine, "tcp:port" or "unix:path"
    std::map<ListenKey, SimListener*> listeners;
    void adopt(const std::shared_ptr<SimConnection>& connection);
    void process_died(SimEnv& env, bool silent);
    void machine_booted(SimMachine& machine);

    std::uint16_t ephemeral_port() { return next_port_ = next_port_ < 65'535 ? next_port_ + 1 : 32'768; }

private:
    std::vector<std::shared_ptr<SimConnection>> live();

    SimWorld& world_;
    SimLink default_{};
    std::map<std::pair<std::string, std::string>, SimLink> links_;
    std::set<std::pair<std::string, std::string>> partitions_;
    std::set<std::string> refused_;
    std::set<std::string> silent_;
    std::set<std::string> failing_dns_;
    std::map<std::string, Duration> dns_delay_;
    std::map<std::string, std::string> hosts_;
    std::vector<std::weak_ptr<SimConnection>> connections_;
    std::uint16_t next_port_ = 49'151;
};

} // namespace brim::io
