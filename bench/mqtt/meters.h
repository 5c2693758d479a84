#pragma once
// Clocks, /proc readings and a latency histogram.

#include <cstdint>
#include <string>
#include <vector>

namespace brim::bench {

inline constexpr std::uint64_t second_ns = 1'000'000'000;

/// Monotonic nanoseconds.
std::uint64_t now_ns();
/// CPU time of all live threads of a process in nanoseconds, user and system; 0 for pid 0 or none.
std::uint64_t cpu_ns(int pid);
/// A "Key:  123 kB" line of /proc/PID/status (pid 0: 0) or /proc/meminfo.
long status_kb(int pid, const char* key);
long meminfo_kb(const char* key);
/// Says what failed and why (errno), and ends the program.
[[noreturn]] void give_up(const char* what);

/// Log-linear histogram of nanoseconds with 1.6 % resolution.
class Histogram {
public:
    void add(std::uint64_t ns);
    double us(double quantile) const;

    double max_us() const { return static_cast<double>(max_) / 1e3; }

private:
    std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(64 * 64);
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

/// One flat JSON object, fields in the order they are added.
class JsonRow {
public:
    JsonRow& text(const char* name, const std::string& value);
    JsonRow& number(const char* name, double value);
    /// Prints the object as one line on stdout.
    void print();

private:
    std::string out_;
};

} // namespace brim::bench
