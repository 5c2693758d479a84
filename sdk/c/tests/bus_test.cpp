#include "scripted_edge.h"

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

using namespace edge_script;

namespace {

/// A driver on a scripted edge; counts what its callbacks saw.
struct Fixture {
    Edge edge{scratch_dir()};
    brim_driver* driver = nullptr;
    brim_device* device = nullptr;
    std::string config;
    int connects = 0, onlines = 0, refused = 0, state_code = 0;
    std::map<int, int> done; ///< completions by code
    std::vector<std::string> seen;

    static void on_config(brim_driver*, const char* json, std::size_t size, void* user) {
        static_cast<Fixture*>(user)->config.assign(json, size);
    }

    static void on_connection(brim_driver*, bool connected, const char*, void* user) {
        static_cast<Fixture*>(user)->connects += connected ? 1 : 0;
    }

    static void on_state(brim_device*, bool online, int code, void* user) {
        auto& self = *static_cast<Fixture*>(user);
        (online ? self.onlines : self.refused)++;
        self.state_code = code;
    }

    static void on_done(int code, void* user) { static_cast<Fixture*>(user)->done[code]++; }

    static void on_set(brim_device*, const char* params, brim_request* request, void* user) {
        static_cast<Fixture*>(user)->seen.push_back(std::string("set ") + params);
        brim_answer(request, BRIM_OK, nullptr, 0);
    }

    static void
    on_get(brim_device*, const char* const* names, std::size_t count, brim_request* request, void* user) {
        std::string text = "get";
        for (std::size_t i = 0; i < count; ++i)
            text += std::string(" ") + names[i];
        static_cast<Fixture*>(user)->seen.push_back(text);
        const brim_value value = brim_double("Temperature", 20.5);
        brim_answer(request, BRIM_OK, &value, 1);
    }

    static void
    on_service(brim_device*, const char* service, const char* params, brim_request* request, void* user) {
        static_cast<Fixture*>(user)->seen.push_back(std::string(service) + " " + params);
        brim_answer(request, 429, nullptr, 0);
    }

    ~Fixture() { brim_driver_close(driver); }

    void open(std::uint32_t reports_max = 0, std::uint32_t report_bytes_max = 0) {
        brim_driver_options options{};
        options.reports_max = reports_max;
        options.report_bytes_max = report_bytes_max;
        options.bus_path = edge.socket.c_str();
        options.name = "test";
        options.token = "secret";
        options.on_config = on_config;
        options.on_connection = on_connection;
        options.user = this;
        if (options.backoff_max_ms == 0)
            options.backoff_max_ms = 50; // the schedule is not what is tested here
        REQUIRE(brim_driver_open(&options, &driver) == BRIM_OK);
    }

    void add_device() {
        const brim_device_callbacks callbacks{on_set, on_get, on_service, on_state};
        REQUIRE(brim_device_add(driver, "pk", "dn", &callbacks, this, &device) == BRIM_OK);
    }

    /// Serves the bus until `reached()`; false after ten seconds.
    template <class Condition> bool run_until(Condition reached) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!reached()) {
            if (std::chrono::steady_clock::now() > deadline)
                return false;
            brim_driver_run(driver, 20);
        }
        return true;
    }

    int report(long number) {
        const brim_value value = brim_int("N", number);
        return brim_report_async(device, &value, 1, on_done, this);
    }

    brim_counts counts() {
        brim_counts out{};
        brim_driver_counts(driver, &out);
        CHECK(out.accepted == out.acknowledged + out.refused + out.abandoned + out.queued);
        return out;
    }
};

std::string number_text(long number) {
    return "{\"N\":{\"value\":" + std::to_string(number) + ",\"time\"";
}

} // namespace

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-1] a driver gets its configuration and brings its device online") {
    edge.start({.config = R"({"config":{"kv":[]},"deviceList":[{"productKey":"pk"}]})"});
    open();
    REQUIRE(run_until([&] { return !config.empty(); }));
    CHECK(config == R"({"config":{"kv":[]},"deviceList":[{"productKey":"pk"}]})");
    add_device();
    REQUIRE(run_until([&] { return onlines == 1; }));
    const brim_value values[] = {brim_double("Temperature", 21.5), brim_text("Label", "x")};
    CHECK(brim_report(device, values, 2, 5'000) == BRIM_OK);
    CHECK(
        edge.journaled(R"({"Temperature":{"value":21.5,)") == 1
    ); // on the edge's disk before the call returned
    const brim_value level = brim_int("level", 3);
    CHECK(brim_event(device, "alarm", &level, 1, 5'000) == BRIM_OK);
    CHECK(edge.journaled("/sys/pk/dn/thing/event/alarm/post ") == 1);
    CHECK(counts().acknowledged == 2);
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-2] requests reach their callbacks and are answered on the reply topic") {
    edge.start(
        {.requests =
             {
                 {"/sys/pk/dn/thing/service/property/set", R"({"id":"7","params":{"Switch":1}})"},
                 {"/sys/pk/dn/thing/service/property/get", R"({"id":8,"params":["Temperature","x"]})"},
                 {"/sys/pk/dn/thing/service/reboot", R"({"id":"9","params":{"delay":5}})"},
                 {"/sys/pk/dn/thing/service/property/get", R"({"id":"10","params":{"not":"a list"}})"},
                 {"/sys/pk/dn/thing/service/broken", "{"},
                 {"/sys/pk/other/thing/service/property/set", R"({"id":"11","params":{}})"},
             }}
    );
    open();
    add_device();
    REQUIRE(run_until([&] { return edge.journaled("_reply ") == 5; }));
    CHECK(
        seen == std::vector<std::string>{R"(set {"Switch":1})", "get Temperature x", R"(reboot {"delay":5})"}
    );
    CHECK(edge.journaled(R"(property/set_reply {"id":"7","code":200,"data":{}})") == 1);
    CHECK(edge.journaled(R"(property/get_reply {"id":8,"code":200,"data":{"Temperature":20.5}})") == 1);
    CHECK(edge.journaled(R"(reboot_reply {"id":"9","code":429,)") == 1);
    CHECK(edge.journaled(R"(property/get_reply {"id":"10","code":460,)") == 1);
    CHECK(edge.journaled(R"(broken_reply {"id":"","code":109007,)") == 1);
    CHECK(edge.journaled("pk/other/") == 0);
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-3] an edge that is killed again and again loses no report") {
    edge.start();
    open();
    add_device();
    constexpr long total = 3'000;
    constexpr int kills = 8;
    long next = 0;
    for (int round = 0; round < kills; ++round) {
        for (long end = next + total / kills; next < end; ++next)
            REQUIRE(report(next) == BRIM_OK);
        const std::uint64_t target = counts().acknowledged + 40;
        REQUIRE(run_until([&] { return counts().acknowledged >= target; }));
        edge.kill(); // in the middle of the window
        for (int i = 0; i < 3; ++i)
            brim_driver_run(driver, 5);
        edge.start();
    }
    REQUIRE(run_until([&] { return done[BRIM_OK] == total; }));
    std::set<std::string> lines;
    for (const std::string& line : lines_of(edge.journal))
        lines.insert(line);
    long missing = 0;
    const std::vector<std::string> all = lines_of(edge.journal);
    std::string text;
    for (const std::string& line : all)
        text += line + "\n";
    for (long number = 0; number < total; ++number)
        missing += text.find(number_text(number)) == std::string::npos ? 1 : 0;
    CHECK(missing == 0);
    CHECK(counts().resent > 0);
    CHECK(counts().refused == 0);
    CHECK(onlines >= kills); // online again each time before its reports went
    CHECK(connects == onlines);
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-4] reports keep their order across a reconnect") {
    edge.start({.reports_until_drop = 100});
    open();
    add_device();
    for (long number = 0; number < 350; ++number)
        REQUIRE(report(number) == BRIM_OK);
    REQUIRE(run_until([&] { return done[BRIM_OK] == 350; }));
    long last = -1;
    std::set<long> first_seen;
    for (const std::string& line : lines_of(edge.journal)) {
        const auto at = line.find("{\"N\":{\"value\":");
        if (at == std::string::npos)
            continue;
        const long number = std::strtol(line.c_str() + at + 14, nullptr, 10);
        if (!first_seen.insert(number).second)
            continue; // sent again
        CHECK(number == last + 1);
        last = number;
    }
    CHECK(last == 349);
    CHECK(connects >= 4); // dropped every 100 reports
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-5] a full buffer turns the newest report away and says so") {
    open(10); // nobody listens
    add_device();
    for (long number = 0; number < 10; ++number)
        CHECK(report(number) == BRIM_OK);
    CHECK(report(10) == BRIM_E_FULL);
    CHECK(counts().turned_away == 1);
    CHECK(counts().queued == 10);
    edge.start();
    REQUIRE(run_until([&] { return done[BRIM_OK] == 10; }));
    CHECK(report(11) == BRIM_OK);
    CHECK(counts().queued_bytes > 0);
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-6] the buffer is also bounded in bytes") {
    open(0, 1'000);
    add_device();
    const std::string text(400, 'x');
    const brim_value value = brim_text("L", text.c_str());
    CHECK(brim_report_async(device, &value, 1, nullptr, nullptr) == BRIM_OK);
    CHECK(brim_report_async(device, &value, 1, nullptr, nullptr) == BRIM_E_FULL);
    const std::string huge(BRIM_PAYLOAD_BYTES_MAX, 'x');
    const brim_value too_large = brim_text("L", huge.c_str());
    CHECK(brim_report_async(device, &too_large, 1, nullptr, nullptr) == BRIM_E_PARAM);
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-7] what the edge refuses is completed with its code") {
    const std::pair<int, int> rows[] = {
        {0x87, BRIM_E_OFFLINE}, {0x97, BRIM_E_FULL}, {0x99, BRIM_E_JSON}, {0x80, BRIM_E_UNKNOWN}
    };
    open();
    add_device();
    for (const auto& [reason, code] : rows) {
        edge.start({.puback_reason = reason});
        const brim_value value = brim_int("N", 1);
        CHECK(brim_report(device, &value, 1, 5'000) == code);
        edge.kill();
    }
    CHECK(counts().refused == 4);
    CHECK(counts().queued == 0);
}

TEST_CASE_FIXTURE(
    Fixture,
    "[sdk-bus-8] a device that is not configured is told so, and tried again with a new configuration"
) {
    edge.start({.device_code = BRIM_E_NO_DEVICE});
    open();
    add_device();
    REQUIRE(report(1) == BRIM_OK);
    REQUIRE(run_until([&] { return refused == 1; }));
    CHECK(state_code == BRIM_E_NO_DEVICE);
    REQUIRE(run_until([&] { return done[BRIM_E_NO_DEVICE] == 1; }));
    CHECK(report(2) == BRIM_E_NO_DEVICE);
    edge.kill();
    edge.start();
    REQUIRE(run_until([&] { return onlines == 1; }));
    CHECK(report(3) == BRIM_OK);
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-9] a report that is not acknowledged in time stays queued") {
    open();
    add_device();
    const brim_value value = brim_int("N", 77);
    CHECK(brim_report(device, &value, 1, 30) == BRIM_E_TIMEOUT);
    CHECK(counts().queued == 1);
    edge.start();
    REQUIRE(run_until([&] { return counts().acknowledged == 1; }));
    CHECK(edge.journaled(number_text(77)) == 1);
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-10] other threads report while the runner serves the bus") {
    edge.start();
    open();
    add_device();
    constexpr int threads = 3;
    constexpr int each = 100;
    std::atomic<int> ok = 0;
    std::atomic<int> ended = 0;
    std::vector<std::thread> reporters;
    for (int thread = 0; thread < threads; ++thread) {
        reporters.emplace_back([&, thread] {
            for (int i = 0; i < each; ++i) {
                const brim_value value = brim_int("N", thread * 1'000 + i);
                if (brim_report(device, &value, 1, 5'000) == BRIM_OK)
                    ok++;
            }
            ended++;
        });
    }
    const bool finished = run_until([&] { return ended == threads; });
    for (std::thread& reporter : reporters)
        reporter.join();
    CHECK(finished);
    CHECK(ok == threads * each);
    CHECK(edge.journaled("{\"N\":") == threads * each);
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-11] offline devices take no reports; leaving waits for those accepted") {
    edge.start();
    open();
    add_device();
    REQUIRE(run_until([&] { return onlines == 1; }));
    for (long number = 0; number < 50; ++number)
        REQUIRE(report(number) == BRIM_OK);
    brim_device_offline(device);
    CHECK(report(50) == BRIM_E_OFFLINE);
    REQUIRE(run_until([&] { return done[BRIM_OK] == 50; }));
    REQUIRE(run_until([&] { return edge.journaled("\"action\":\"offline\"") == 1; }));
    CHECK(lines_of(edge.journal).back().find("offline") != std::string::npos);
    brim_device_online(device);
    REQUIRE(run_until([&] { return onlines == 2; }));
    CHECK(report(51) == BRIM_OK);
    brim_device_remove(device);
    device = nullptr;
    REQUIRE(run_until([&] { return done[BRIM_E_NO_DEVICE] == 1; }));
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-12] closing completes what is left and takes the devices offline") {
    edge.start();
    open();
    add_device();
    REQUIRE(run_until([&] { return onlines == 1; }));
    REQUIRE(report(1) == BRIM_OK);
    brim_driver_close(driver);
    driver = nullptr;
    CHECK(done[BRIM_E_UNREACHABLE] == 1);
    for (int i = 0; i < 200 && edge.journaled("DISCONNECT") == 0; ++i)
        usleep(5'000); // another process writes it
    CHECK(edge.journaled("\"action\":\"offline\"") == 1);
    CHECK(edge.journaled("DISCONNECT") == 1);
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-13] a refused connection is tried again") {
    edge.start({.connack_reason = 0x86});
    open();
    for (int i = 0; i < 10; ++i)
        brim_driver_run(driver, 20);
    CHECK(connects == 0);
    edge.kill();
    edge.start();
    CHECK(run_until([&] { return connects == 1; }));
}

TEST_CASE_FIXTURE(Fixture, "[sdk-bus-14] a small window of the edge is kept") {
    edge.start({.receive_max = 3});
    open();
    add_device();
    for (long number = 0; number < 50; ++number)
        REQUIRE(report(number) == BRIM_OK);
    CHECK(run_until([&] { return done[BRIM_OK] == 50; }));
}

TEST_CASE("[sdk-bus-15] options without sense are refused") {
    brim_driver* driver = nullptr;
    const auto open = [&driver](const char* path, const char* name) {
        brim_driver_options options{};
        options.bus_path = path;
        options.name = name;
        return brim_driver_open(&options, &driver);
    };
    const std::string long_path(108, 'p');
    const std::string long_name(33, 'n');
    CHECK(open("/tmp/x", "Upper") == BRIM_E_PARAM);
    CHECK(open("/tmp/x", "") == BRIM_E_PARAM);
    CHECK(open("/tmp/x", long_name.c_str()) == BRIM_E_PARAM);
    CHECK(open(long_path.c_str(), "test") == BRIM_E_PARAM);
    CHECK(brim_driver_open(nullptr, &driver) == BRIM_E_PARAM);
    REQUIRE(open(long_path.substr(1).c_str(), long_name.substr(1).c_str()) == BRIM_OK);
    brim_device* device = nullptr;
    CHECK(brim_device_add(driver, "p/k", "dn", nullptr, nullptr, &device) == BRIM_E_PARAM);
    CHECK(brim_device_add(driver, "pk", "", nullptr, nullptr, &device) == BRIM_E_PARAM);
    CHECK(brim_device_add(driver, "pk", "dn", nullptr, nullptr, &device) == BRIM_OK);
    CHECK(brim_device_add(driver, "pk", "dn", nullptr, nullptr, &device) == BRIM_E_PARAM);
    brim_driver_close(driver);
}

TEST_CASE_FIXTURE(
    Fixture, "[sdk-bus-16] a report waits until its own device is online, however many come online at once"
) {
    open();
    std::vector<brim_device*> devices(30);
    for (std::size_t i = 0; i < devices.size(); ++i) {
        const std::string name = "dn" + std::to_string(i);
        REQUIRE(brim_device_add(driver, "pk", name.c_str(), nullptr, nullptr, &devices[i]) == BRIM_OK);
        const brim_value value = brim_int("N", static_cast<std::int64_t>(i));
        REQUIRE(brim_report_async(devices[i], &value, 1, on_done, this) == BRIM_OK);
    }
    edge.start();
    REQUIRE(run_until([&] { return done[BRIM_OK] + done[BRIM_E_OFFLINE] == 30; }));
    CHECK(done[BRIM_OK] == 30);
}
