#include "io/sim/sim_world.h"

#include "base/assert.h"

#include <algorithm>
#include <sys/mman.h>
#include <unistd.h>

namespace brim::io {

namespace {

constexpr std::uint64_t fnv_start = 14'695'981'039'346'656'037ULL;

std::uint64_t fnv(std::uint64_t hash, std::string_view text) {
    for (const char c : text)
        hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211ULL;
    return hash;
}

/// splitmix64's finisher: neighbouring inputs give unrelated outputs.
std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

} // namespace

SimWorld::SimWorld(std::uint64_t seed) : SimWorld(SimOptions{.seed = seed}) {}

SimWorld::SimWorld(SimOptions options)
    : options_(options), log_fd_(options.log_fd), random_(mix(options.seed)), hash_(fnv_start),
      links_(std::make_unique<SimLinks>(*this)) {
    if (log_fd_ < 0)
        log_fd_ = ::memfd_create("sim-log", MFD_CLOEXEC);
    BRIM_ASSERT(log_fd_ >= 0, "the simulator needs a log descriptor");
}

SimWorld::~SimWorld() {
    // Events may own streams and works of machines: they go first, while everything they refer to is alive.
    for (const auto& [name, machine] : machines_)
        machine->crash_all();
    events_.clear();
    if (options_.log_fd < 0)
        ::close(log_fd_);
}

SimMachine& SimWorld::machine(const std::string& name) {
    auto& slot = machines_[name];
    if (!slot)
        slot = std::make_unique<SimMachine>(*this, name, static_cast<unsigned>(machines_.size()));
    return *slot;
}

SimMachine* SimWorld::find_machine(std::string_view name) {
    const auto found = machines_.find(name);
    return found == machines_.end() ? nullptr : found->second.get();
}

void SimWorld::schedule(Mono at, std::uint64_t lane, Work work) {
    at = std::max(at, now_);
    const auto instant = static_cast<std::uint64_t>(at.time_since_epoch().count());
    const auto tie = mix(mix(options_.seed ^ (lane * 0x9e3779b97f4a7c15ULL)) ^ instant);
    events_.emplace(Key{at, tie, ++sequence_}, std::move(work));
}

bool SimWorld::step() {
    if (events_.empty())
        return false;
    auto next = events_.extract(events_.begin());
    now_ = next.key().at;
    next.mapped()();
    return true;
}

bool SimWorld::run_until(const std::function<bool()>& done, Duration at_most) {
    const Mono deadline = now_ + at_most;
    while (!done()) {
        if (events_.empty() || events_.begin()->first.at > deadline) {
            now_ = deadline;
            return done();
        }
        step();
    }
    return true;
}

void SimWorld::run_for(Duration span) {
    run_until([] { return false; }, span);
}

void SimWorld::after(Duration delay, Work work) {
    schedule(now_ + delay, 0, std::move(work));
}

void SimWorld::note(std::string_view who, std::string_view what) {
    std::string line = std::to_string(now_.time_since_epoch().count() / 1000) + "us ";
    line += who;
    line += ' ';
    line += what;
    hash_ = fnv(fnv(hash_, line), "\n");
    if (trace_.size() >= options_.trace_lines_max)
        trace_.pop_front();
    trace_.push_back(std::move(line));
}

std::string SimWorld::trace_text() const {
    std::string text = "seed " + std::to_string(options_.seed) + "\n";
    for (const auto& line : trace_)
        text += line + "\n";
    return text;
}

std::string SimWorld::log_text() const {
    std::string text;
    if (options_.log_fd >= 0)
        return text;
    char buffer[4096];
    for (;;) {
        const auto got = ::pread(log_fd_, buffer, sizeof buffer, static_cast<off_t>(text.size()));
        if (got <= 0)
            return text;
        text.append(buffer, static_cast<std::size_t>(got));
    }
}

} // namespace brim::io
