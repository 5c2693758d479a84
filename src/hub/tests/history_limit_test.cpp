// Retention as the running hub applies it.

#include "door_rig.h"
#include "hub/hub_config.h"

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t day_ms = 86'400'000;

std::size_t stored(DoorRig& rig) {
    store::HistoryQuery query;
    query.device = rig.at("a1", "d1").id;
    query.limit = 10'000;
    const auto page =
        rig.wait<store::HistoryPage>([&](auto done) { rig.ingest->query(query, std::move(done)); });
    REQUIRE(page);
    return page->points.size();
}

Result<HubConfig> config_with(std::vector<std::string> sets) {
    const auto config = Config::load(hub_schema(), ConfigSource{{}, {}, std::move(sets)});
    REQUIRE_MESSAGE(config, (config ? "" : config.error().text()));
    return make_hub_config(*config);
}

} // namespace

TEST_CASE("[retention-1.7] a new limit takes effect at once, in the background of reports, and is counted") {
    DoorRig rig;
    rig.product("a1");
    rig.device("a1", "d1");
    Client client(rig, "a1", "d1");
    const std::int64_t now = rig.machine().wall().ms;
    for (int batch = 0; batch < 20; ++batch) {
        std::vector<thing::Sample> samples;
        for (int at = 0; at < 500; ++at)
            samples.push_back({0, {std::int64_t{at}}, now - 10 * day_ms + batch * 500 + at});
        REQUIRE(rig.wait<void>([&](auto done) {
            rig.ingest->report(rig.at("a1", "d1"), samples, std::nullopt, std::move(done));
        }));
    }
    client.request("thing/event/property/post", R"({"level":7})");
    rig.world.run_for(5min);
    CHECK(stored(rig) == 10'000);
    CHECK(rig.ingest->stats().history_points == 10'001);
    rig.ingest->set_retention({.age_ms_max = day_ms, .points_per_step_max = 100});
    std::uint64_t acknowledged_meanwhile = 0;
    while (rig.ingest->stats().dropped_by_age < 10'000) {
        const auto tag = client.request("thing/event/property/post", R"({"level":8})");
        REQUIRE(client.acknowledged(tag) == mqtt::ReasonCode::success);
        REQUIRE(++acknowledged_meanwhile < 10'000);
    }
    CHECK(acknowledged_meanwhile > 10);
    rig.world.run_for(2min);
    CHECK(rig.ingest->stats().dropped_by_age == 10'000);
    CHECK(stored(rig) == acknowledged_meanwhile + 1);
    CHECK(rig.ingest->stats().history_points == acknowledged_meanwhile + 1);
    CHECK(
        rig.machine().env().metrics().text().find(R"(brim_history_dropped_points_total{reason="age"} 10000)"
        ) != std::string::npos
    );
    rig.restart();
    CHECK(stored(rig) == acknowledged_meanwhile + 1);
}

TEST_CASE("history limits are read from the configuration, on both sides of what makes sense") {
    CHECK(config_with({})->ingest.retention == store::RetentionLimits{});
    const auto both = config_with({"history.days_max=30", "history.bytes_max=1MiB"});
    REQUIRE(both);
    CHECK(both->ingest.retention.age_ms_max == 30 * day_ms);
    CHECK(both->ingest.retention.bytes_max == 1'048'576);
    CHECK(config_with({"history.bytes_max=1048575"}).error().code == Errc::invalid);
    CHECK_FALSE(Config::load(hub_schema(), ConfigSource{{}, {}, {"history.days_max=36501"}}));
    CHECK_FALSE(Config::load(hub_schema(), ConfigSource{{}, {}, {"history.days_max=-1"}}));
}
