#pragma once
// Counters, gauges and histograms, written as OpenMetrics text. Handles are stable for the life of the
// registry; updates are relaxed atomics and may come from any thread.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace brim {

class Counter {
public:
    void add(std::uint64_t amount = 1) noexcept { value_.fetch_add(amount, std::memory_order_relaxed); }

    std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

class Gauge {
public:
    void set(double value) noexcept { value_.store(value, std::memory_order_relaxed); }

    void add(double amount) noexcept { value_.fetch_add(amount, std::memory_order_relaxed); }

    double value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<double> value_{0};
};

/// Fixed upper bounds, chosen at registration.
class Histogram {
public:
    explicit Histogram(std::vector<double> bounds);
    void observe(double value) noexcept;

private:
    friend class Metrics;
    std::vector<double> bounds_;
    std::deque<std::atomic<std::uint64_t>> counts_; ///< one more than bounds: +Inf
    std::atomic<double> sum_{0};
};

/// Registry of one program. Asking twice for the same name and labels yields the same object.
class Metrics {
public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    /// `name` with the brim_ prefix and without "_total"; `labels` as text: `dir="in",qos="1"`. At most 1,000
    /// label sets a name; the ones above share the label set `overflow="true"`.
    Counter& counter(std::string_view name, std::string_view help, std::string_view labels = {});
    Gauge& gauge(std::string_view name, std::string_view help, std::string_view labels = {});
    Histogram& histogram(
        std::string_view name, std::string_view help, std::vector<double> bounds, std::string_view labels = {}
    );
    /// A gauge read when scraped, on the scraping thread.
    void gauge_from(std::string_view name, std::string_view help, std::function<double()> read);

    /// OpenMetrics 1.0 text, ending in "# EOF\n", families in order of registration.
    std::string text() const;

private:
    struct State;
    static void append_histogram(
        std::string& out, std::string_view name, std::string_view labels, const Histogram& histogram
    );
    std::unique_ptr<State> state_;
};

/// `name="value"` with the value escaped; join several with a comma to make the `labels` of a metric.
std::string metric_label(std::string_view name, std::string_view value);

} // namespace brim
