// A driver that loads an edge: brings all devices of its configuration online and reports one property,
// "Value", of each, evenly spread over time. The value counts up, the time is the moment of the report, so
// that history shows losses and latency.
//
//   "config":{"json":{"perSecond":1,"seconds":10}}   reports per device and second (0: as fast as the edge
//   takes
//                                                    them), and for how long once all devices are online
//   load_driver --result FILE    FILE.online is made when all devices are online, 2 s before the first
//   report;
//                                FILE gets the counts as JSON once the edge has every report

#include "brim/driver.h"

#include <algorithm>
#include <chrono>
#include <cjson/cJSON.h>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds quiet_time{2};

volatile std::sig_atomic_t stopping = 0;

void on_signal(int) {
    stopping = 1;
}

struct Load {
    std::vector<brim_device*> devices;
    std::size_t online = 0;
    double per_second = 1;
    double seconds = 10;
};

void on_state(brim_device* device, bool online, int code, void* user) {
    if (online)
        ++static_cast<Load*>(user)->online;
    else
        std::fprintf(stderr, "load: %s is offline: %s\n", brim_device_name(device), brim_code_text(code));
}

double number_or(const cJSON* object, const char* name, double fallback) {
    const cJSON* const found = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(found) != 0 ? found->valuedouble : fallback;
}

void on_config(brim_driver* driver, const char* json, std::size_t, void* user) {
    Load& load = *static_cast<Load*>(user);
    if (!load.devices.empty())
        return; // a measurement has one configuration
    cJSON* const root = cJSON_Parse(json);
    const cJSON* const config = cJSON_GetObjectItemCaseSensitive(root, "config");
    const cJSON* const settings = cJSON_GetObjectItemCaseSensitive(config, "json");
    load.per_second = number_or(settings, "perSecond", load.per_second);
    load.seconds = number_or(settings, "seconds", load.seconds);
    brim_device_callbacks callbacks{};
    callbacks.on_state = on_state;
    const cJSON* entry = nullptr;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(root, "deviceList")) {
        const cJSON* const product = cJSON_GetObjectItemCaseSensitive(entry, "productKey");
        const cJSON* const name = cJSON_GetObjectItemCaseSensitive(entry, "deviceName");
        brim_device* device = nullptr;
        const int code =
            brim_device_add(driver, product->valuestring, name->valuestring, &callbacks, user, &device);
        if (code == BRIM_OK)
            load.devices.push_back(device);
        else
            std::fprintf(stderr, "load: cannot add %s: %s\n", name->valuestring, brim_code_text(code));
    }
    cJSON_Delete(root);
}

/// Reports what is due; false when the buffer is full.
bool report_due(Load& load, std::uint64_t& next, std::uint64_t due) {
    for (; next < due; ++next) {
        brim_device* const device = load.devices[next % load.devices.size()];
        const auto count = static_cast<std::int64_t>(next / load.devices.size());
        const brim_value value = brim_int("Value", count);
        if (brim_report_async(device, &value, 1, nullptr, nullptr) != BRIM_OK)
            return false;
    }
    return true;
}

void run_load(brim_driver* driver, Load& load, const std::string& online_file) {
    while (stopping == 0 && (load.devices.empty() || load.online < load.devices.size()))
        brim_driver_run(driver, 100);
    std::ofstream(online_file) << load.online << '\n';
    // Whoever measures reads the counters of edge and hub now: coming online is not part of the load.
    const auto begin = SteadyClock::now() + quiet_time;
    while (stopping == 0 && SteadyClock::now() < begin)
        brim_driver_run(driver, 50);
    const double rate = load.per_second * static_cast<double>(load.devices.size());
    std::uint64_t next = 0;
    while (stopping == 0) {
        const double passed = std::chrono::duration<double>(SteadyClock::now() - begin).count();
        if (passed >= load.seconds)
            break;
        const std::uint64_t due =
            rate > 0 ? static_cast<std::uint64_t>(passed * rate) : next + BRIM_WINDOW_MAX;
        const bool taken = report_due(load, next, due);
        brim_driver_run(
            driver,
            taken && rate > 0 ? std::max(1, static_cast<int>(500 / rate))
            : taken           ? 0
                              : 10
        );
    }
}

bool write_result(brim_driver* driver, const char* file) {
    brim_counts counts{};
    brim_driver_counts(driver, &counts);
    const std::string part = std::string(file) + ".part";
    std::ofstream(part) << "{\"accepted\":" << counts.accepted << ",\"acknowledged\":" << counts.acknowledged
                        << ",\"refused\":" << counts.refused << ",\"turned_away\":" << counts.turned_away
                        << ",\"resent\":" << counts.resent << "}\n";
    return std::rename(part.c_str(), file) == 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3 || std::string_view(argv[1]) != "--result") {
        std::fputs("usage: load_driver --result FILE   (started by brim-edge)\n", stderr);
        return 2;
    }
    Load load;
    brim_driver_options options{};
    options.on_config = on_config;
    options.user = &load;
    brim_driver* driver = nullptr;
    if (brim_driver_open(&options, &driver) != BRIM_OK) {
        std::fputs("load: BRIM_BUS and BRIM_DRIVER must be set; brim-edge does that\n", stderr);
        return 2;
    }
    std::signal(SIGTERM, on_signal);
    run_load(driver, load, std::string(argv[2]) + ".online");
    brim_counts counts{};
    do {
        brim_driver_run(driver, 10);
        brim_driver_counts(driver, &counts);
    } while (stopping == 0 && counts.queued != 0);
    const bool written = write_result(driver, argv[2]);
    // Stays until it is told to go: a driver that ends is started again.
    while (stopping == 0)
        brim_driver_run(driver, 1000);
    brim_driver_close(driver);
    return written ? 0 : 1;
}
