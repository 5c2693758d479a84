// The uplink in bad weather: cuts during replay, half-open links, refusals, and a hub that does not answer.

#include "support_rig.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace brim;
using namespace brim::edge;
using namespace brim::edge::test;
using namespace std::chrono_literals;

namespace {

/// An edge with `count` reports in its log and no hub yet.
void fill(Rig& rig, std::size_t count, unsigned per_second = 200) {
    rig.start_hub();
    rig.world.links().partition_both("edge", "hub");
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(5s));
    while (rig.acked.size() < count)
        rig.load(per_second, 100ms);
}

} // namespace

TEST_CASE("[F-19] 500 cuts during replay: progress is monotonic and a cut costs at most the window again") {
    Rig rig(19);
    rig.config.uplink.inflight = 16;
    rig.config.uplink.backoff_min = 100ms;
    rig.config.uplink.backoff_max = 1s;
    fill(rig, 3'000);
    rig.hub->ack_delay = 900ms; // a slow hub: the replay outlasts the cuts
    rig.world.links().heal_both("edge", "hub");
    std::uint64_t low = 0;
    for (int cut = 0; cut < 500; ++cut) {
        rig.world.run_for(std::chrono::milliseconds(1'000 + rig.world.random().below(3'000)));
        const std::uint64_t before = rig.recorder.repeated;
        rig.world.links().reset("edge", "hub");
        rig.world.run_for(1s);
        CHECK(rig.edge->forwarder().done().low() >= low);
        low = rig.edge->forwarder().done().low();
        CHECK(rig.recorder.repeated - before <= 16);
        if (cut % 50 == 0)
            check_ledger(rig);
    }
    CHECK(rig.recorder.repeated <= 500 * 16);
    rig.hub->ack_delay = 0ms;
    REQUIRE(rig.drain_backlog(10min));
    rig.check_laws();
    CHECK(rig.recorder.stored.size() == rig.acked.size());
    check_ledger(rig);
}

TEST_CASE(
    "[F-21] a link that drops everything one way is noticed within 1.5 keep-alives, without a double session"
) {
    for (const bool towards_hub : {true, false}) {
        CAPTURE(towards_hub);
        Rig rig(21);
        rig.config.uplink.keepalive = 30s;
        rig.start_hub();
        rig.start_edge();
        rig.start_driver();
        REQUIRE(rig.ready(10s));
        REQUIRE(rig.world.run_until([&] { return rig.edge->uplink().state().up; }, 30s));
        rig.load(20, 2s);
        const std::string from = towards_hub ? "edge" : "hub";
        const std::string to = towards_hub ? "hub" : "edge";
        rig.world.links().partition(from, to);
        const Mono cut = rig.world.now();
        REQUIRE(rig.world.run_until([&] { return !rig.edge->uplink().state().up; }, 60s));
        CHECK(rig.world.now() - cut <= 46s);
        rig.load(20, 2s);
        rig.world.links().heal(from, to);
        REQUIRE(rig.world.run_until([&] { return rig.edge->uplink().state().up; }, 60s));
        rig.load(20, 2s);
        rig.world.run_for(5s);
        REQUIRE(rig.drain_backlog(60s));
        CHECK(rig.hub->broker().stats().connections == 1);
        rig.check_laws();
        check_ledger(rig);
    }
}

TEST_CASE("refusals that may pass are tried again, those for good are counted and let go") {
    Rig rig(7);
    fill(rig, 100);
    rig.hub->answer = mqtt::ReasonCode::quota_exceeded;
    rig.hub->answers_left = 40;
    rig.world.links().heal_both("edge", "hub");
    REQUIRE(rig.drain_backlog(5min));
    rig.check_laws();
    CHECK(Ledger::sum(rig.edge->ledger().rejected()) == 0);
    const std::size_t before = rig.recorder.stored.size();
    rig.hub->answer = mqtt::ReasonCode::payload_format_invalid;
    rig.hub->answers_left = 5;
    rig.load(50, 1s);
    rig.world.run_for(2s);
    REQUIRE(rig.drain_backlog(60s));
    CHECK(rig.edge->ledger().rejected().at("payload_format_invalid") == 5);
    CHECK(rig.recorder.stored.size() == before + 45);
    check_ledger(rig);
}

TEST_CASE("a first refusal for lack of rights is doubted: the device logs in again and the report is tried "
          "once more") {
    Rig rig(8, 1);
    fill(rig, 20);
    rig.world.links().heal_both("edge", "hub");
    REQUIRE(rig.drain_backlog(60s));
    const auto logins = rig.recorder.logins.at("a1PUMP/pump-0");
    rig.hub->answer = mqtt::ReasonCode::not_authorized;
    rig.hub->answers_left = 1;
    rig.load(10, 1s);
    rig.world.run_for(2s);
    REQUIRE(rig.drain_backlog(60s));
    CHECK(rig.recorder.logins.at("a1PUMP/pump-0") == logins + 1);
    CHECK(rig.edge->ledger().rejected().empty());
    rig.check_laws();
    rig.hub->answers_left = 3; // and again within a minute: now it is meant
    rig.load(3, 1s);
    rig.world.run_for(2s);
    REQUIRE(rig.drain_backlog(60s));
    CHECK(rig.edge->ledger().rejected().at("not_authorized") == 3);
    check_ledger(rig);
}

TEST_CASE("a device the hub refuses holds back nobody else, and its reports follow when it may log in") {
    Rig rig(9, 3);
    rig.start_hub();
    rig.hub->refused_logins.insert("a1PUMP/pump-1");
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(10s));
    rig.load(60, 5s);
    rig.world.run_for(20s);
    const std::size_t third = rig.acked.size() / 3;
    CHECK(rig.edge->forwarder().held() >= third - 1);
    CHECK(rig.edge->forwarder().held() <= third + 1);
    const auto view = rig.edge->uplink().sessions().view({"a1PUMP", "pump-1"});
    REQUIRE(view.failure);
    CHECK(view.failure->code == 6100);
    CHECK_FALSE(view.failure->fix.empty());
    check_ledger(rig);
    rig.hub->refused_logins.clear();
    REQUIRE(rig.drain_backlog(10min));
    rig.check_laws();
    CHECK(rig.recorder.stored.size() == rig.acked.size());
}

TEST_CASE("a device that goes offline is logged out only after its last report was delivered") {
    Rig rig(10, 2);
    rig.config.uplink.inflight = 2;
    fill(rig, 50);
    rig.hub->ack_delay = 200ms; // the backlog takes seconds: time enough to leave too early
    const auto gone = rig.devices[0];
    rig.driver->announce(gone, false);
    rig.world.run_for(1s);
    rig.world.links().heal_both("edge", "hub");
    REQUIRE(rig.drain_backlog(2min));
    CHECK_FALSE(rig.recorder.logouts.contains(gone.text()));
    REQUIRE(rig.world.run_until([&] { return rig.recorder.logouts.contains(gone.text()); }, 10s));
    CHECK(rig.recorder.logins.at(gone.text()) == 1);
    CHECK_FALSE(rig.recorder.logouts.contains(rig.devices[1].text()));
    rig.check_laws();
    CHECK(rig.recorder.stored.size() == rig.acked.size());
    REQUIRE(rig.driver->report_from(gone, 999'999));
    rig.world.run_for(1s);
    CHECK(rig.driver->refused[0x87] == 1);
}

TEST_CASE("without a secret in the configuration a device is registered, and the secret survives a restart") {
    Rig rig(11, 2);
    io::Disk& disk = rig.world.machine("edge").env("main").disk();
    REQUIRE(io::write_file_atomically(
        disk,
        "/etc/pumps.json",
        R"({"deviceList":[{"productKey":"a1PUMP","deviceName":"pump-0","custom":"{}"},{"productKey":"a1PUMP","deviceName":"pump-1","custom":"{}"}]})"
    ));
    rig.start_hub();
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(10s));
    rig.load(20, 3s);
    REQUIRE(rig.drain_backlog(60s));
    rig.world.run_for(1s);
    const auto text = io::read_file(disk, "/data/secrets.json", 4'096);
    REQUIRE(text.has_value());
    CHECK(text->find("secret-of-a1PUMP/pump-1") != std::string::npos);
    rig.crash_edge();
    rig.start_edge();
    REQUIRE(rig.ready(10s));
    rig.load(20, 3s);
    REQUIRE(rig.drain_backlog(60s));
    rig.check_laws();
}

TEST_CASE("after an outage live reports are not starved by the backlog, nor the backlog by them") {
    Rig rig(12);
    rig.config.uplink.inflight = 8;
    fill(rig, 4'000, 500);
    rig.hub->ack_delay = 50ms; // 160 a second in all
    rig.world.links().heal_both("edge", "hub");
    REQUIRE(rig.world.run_until([&] { return rig.edge->forwarder().replaying(); }, 60s));
    rig.recorder.order.clear();
    rig.load(60, 10s); // live needs 60 of the 80 that are its share
    std::size_t live = 0;
    for (const auto& [seq, replayed] : rig.recorder.order)
        live += replayed ? 0 : 1;
    const std::size_t replayed = rig.recorder.order.size() - live;
    CHECK(live >= 560);
    CHECK(replayed >= 700);
    CHECK(rig.edge->forwarder().replaying());
    rig.hub->ack_delay = 0ms;
    REQUIRE(rig.drain_backlog(60s));
    rig.check_laws();
}

TEST_CASE("replay_rate caps the backlog and leaves live reports alone") {
    Rig rig(13);
    rig.config.uplink.replay_rate = 50;
    fill(rig, 1'000, 500);
    rig.world.links().heal_both("edge", "hub");
    REQUIRE(rig.world.run_until([&] { return rig.edge->forwarder().replaying(); }, 60s));
    rig.recorder.order.clear();
    rig.load(100, 10s);
    const auto replayed = std::ranges::count_if(rig.recorder.order, [](const auto& o) { return o.second; });
    CHECK(replayed >= 480);
    CHECK(replayed <= 510);
    CHECK(rig.recorder.order.size() - static_cast<std::size_t>(replayed) >= 980);
    REQUIRE(rig.drain_backlog(60s));
    rig.check_laws();
}
