// The forwarder's options, on both sides of each, over a real log on the simulated disk.

#include "edge/forwarder.h"
#include "io/sim/sim_world.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace brim;
using namespace brim::edge;
using namespace std::chrono_literals;

namespace {

/// The uplink's end: what was published lies here until the test settles it.
struct ForwardRig final : ForwardPort {
    io::SimWorld world{1};
    io::Env& env = world.machine("edge").env();
    Ledger ledger{env.metrics()};
    std::unique_ptr<store::Log> log;
    std::unique_ptr<Forwarder> forwarder;
    std::vector<store::Seq> sent;
    std::size_t window = 1'000;
    std::set<std::string> shut; ///< devices without a session

    std::vector<std::string> runs; ///< brim-run of each message published

    explicit ForwardRig(ForwardOptions options = {}) { open(options); }

    void open(ForwardOptions options = {}) {
        forwarder.reset();
        log.reset();
        auto opened = store::Log::open(
            env,
            {.folder = "/log", .segment_bytes = 65'536, .bytes_max = 1'048'576, .record_bytes_max = 32'768}
        );
        REQUIRE(opened.has_value());
        log = std::move(*opened);
        forwarder = std::make_unique<Forwarder>(env, *log, *this, ledger, options);
        REQUIRE(forwarder->begin_run());
    }

    ~ForwardRig() override { world.machine("edge").crash(); }

    std::size_t quota() override { return window - std::min(window, forwarder->inflight()); }

    Result<void> publish(const Message& message, store::Seq seq) override {
        for (const auto& [name, value] : message.user_properties) {
            if (name == "brim-run")
                runs.push_back(value);
        }
        sent.push_back(seq);
        return {};
    }

    bool gate(std::string_view, std::string_view device) override {
        return !shut.contains(std::string(device));
    }

    bool doubt(const std::string&) override { return false; }

    void report(const std::string& device) {
        const std::string topic = "/sys/a1PUMP/" + device + "/thing/event/property/post";
        REQUIRE(forwarder->accept(encode_report(ReportKind::property, WallTime{1}, topic, "{}"), [](auto) {})
        );
    }

    void settle_all(mqtt::ReasonCode reason = mqtt::ReasonCode::success) {
        for (const store::Seq seq : std::exchange(sent, {}))
            forwarder->settled(seq, reason);
    }
};

} // namespace

TEST_CASE("gaps_max runs above passed-over reports are kept, one more gives up the oldest of these") {
    ForwardRig rig({.gaps_max = 3});
    rig.shut.insert("locked");
    rig.forwarder->begin();
    const auto locked_then_open = [&] {
        rig.report("locked");
        rig.report("open");
        rig.world.run_for(1s);
        rig.settle_all();
    };
    for (int i = 0; i < 3; ++i)
        locked_then_open();
    CHECK(rig.ledger.dropped().empty());
    CHECK(rig.forwarder->held() == 3);
    locked_then_open();
    CHECK(rig.ledger.dropped().at("no_session") == 1);
    CHECK(rig.forwarder->held() == 3);
    CHECK(rig.ledger.acknowledged == 4);
}

TEST_CASE("progress is stored within save_every, not at once") {
    ForwardRig rig({.save_every = 200ms});
    rig.forwarder->begin();
    rig.report("open");
    rig.world.run_for(1s);
    rig.settle_all();
    const auto stored = [&] { return rig.log->cursor("uplink").position; };
    rig.world.run_for(198ms);
    CHECK(stored() == 0);
    rig.world.run_for(4ms);
    CHECK(stored() == 1);
}

TEST_CASE("a lane that was asked for patience waits between half of retry_min and it, growing to retry_max") {
    ForwardRig rig({.retry_min = 1'000ms, .retry_max = 4'000ms});
    rig.forwarder->begin();
    rig.report("open");
    rig.world.run_for(100ms);
    Duration ceiling = 1'000ms;
    for (int round = 0; round < 6; ++round) {
        CAPTURE(round);
        REQUIRE(rig.sent.size() == 1);
        rig.settle_all(mqtt::ReasonCode::quota_exceeded);
        rig.world.run_for(ceiling / 2 - 1ms);
        CHECK(rig.sent.empty());
        rig.world.run_for(ceiling - ceiling / 2 + 3ms);
        ceiling = std::min<Duration>(ceiling * 2, 4'000ms);
    }
    CHECK(ceiling == 4'000ms);
    rig.settle_all();
    CHECK(rig.forwarder->held() == 0);
}

TEST_CASE("replay_share and replay_rate: the backlog gets its part of the window, and no more a second") {
    for (const unsigned share : {1U, 99U}) {
        CAPTURE(share);
        ForwardRig rig({.replay_share = share});
        for (int i = 0; i < 300; ++i)
            rig.report("old");
        rig.world.run_for(1s);
        rig.window = 0;
        rig.forwarder->begin();
        for (int i = 0; i < 300; ++i)
            rig.report("new");
        rig.world.run_for(1s);
        rig.window = 100;
        rig.forwarder->kick();
        rig.world.run_for(1s);
        REQUIRE(rig.sent.size() == 100);
        const auto old = std::ranges::count_if(rig.sent, [](store::Seq seq) { return seq <= 300; });
        CHECK(std::abs(old - static_cast<long>(share)) <= 1);
    }
    ForwardRig rig({.replay_rate = 20});
    for (int i = 0; i < 300; ++i)
        rig.report("old");
    rig.world.run_for(1s);
    rig.forwarder->begin();
    rig.world.run_for(5s);
    CHECK(rig.sent.size() >= 99);
    CHECK(rig.sent.size() <= 103); // a burst of a tenth of a second
}

TEST_CASE("each message names the run that sends it and the run's first number, both new at every start") {
    ForwardRig rig;
    rig.forwarder->begin();
    rig.report("open");
    rig.report("open");
    rig.world.run_for(1s);
    const auto first = std::exchange(rig.runs, {});
    REQUIRE(first.size() == 2);
    CHECK(first[0] == first[1]);
    CHECK(first[0].size() == 18);
    CHECK(first[0].substr(0, 16).find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK(first[0].substr(16) == " 1");
    rig.sent.clear();
    rig.open();
    rig.forwarder->begin();
    rig.report("open");
    rig.world.run_for(1s);
    REQUIRE(rig.runs.size() == 3); // those in flight once more, by this run
    for (const std::string& run : rig.runs)
        CHECK(run == rig.runs[0]);
    CHECK(rig.runs[0].substr(0, 16) != first[0].substr(0, 16));
    CHECK(rig.runs[0].substr(16) == " 3 " + first[0]);
}

TEST_CASE("what the log drops to make room is counted once its group is written, and at the end at the latest"
) {
    ForwardRig rig;
    const auto uncounted = [&rig] {
        const auto& dropped = rig.ledger.dropped();
        const auto full = dropped.find("full");
        return rig.log->stats().dropped_records - (full == dropped.end() ? 0 : full->second);
    };
    while (rig.log->stats().dropped_records == 0) { // 1 MiB of reports, in the dark
        rig.report(std::string(2'000, 'd'));
        rig.world.run_for(10ms);
    }
    CHECK(uncounted() == 0);
    const auto before = rig.log->stats().dropped_records;
    for (int i = 0; i < 2'000 && rig.log->stats().dropped_records == before; ++i) {
        REQUIRE(rig.log->append(std::string(2'000, 'o'))); // by somebody else
        rig.world.run_for(10ms);
    }
    CHECK(uncounted() > 0);
    rig.forwarder->end();
    CHECK(uncounted() == 0);
}

TEST_CASE("a start the hub may not know of is told by those after it, until one of them is acknowledged") {
    ForwardRig rig;
    const auto start = [&rig] {
        rig.world.run_for(2s);
        rig.open();
        return rig.forwarder->run();
    };
    const std::string first = rig.forwarder->run();
    rig.report("open");
    const std::string second = start();
    CHECK(second.substr(16) == " 2 " + first);
    rig.report("open");
    const std::string third = start();
    CHECK(third.substr(16) == " 3 " + second);

    rig.forwarder->begin();
    rig.world.run_for(1s);
    REQUIRE(rig.sent.size() == 2);
    CHECK(rig.runs[0] == third);
    rig.settle_all(mqtt::ReasonCode::not_authorized); // it says nothing of what the hub knows
    CHECK(rig.forwarder->run() == third);
    rig.report("open");
    rig.world.run_for(1s);
    rig.settle_all();
    CHECK(rig.forwarder->run() == third.substr(0, 18));
    rig.report("open");
    rig.world.run_for(1s);
    CHECK(rig.runs.back() == third.substr(0, 18));
    const std::string fourth = start();
    CHECK(fourth.substr(16) == " 5 " + third.substr(0, 18));
}

TEST_CASE(
    "the acknowledgement of a message whose number the hub does not count tells nothing of its knowledge"
) {
    ForwardRig rig;
    rig.world.run_for(2s);
    rig.open();
    const std::string run = rig.forwarder->run();
    rig.forwarder->begin();
    REQUIRE(rig.forwarder->accept(
        encode_report(ReportKind::other, WallTime{1}, "/a1PUMP/open/user/x", "{}"), [](auto) {}
    ));
    rig.world.run_for(1s);
    REQUIRE(rig.sent.size() == 1);
    rig.settle_all();
    CHECK(rig.forwarder->run() == run);
    rig.report("open");
    rig.world.run_for(1s);
    rig.settle_all();
    CHECK(rig.forwarder->run() == run.substr(0, 18));
}

TEST_CASE("what was settled above the end of a log that lost its tail does not count for what comes next") {
    ForwardRig rig;
    rig.forwarder->begin();
    for (int i = 0; i < 3; ++i)
        rig.report("open");
    rig.world.run_for(1s);
    rig.settle_all();
    store::SeqSet ahead;
    (void)ahead.raise(6); // as if 4 and 5, and 7 to 9, had been there
    for (store::Seq seq = 7; seq <= 9; ++seq)
        (void)ahead.insert(seq);
    rig.world.run_for(1s);
    REQUIRE(rig.log->set_cursor("uplink", ahead.low() - 1, ahead.encode(1'000)));
    rig.world.run_for(3s);
    rig.open();
    CHECK(rig.forwarder->held() == 0);
    rig.forwarder->begin();
    for (int i = 0; i < 6; ++i)
        rig.report("open");
    rig.world.run_for(1s);
    // The log itself goes on above its cursor's position, 5; what is settled above that it does not know.
    CHECK(rig.sent == std::vector<store::Seq>{6, 7, 8, 9, 10, 11});
    CHECK(rig.forwarder->held() == 6);
    rig.settle_all();
    CHECK(rig.forwarder->held() == 0);
    CHECK(rig.world.log_text().find("numbers are given again") != std::string::npos);
}
