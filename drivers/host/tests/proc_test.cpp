#include "proc.h"
#include "settings.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace {

std::string file_text(const char* path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

} // namespace

TEST_CASE("[host-1] the texts of /proc become numbers") {
    double load[3];
    REQUIRE(proc_load("0.52 1.25 2.00 1/345 6789\n", load));
    CHECK(load[1] == 1.25);
    CHECK_FALSE(proc_load("", load));
    CHECK_FALSE(proc_load("0.1 x", load));

    std::uint64_t busy = 0;
    std::uint64_t all = 0;
    REQUIRE(proc_cpu("cpu  10 20 30 400 50 6 7 8 9 10\ncpu0 1 2 3 4\n", &busy, &all));
    CHECK(all == 531);
    CHECK(busy == 81);
    CHECK_FALSE(proc_cpu("intr 5", &busy, &all));

    double used = 0;
    double total = 0;
    REQUIRE(proc_memory("MemTotal:       1000 kB\nMemFree:  10 kB\nMemAvailable:    400 kB\n", &used, &total)
    );
    CHECK(total == 1000 * 1024.0);
    CHECK(used == 600 * 1024.0);
    CHECK_FALSE(proc_memory("MemTotal: 1000 kB\n", &used, &total));

    const char* const network =
        "Inter-|   Receive                      |  Transmit\n"
        " face |bytes packets errs drop fifo frame compressed multicast|bytes packets\n"
        "    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n"
        "  eth0: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n"
        "wlan0:50 1 0 0 0 0 0 0 70 1 0 0 0 0 0 0\n";
    REQUIRE(proc_network(network, &used, &total));
    CHECK(used == 150);
    CHECK(total == 270);
    CHECK_FALSE(proc_network("nothing\n", &used, &total));

    double seconds = 0;
    REQUIRE(proc_uptime("12345.67 99\n", &seconds));
    CHECK(seconds == 12345.67);
    CHECK_FALSE(proc_uptime("", &seconds));
}

TEST_CASE("[host-2] this kernel writes what is read") {
    double a = 0;
    double b = 0;
    double load[3];
    std::uint64_t busy = 0;
    std::uint64_t all = 0;
    CHECK(proc_load(file_text("/proc/loadavg").c_str(), load));
    CHECK(proc_cpu(file_text("/proc/stat").c_str(), &busy, &all));
    CHECK(busy <= all);
    CHECK(proc_memory(file_text("/proc/meminfo").c_str(), &a, &b));
    CHECK(a < b);
    CHECK(proc_network(file_text("/proc/net/dev").c_str(), &a, &b));
    CHECK(proc_uptime(file_text("/proc/uptime").c_str(), &a));
}

TEST_CASE("[host-3] processor time is a share between 0 and 100") {
    CHECK(proc_cpu_percent(10, 100, 60, 200) == 50);
    CHECK(proc_cpu_percent(10, 100, 10, 100) == 0);
    CHECK(proc_cpu_percent(60, 200, 10, 100) == 0);
    CHECK(proc_cpu_percent(0, 0, 300, 200) == 100);
}

TEST_CASE("[host-4] settings come from the driver, then from the device") {
    host_settings settings;
    REQUIRE(host_settings_read(R"({"config":{},"deviceList":[]})", &settings));
    CHECK(settings.interval_ms == 1000);
    CHECK(std::string(settings.disk_path) == "/");
    CHECK(settings.device_name[0] == '\0');
    REQUIRE(host_settings_read(
        R"({"config":{"json":{"intervalMs":500,"diskPath":"/var"}},"deviceList":[{"productKey":"pk","deviceName":"dn","custom":"{\"intervalMs\":250}"}]})",
        &settings
    ));
    CHECK(settings.interval_ms == 250);
    CHECK(std::string(settings.disk_path) == "/var");
    CHECK(std::string(settings.device_name) == "dn");
    REQUIRE(host_settings_read(R"({"config":{"kv":[{"key":"intervalMs","value":"2000"}]}})", &settings));
    CHECK(settings.interval_ms == 2000);
}

TEST_CASE("[host-5] values outside of their limits keep the default") {
    host_settings settings;
    const auto with_interval = [&settings](const std::string& value) {
        return host_settings_read((R"({"config":{"json":{"intervalMs":)" + value + "}}}").c_str(), &settings);
    };
    CHECK(with_interval("100"));
    CHECK_FALSE(with_interval("99"));
    CHECK(settings.interval_ms == 1000);
    CHECK(with_interval("86400000"));
    CHECK_FALSE(with_interval("86400001"));
    CHECK_FALSE(with_interval("\"1000\""));
    CHECK_FALSE(host_settings_read("{", &settings));
    const std::string path(255, 'p');
    CHECK(host_settings_read((R"({"config":{"json":{"diskPath":")" + path + R"("}}})").c_str(), &settings));
    CHECK_FALSE(
        host_settings_read((R"({"config":{"json":{"diskPath":")" + path + R"(p"}}})").c_str(), &settings)
    );
}
