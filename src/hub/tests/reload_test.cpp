#include "hub/reload.h"

#include "api_rig.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <unistd.h>

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;

namespace {

struct ReloadRig {
    ReloadRig() {
        char name[] = "/tmp/brim-reload-XXXXXX";
        const int fd = mkstemp(name);
        REQUIRE(fd >= 0);
        ::close(fd);
        path = name;
    }

    ~ReloadRig() { std::remove(path.c_str()); }

    void write(const std::string& text) const { std::ofstream(path) << text; }

    Reload start() const {
        auto config = Config::load(hub_schema(), source());
        REQUIRE_MESSAGE(config, (config ? "" : config.error().text()));
        return {std::move(*config), source()};
    }

    ConfigSource source() const { return {path, {}, {}}; }

    std::string path;
};

using Keys = std::vector<std::string>;

} // namespace

TEST_CASE("[F-90] a broken file changes nothing and is told with file and line") {
    ReloadRig rig;
    rig.write("[log]\nlevel = \"info\"\n");
    Reload reload = rig.start();
    rig.write("[log]\nlevel = \"loud\"\n");
    const auto broken = reload.read();
    REQUIRE_FALSE(broken);
    CHECK(broken.error().cause.find(rig.path + ":2:") != std::string::npos);
    rig.write("[log\n");
    CHECK(reload.read().error().cause.find(rig.path + ":1:") != std::string::npos);
    rig.write("[mqtt]\nkeepalive_min = \"100s\"\nkeepalive_max = \"50s\"\n"); // each valid, not together
    CHECK(reload.read().error().cause.find(rig.path + ":2:1: mqtt.keepalive_min") != std::string::npos);
    rig.write("[log]\nlevel = \"debug\"\n");
    const auto good = reload.read();
    REQUIRE(good);
    CHECK(good->log_level == LogLevel::debug);
    CHECK(good->taken == Keys{"log.level"});
    CHECK(good->later.empty());
}

TEST_CASE("[F-90] keys that cannot change live are named until the restart, those that can once") {
    ReloadRig rig;
    rig.write("[[listener]]\nprotocol = \"mqtt\"\naddress = \"127.0.0.1:1\"\n");
    Reload reload = rig.start();
    rig.write("[history]\ndays_max = 7\n[ingest]\nlog_bytes_max = \"64MiB\"\n"
              "[[listener]]\nprotocol = \"mqtt\"\naddress = \"127.0.0.1:2\"\n");
    auto read = reload.read();
    REQUIRE_MESSAGE(read, (read ? "" : read.error().text()));
    CHECK(read->taken == Keys{"history.days_max"});
    CHECK(read->later == Keys{"listener[0].address", "ingest.log_bytes_max"});
    CHECK(read->settings.ingest.retention.age_ms_max == 7 * 86'400'000LL);
    read = reload.read();
    CHECK(read->taken.empty());
    CHECK(read->later.size() == 2);
    rig.write("[[listener]]\nprotocol = \"mqtt\"\naddress = \"127.0.0.1:1\"\n"
              "[[listener]]\nprotocol = \"http\"\naddress = \"127.0.0.1:3\"\n");
    read = reload.read();
    CHECK(read->taken == Keys{"history.days_max"});
    CHECK(read->later == Keys{"listener"});
    std::size_t live = 0;
    for (const ConfigKey& key : hub_schema())
        live += is_live(key.name) ? 1 : 0;
    CHECK_MESSAGE(live == 7, "every live key is in the schema");
}

TEST_CASE("[F-90] the running hub takes the new limits") {
    ApiRig rig;
    HubConfig changed = rig.config;
    changed.ingest.retention = {.age_ms_max = 86'400'000, .bytes_max = 5'000'000};
    rig.hub->reload(changed);
    const Json store = rig.call("GET", "/api/v1/system").json()["store"];
    CHECK(store["historyDaysMax"].as_int() == 1);
    CHECK(store["historyBytesMax"].as_int() == 5'000'000);
}
