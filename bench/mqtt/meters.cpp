#include "mqtt/meters.h"

#include <bit>
#include <cerrno>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace brim::bench {

namespace {

long kb_line(const std::string& file, const std::string& key) {
    std::ifstream in(file);
    std::string line;
    while (std::getline(in, line)) {
        if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ':')
            return std::atol(line.c_str() + key.size() + 1);
    }
    return 0;
}

std::size_t bucket_of(std::uint64_t value) {
    if (value < 64)
        return value;
    const auto exponent = static_cast<std::size_t>(std::bit_width(value)) - 1;
    return (exponent - 5) * 64 + ((value >> (exponent - 6)) & 63);
}

double bucket_start(std::size_t index) {
    if (index < 64)
        return static_cast<double>(index);
    const std::size_t exponent = index / 64 + 5;
    return static_cast<double>(
        (std::uint64_t{1} << exponent) | (static_cast<std::uint64_t>(index % 64) << (exponent - 6))
    );
}

} // namespace

std::uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t cpu_ns(int pid) {
    if (pid == 0)
        return 0;
    std::uint64_t sum = 0;
    std::error_code failed;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, failed)) {
        std::uint64_t ran = 0;
        std::ifstream in(task.path() / "schedstat");
        if (in >> ran)
            sum += ran;
    }
    return sum;
}

long status_kb(int pid, const char* key) {
    return pid == 0 ? 0 : kb_line("/proc/" + std::to_string(pid) + "/status", key);
}

long meminfo_kb(const char* key) {
    return kb_line("/proc/meminfo", key);
}

void give_up(const char* what) {
    std::fprintf(stderr, "mqtt_bench: %s: %s\n", what, std::strerror(errno));
    std::exit(2);
}

void Histogram::add(std::uint64_t ns) {
    ++buckets_[bucket_of(ns)];
    ++count_;
    if (ns > max_)
        max_ = ns;
}

double Histogram::us(double quantile) const {
    if (count_ == 0)
        return 0;
    auto wanted = static_cast<std::uint64_t>(quantile * static_cast<double>(count_));
    if (wanted >= count_)
        wanted = count_ - 1;
    std::uint64_t passed = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        passed += buckets_[i];
        if (passed > wanted)
            return bucket_start(i) / 1000.0;
    }
    return max_us();
}

JsonRow& JsonRow::text(const char* name, const std::string& value) {
    out_ += (out_.empty() ? "\"" : ",\"") + std::string(name) + "\":\"" + value + '"';
    return *this;
}

JsonRow& JsonRow::number(const char* name, double value) {
    char digits[40];
    const bool whole = std::nearbyint(value) == value && std::abs(value) < 1e15;
    std::snprintf(digits, sizeof digits, whole ? "%.0f" : "%.3f", value);
    out_ += (out_.empty() ? "\"" : ",\"") + std::string(name) + "\":" + digits;
    return *this;
}

void JsonRow::print() {
    std::printf("{%s}\n", out_.c_str());
    std::fflush(stdout);
}

} // namespace brim::bench
