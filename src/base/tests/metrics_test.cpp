#include "base/metrics.h"

#include <doctest/doctest.h>
#include <limits>
#include <thread>

using namespace brim;

TEST_CASE("an empty registry is valid OpenMetrics") {
    const Metrics metrics;
    CHECK(metrics.text() == "# EOF\n");
}

TEST_CASE("families are written in order of registration, counters with _total") {
    Metrics metrics;
    metrics.counter("brim_messages", "Messages accepted.", "dir=\"in\"").add(3);
    metrics.gauge("brim_sessions", "Sessions now.").set(2);
    metrics.counter("brim_messages", "Messages accepted.", "dir=\"out\"").add();
    metrics.gauge_from("brim_load", "Load.\nSecond line.", [] { return 0.25; });
    CHECK(
        metrics.text() == "# TYPE brim_messages counter\n"
                          "# HELP brim_messages Messages accepted.\n"
                          "brim_messages_total{dir=\"in\"} 3\n"
                          "brim_messages_total{dir=\"out\"} 1\n"
                          "# TYPE brim_sessions gauge\n"
                          "# HELP brim_sessions Sessions now.\n"
                          "brim_sessions 2.0\n"
                          "# TYPE brim_load gauge\n"
                          "# HELP brim_load Load.\\nSecond line.\n"
                          "brim_load 0.25\n"
                          "# EOF\n"
    );
}

TEST_CASE("histogram buckets are cumulative, a value on a bound counts in it") {
    Metrics metrics;
    Histogram& waits = metrics.histogram("brim_wait_seconds", "Waits.", {0.1, 1, 10}, "op=\"fsync\"");
    for (const double value : {0.05, 0.1, 0.5, 5.0, 100.0})
        waits.observe(value);
    CHECK(
        metrics.text() == "# TYPE brim_wait_seconds histogram\n"
                          "# HELP brim_wait_seconds Waits.\n"
                          "brim_wait_seconds_bucket{op=\"fsync\",le=\"0.1\"} 2\n"
                          "brim_wait_seconds_bucket{op=\"fsync\",le=\"1.0\"} 3\n"
                          "brim_wait_seconds_bucket{op=\"fsync\",le=\"10.0\"} 4\n"
                          "brim_wait_seconds_bucket{op=\"fsync\",le=\"+Inf\"} 5\n"
                          "brim_wait_seconds_sum{op=\"fsync\"} 105.65\n"
                          "brim_wait_seconds_count{op=\"fsync\"} 5\n"
                          "# EOF\n"
    );
}

TEST_CASE("the same name and labels give the same object, and it stays where it is") {
    Metrics metrics;
    Counter& first = metrics.counter("brim_a", "A.");
    Histogram& histogram = metrics.histogram("brim_h", "H.", {1});
    for (int i = 0; i < 500; ++i) {
        metrics.counter("brim_a", "A.", metric_label("i", std::to_string(i)));
        metrics.counter("brim_b" + std::to_string(i), "B.");
    }
    CHECK(&metrics.counter("brim_a", "A.") == &first);
    CHECK(&metrics.histogram("brim_h", "H.", {1}) == &histogram);
}

TEST_CASE("a family has at most 1,000 label sets, all above share one") {
    Metrics metrics;
    for (int i = 0; i < 1'000; ++i)
        metrics.counter("brim_a", "A.", metric_label("i", std::to_string(i))).add();
    CHECK(metrics.text().find("overflow") == std::string::npos);
    Counter& above = metrics.counter("brim_a", "A.", "i=\"1000\"");
    CHECK(&metrics.counter("brim_a", "A.", "i=\"1001\"") == &above);
    above.add(5);
    CHECK(metrics.counter("brim_a", "A.", "i=\"999\"").value() == 1);
    CHECK(metrics.text().find("brim_a_total{overflow=\"true\"} 5\n") != std::string::npos);
}

TEST_CASE("label values are escaped") {
    CHECK(metric_label("name", "a\"b\\c\nd") == "name=\"a\\\"b\\\\c\\nd\"");
}

TEST_CASE("special values have their OpenMetrics names") {
    Metrics metrics;
    metrics.gauge("brim_a", "A.").set(std::numeric_limits<double>::infinity());
    metrics.gauge("brim_b", "B.").set(-std::numeric_limits<double>::infinity());
    metrics.gauge("brim_c", "C.").set(std::numeric_limits<double>::quiet_NaN());
    const std::string text = metrics.text();
    CHECK(text.find("brim_a +Inf\n") != std::string::npos);
    CHECK(text.find("brim_b -Inf\n") != std::string::npos);
    CHECK(text.find("brim_c NaN\n") != std::string::npos);
}

TEST_CASE("a gauge function may use the registry that calls it") {
    Metrics metrics;
    metrics.gauge_from("brim_g", "G.", [&metrics] {
        metrics.counter("brim_scrapes", "Scrapes.").add();
        return 1.0;
    });
    CHECK(metrics.text().find("brim_scrapes_total 1\n") != std::string::npos);
}

TEST_CASE("counters lose nothing between threads, while others register and scrape") {
    Metrics metrics;
    Counter& counter = metrics.counter("brim_a", "A.");
    Histogram& histogram = metrics.histogram("brim_h", "H.", {1, 2});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 2'000; ++i) {
                counter.add();
                histogram.observe(i % 3);
                if (i % 100 == 0)
                    metrics.gauge("brim_g", "G.", metric_label("t", std::to_string(t * 100 + i))).add(1);
                if (i % 500 == 0)
                    CHECK(metrics.text().ends_with("# EOF\n"));
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(counter.value() == 8'000);
    CHECK(metrics.text().find("brim_h_count 8000\n") != std::string::npos);
}
