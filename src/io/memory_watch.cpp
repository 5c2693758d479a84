#include "io/memory_watch.h"

#include <string>

namespace brim::io {

namespace {

bool is_above(const MemoryUse& use, unsigned percent) {
    // Divided first: a limit of exabytes must not overflow.
    return use.used_bytes >= use.limit_bytes / 100 * percent;
}

std::string in_mebibytes(std::uint64_t bytes) {
    return std::to_string(bytes / (1'024 * 1'024)) + " MiB";
}

} // namespace

Pressure pressure_of(const MemoryUse& use, Pressure before, const PressureLimits& limits) {
    if (use.limit_bytes == 0)
        return Pressure::none;
    const auto holds = [&](Pressure level, unsigned percent) {
        return is_above(use, before >= level ? percent - limits.back_percent : percent);
    };
    if (holds(Pressure::critical, limits.critical_percent))
        return Pressure::critical;
    return holds(Pressure::high, limits.high_percent) ? Pressure::high : Pressure::none;
}

MemoryWatch::MemoryWatch(Env& env, Told told, PressureLimits limits)
    : env_(env), told_(std::move(told)), limits_(limits), timer_(env.loop()) {
    const MemoryUse use = env_.memory();
    if (use.limit_bytes == 0)
        return;
    Metrics& metrics = env_.metrics();
    limit_shown_ = &metrics.gauge("brim_memory_limit_bytes", "Memory this program may use");
    used_shown_ = &metrics.gauge("brim_memory_used_bytes", "Memory used of it, pages of files not counted");
    pressure_shown_ =
        &metrics.gauge("brim_memory_pressure", "Shortage of memory: 0 none, 1 high, 2 critical");
    show(use);
    // Whoever made us is not ready to hear of it yet.
    look_after_bytes_ = use.limit_bytes / limits_.moved_share;
    look_soon();
}

void MemoryWatch::stop() {
    look_after_bytes_ = UINT64_MAX;
    timer_.stop();
}

void MemoryWatch::look_soon() {
    moved_bytes_ = 0;
    timer_.start(Duration::zero(), [this] { look(); });
}

void MemoryWatch::show(const MemoryUse& use) {
    limit_shown_->set(static_cast<double>(use.limit_bytes));
    used_shown_->set(static_cast<double>(use.used_bytes));
    pressure_shown_->set(static_cast<double>(pressure_));
}

void MemoryWatch::look() {
    MemoryUse use = env_.memory();
    const Pressure before = pressure_;
    pressure_ = pressure_of(use, before, limits_);
    const Mono now = env_.loop().now();
    const bool is_due = pressure_ > before || now - released_ >= limits_.release_every;
    if (pressure_ != Pressure::none && is_due) {
        released_ = now;
        env_.release_memory();
        use = env_.memory();
        // Judged as before the look: what was only kept for later is no shortage.
        pressure_ = pressure_of(use, before, limits_);
    }
    if (pressure_ != before)
        log_change(use);
    show(use);
    moved_bytes_ = 0;
    look_after_bytes_ = use.limit_bytes == 0 ? UINT64_MAX : use.limit_bytes / limits_.moved_share;
    const bool is_near = is_above(use, limits_.near_percent);
    timer_.start(is_near ? limits_.look_every_near : limits_.look_every, [this] { look(); });
    if (pressure_ != Pressure::none || before != Pressure::none)
        told_(pressure_);
}

void MemoryWatch::log_change(const MemoryUse& use) const {
    constexpr std::string_view fix =
        "raise the limit, or lower how many clients connect and how much waits for those away";
    const bool is_over = pressure_ == Pressure::none;
    env_.log().write(
        is_over                           ? LogLevel::info
        : pressure_ == Pressure::critical ? LogLevel::error
                                          : LogLevel::warn,
        "memory",
        is_over ? "memory pressure is over" : "memory is short, load is shed",
        {{"pressure", pressure_name(pressure_)},
         {"used", in_mebibytes(use.used_bytes)},
         {"limit", in_mebibytes(use.limit_bytes)},
         {"of", use.where},
         {"fix", is_over ? std::string_view("-") : fix}}
    );
}

} // namespace brim::io
