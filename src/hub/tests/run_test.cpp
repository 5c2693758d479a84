// An edge that lost the end of its log gives numbers again: what has them now is not what had them before.

#include "door_rig.h"

#include <algorithm>
#include <deque>
#include <set>

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;

namespace {

const std::string edge_store(32, 'a');
const std::string first_run(16, 'a');
const std::string second_run(16, 'b');
const std::string run_c(16, 'c');

struct RunRig : DoorRig {
    using Outcome = std::optional<Result<void>>;

    RunRig() {
        product("gw", true);
        product("a1");
        device("gw", "g1");
        device("a1", "d1");
    }

    /// The numbers of starts noticed since the hub began.
    std::string runs() {
        const std::string text = machine().env().metrics().text();
        const auto at = text.find("brim_edge_runs_total ");
        REQUIRE(at != std::string::npos);
        return text.substr(at + 21, text.find('\n', at) - at - 21);
    }

    /// `run` may name earlier starts behind a bar: "bbbb...|aaaa... 1".
    UplinkMark mark(store::Seq seq, const std::string& run, store::Seq first) {
        UplinkMark out;
        out.gateway = at("gw", "g1").id;
        out.store = edge_store;
        out.seq = seq;
        out.low = 1;
        if (run.empty())
            return out;
        const std::size_t bar = run.find('|');
        std::string text = run.substr(0, bar) + " " + std::to_string(first);
        if (bar != std::string::npos)
            text += " " + run.substr(bar + 1);
        const auto runs = EdgeRuns::parse(text);
        REQUIRE(runs);
        out.runs = *runs;
        return out;
    }

    /// Offers a report whose value tells it apart; its outcome comes later.
    Outcome& offer(store::Seq seq, std::int64_t value, const std::string& run, store::Seq first) {
        Outcome& outcome = outcomes.emplace_back();
        const std::int64_t time_ms = machine().wall().ms;
        ingest->report(
            at("a1", "d1"),
            {{0, {value}, time_ms}},
            mark(seq, run, first),
            [&outcome](Result<void> result) { outcome.emplace(std::move(result)); }
        );
        return outcome;
    }

    void deliver(store::Seq seq, std::int64_t value, const std::string& run, store::Seq first) {
        const Outcome& outcome = offer(seq, value, run, first);
        REQUIRE(world.run_until([&outcome] { return outcome.has_value(); }, 60s));
        REQUIRE(*outcome);
    }

    /// Every value in history, as often as it is there.
    std::multiset<std::int64_t> values() {
        store::HistoryQuery query;
        query.device = at("a1", "d1").id;
        query.property = at("a1", "d1").product->model_ids[0];
        auto page = wait<store::HistoryPage>([&](auto done) { ingest->query(query, std::move(done)); });
        REQUIRE(page);
        std::multiset<std::int64_t> out;
        for (const store::HistoryPoint& point : page->points)
            out.insert(std::get<std::int64_t>(point.value));
        return out;
    }

    std::deque<Outcome> outcomes; ///< a deque: they stay where they are
};

using Values = std::multiset<std::int64_t>;

} // namespace

TEST_CASE("[run-1] a new run's numbers from its first on are new, those below stay delivered") {
    RunRig rig;
    for (store::Seq seq = 1; seq <= 5; ++seq)
        rig.deliver(seq, static_cast<std::int64_t>(seq), first_run, 1);
    rig.deliver(3, 30, first_run, 1);
    CHECK(rig.ingest->stats().duplicates == 1);
    CHECK(rig.runs() == "1");
    rig.deliver(3, 31, second_run, 4); // delivered before, and not lost by the edge
    rig.deliver(4, 40, second_run, 4);
    rig.deliver(5, 50, second_run, 4);
    rig.deliver(4, 41, second_run, 4); // sent twice
    CHECK(rig.ingest->stats().duplicates == 3);
    CHECK(rig.runs() == "2");
    CHECK(rig.values() == Values{1, 2, 3, 4, 5, 40, 50});
    CHECK(rig.world.log_text().find("lost the end of its buffer") != std::string::npos);
}

TEST_CASE("[run-2] a run that begins above everything sent, as after any crash, takes nothing out") {
    RunRig rig;
    for (store::Seq seq = 1; seq <= 5; ++seq)
        rig.deliver(seq, static_cast<std::int64_t>(seq), first_run, 1);
    for (store::Seq seq = 3; seq <= 6; ++seq)
        rig.deliver(seq, 10 * static_cast<std::int64_t>(seq), second_run, 6);
    CHECK(rig.values() == Values{1, 2, 3, 4, 5, 60});
    CHECK(rig.world.log_text().find("lost the end of its buffer") == std::string::npos);
}

TEST_CASE("[run-3] an edge that names no run is served as before, also between two that do") {
    RunRig rig;
    rig.deliver(1, 1, "", 0);
    rig.deliver(2, 2, "", 0);
    rig.deliver(1, 10, "", 0);
    CHECK(rig.runs() == "0");
    rig.deliver(2, 20, first_run, 2); // the first that does: its start is believed
    rig.deliver(2, 21, "", 0);
    rig.deliver(3, 3, "", 0);
    rig.deliver(3, 30, first_run, 2);
    CHECK(rig.runs() == "1");
    CHECK(rig.values() == Values{1, 2, 3, 20});
}

TEST_CASE("[run-4] a hub started anew within a run takes nothing out a second time, from log or history") {
    for (const bool power_cut : {false, true}) {
        for (const bool from_history : {false, true}) {
            CAPTURE(power_cut);
            CAPTURE(from_history);
            RunRig rig;
            for (store::Seq seq = 1; seq <= 4; ++seq)
                rig.deliver(seq, static_cast<std::int64_t>(seq), first_run, 1);
            rig.deliver(3, 30, second_run, 3);
            if (from_history)
                rig.world.run_for(2s);
            rig.restart(power_cut);
            rig.deliver(2, 21, second_run, 3);
            rig.deliver(3, 31, second_run, 3);
            rig.deliver(4, 40, second_run, 3);
            CHECK(rig.runs() == "0");
            CHECK(rig.ingest->stats().duplicates == 2);
            CHECK(rig.values() == Values{1, 2, 3, 4, 30, 40});
        }
    }
}

TEST_CASE("[run-5] what comes before a run is durable waits its turn, also when the edge starts once more") {
    RunRig rig;
    for (store::Seq seq = 1; seq <= 4; ++seq)
        rig.deliver(seq, static_cast<std::int64_t>(seq), first_run, 1);
    rig.fault(io::DiskFault::Kind::slow, "/data/ingress", 100ms);
    rig.offer(5, 5, first_run, 1); // on its way to the disk when the edge starts again without it
    rig.offer(4, 40, second_run, 4);
    rig.offer(5, 50, second_run, 4);
    rig.offer(4, 41, second_run, 4);
    rig.offer(5, 500, run_c, 5);
    bool settled = false;
    rig.ingest->settle(rig.mark(6, run_c, 5), [&settled](const Result<void>& done) {
        settled = done.has_value();
    });
    rig.world.run_for(50ms);
    for (std::size_t at = 4; at < rig.outcomes.size(); ++at)
        CHECK_FALSE(rig.outcomes[at].has_value());
    REQUIRE(rig.world.run_until([&] { return settled; }, 60s));
    for (const RunRig::Outcome& outcome : rig.outcomes) {
        REQUIRE(outcome.has_value());
        CHECK(outcome->has_value());
    }
    CHECK(rig.runs() == "3");
    CHECK(rig.ingest->stats().duplicates == 1);
    rig.deliver(6, 60, run_c, 5);
    CHECK(rig.values() == Values{1, 2, 3, 4, 5, 40, 50, 500});
}

TEST_CASE("[run-6] run_waiting_max messages wait for a run and not one more; a disk that refuses it is told"
) {
    RunRig rig;
    rig.ingest_options.run_waiting_max = 3;
    rig.restart();
    rig.deliver(1, 1, first_run, 1);
    rig.fault(io::DiskFault::Kind::slow, "/data/ingress", 100ms);
    std::deque<RunRig::Outcome*> offered;
    for (store::Seq seq = 1; seq <= 4; ++seq)
        offered.push_back(&rig.offer(seq, 10 * static_cast<std::int64_t>(seq), second_run, 1));
    RunRig::Outcome& other = rig.offer(9, 9, "", 0); // of the same edge: no room either
    REQUIRE(rig.world.run_until([&] { return (*offered[2]).has_value(); }, 60s));
    for (int at = 0; at < 3; ++at)
        CHECK((**offered[static_cast<std::size_t>(at)]).has_value());
    REQUIRE((*offered[3]).has_value());
    CHECK((**offered[3]).error().code == Errc::busy);
    REQUIRE(other.has_value());
    CHECK((*other).error().code == Errc::busy);
    rig.deliver(4, 40, second_run, 1);
    rig.machine().disk().clear_faults();

    rig.fault(io::DiskFault::Kind::io_error, "/data/ingress/seg-");
    RunRig::Outcome& refused = rig.offer(1, 100, run_c, 1);
    RunRig::Outcome& behind = rig.offer(2, 200, run_c, 1);
    REQUIRE(rig.world.run_until([&] { return refused.has_value() && behind.has_value(); }, 60s));
    CHECK_FALSE((*refused).has_value());
    CHECK_FALSE((*behind).has_value());
    CHECK(rig.runs() == "2");
    rig.machine().disk().clear_faults();
    rig.deliver(1, 100, run_c, 1);
    rig.deliver(2, 200, run_c, 1);
    CHECK(rig.values() == Values{1, 10, 20, 30, 40, 100, 200});
}

TEST_CASE("[run-8] a start that never spoke may have given numbers again: the next one that does tells of it"
) {
    RunRig rig;
    for (store::Seq seq = 1; seq <= 6; ++seq)
        rig.deliver(seq, static_cast<std::int64_t>(seq), first_run, 1);
    // The log lost 4 to 6; run b gave 4 and 5 to others in the dark, and run c begins at 6.
    const std::string since_a = run_c + "|" + second_run + " 4 " + first_run + " 1";
    rig.deliver(3, 30, since_a, 6);
    rig.deliver(4, 40, since_a, 6);
    rig.deliver(5, 50, since_a, 6);
    rig.deliver(6, 60, since_a, 6);
    CHECK(rig.runs() == "2");
    rig.deliver(4, 41, run_c, 6); // what it told is told once
    CHECK(rig.values() == Values{1, 2, 3, 4, 5, 6, 40, 50, 60});
}

TEST_CASE("[run-9] a start is known by its name in the list: only what came after it is taken out") {
    RunRig rig;
    for (store::Seq seq = 1; seq <= 6; ++seq)
        rig.deliver(seq, static_cast<std::int64_t>(seq), second_run, 4); // the hub met run b
    const std::string list = run_c + "|" + second_run + " 4 " + first_run + " 1";
    for (store::Seq seq = 1; seq <= 7; ++seq)
        rig.deliver(seq, 10 * static_cast<std::int64_t>(seq), list, 7);
    CHECK(rig.values() == Values{1, 2, 3, 4, 5, 6, 70});
    // One that meets none of the named starts believes all of them.
    RunRig other;
    for (store::Seq seq = 1; seq <= 3; ++seq)
        other.deliver(seq, static_cast<std::int64_t>(seq), std::string(16, 'd'), 1);
    for (store::Seq seq = 1; seq <= 3; ++seq)
        other.deliver(seq, 10 * static_cast<std::int64_t>(seq), run_c + "|" + second_run + " 2", 9);
    CHECK(other.values() == Values{1, 2, 3, 20, 30});
}

TEST_CASE("[run-7] killed or cut off at any point of a new run, each message is stored once") {
    std::size_t killed_early = 0;
    for (int step = 0; step < 60; ++step) {
        const bool power_cut = step % 2 == 1;
        CAPTURE(step);
        RunRig rig;
        for (store::Seq seq = 1; seq <= 6; ++seq)
            rig.deliver(seq, static_cast<std::int64_t>(seq), first_run, 1);
        rig.fault(io::DiskFault::Kind::slow, "/data/", 5ms);
        const auto send_all = [&rig] {
            for (store::Seq seq = 3; seq <= 8; ++seq)
                rig.offer(seq, 10 * static_cast<std::int64_t>(seq), second_run, 4);
        };
        send_all();
        rig.world.run_for(1ms * step);
        killed_early += rig.outcomes.back().has_value() ? 0 : 1;
        rig.restart(power_cut);
        rig.machine().disk().clear_faults();
        send_all(); // an edge without its acknowledgements
        REQUIRE(rig.world.run_until([&rig] { return rig.outcomes.back().has_value(); }, 60s));
        for (auto outcome = rig.outcomes.end() - 6; outcome != rig.outcomes.end(); ++outcome) {
            REQUIRE(outcome->has_value());
            CHECK((*outcome)->has_value());
        }
        CHECK(rig.values() == Values{1, 2, 3, 4, 5, 6, 40, 50, 60, 70, 80});
        rig.restart(power_cut);
        CHECK(rig.values() == Values{1, 2, 3, 4, 5, 6, 40, 50, 60, 70, 80});
    }
    CHECK(killed_early > 5);
    CHECK(killed_early < 60);
}
