// The log against a model: random appends, trims, cursors, kills and power cuts, also in the middle of
// operations.

#include "store/tests/log_rig.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <map>

using namespace brim;
using namespace brim::store;
using namespace brim::store::rig;

namespace {

/// What must hold of the log, kept beside it.
class Model {
public:
    explicit Model(std::uint64_t seed, bool faults) : random_(seed), rig_(seed), faults_(faults) {
        rig_.open();
    }

    void run(int steps) {
        for (int step = 0; step < steps; ++step) {
            if (died())
                recover();
            else
                act();
        }
        rig_.disk().clear_faults();
        rig_.power_cut(io::CutMode::random);
        recover();
    }

    std::size_t restarts() const { return restarts_; }

private:
    bool died() { return !rig_.machine().running(); }

    void act() {
        switch (random_.below(12)) {
        case 0:
            rig_.kill();
            break;
        case 1:
            rig_.power_cut(random_.below(3) == 0 ? io::CutMode::lose_all : io::CutMode::random);
            break;
        case 2:
            trim();
            break;
        case 3:
            set_cursor();
            break;
        case 4:
            if (faults_)
                rig_.disk().add_fault({.kind = io::DiskFault::Kind::power_off, .nth = 1 + random_.below(12)});
            break;
        case 5:
            rig_.world.run_for(std::chrono::milliseconds(random_.below(1'500)));
            break;
        default:
            append();
        }
    }

    void append() {
        const auto count = 1 + random_.below(30);
        for (std::uint64_t at = 0; at < count && !died(); ++at) {
            const std::string body = std::to_string(++bodies_) + "/" + std::string(random_.below(2'500), 'm');
            const auto seq = rig_.log->append(body);
            if (!seq)
                return;
            appended_[*seq] = body;
            rig_.log->when_durable(*seq, [this, seq = *seq](const Result<void>& result) {
                if (result)
                    acked_ = std::max(acked_, seq);
            });
        }
        // Sometimes several groups are on their way when the next thing happens.
        if (random_.below(2) == 0)
            rig_.world.run_for(std::chrono::microseconds(random_.below(4'000)));
    }

    void trim() {
        const Seq to = random_.below(acked_ + 1);
        trimmed_ = std::max(trimmed_, to);
        rig_.log->trim(to);
    }

    void set_cursor() {
        const std::string name = std::string(1, static_cast<char>('a' + random_.below(3)));
        const Seq position = std::max(set_[name], acked_);
        if (position == 0 || !rig_.log->set_cursor(name, position))
            return;
        set_[name] = position;
    }

    void recover() {
        ++restarts_;
        rig_.disk().clear_faults();
        rig_.world.run_for(1ms);
        rig_.log.reset();
        if (rig_.machine().running())
            rig_.kill();
        rig_.open();
        const auto stats = rig_.log->stats();
        REQUIRE(stats.quarantined_records == 0);
        REQUIRE(stats.quarantined_segments == 0);
        REQUIRE(stats.next > acked_);
        Seq expected = stats.first;
        REQUIRE(expected <= trimmed_ + 1);
        for (const auto& [seq, body] : rig_.read_all()) {
            REQUIRE(seq == expected);
            REQUIRE(body == appended_.at(seq));
            ++expected;
        }
        REQUIRE(expected == stats.next);
        for (const auto& [name, position] : set_) {
            const Seq held = rig_.log->cursor(name).position;
            REQUIRE(held <= position);
            REQUIRE(held >= flushed_[name]);
        }
        appended_.erase(appended_.lower_bound(stats.next), appended_.end());
        acked_ = stats.next - 1;
        for (auto& [name, position] : set_) {
            position = rig_.log->cursor(name).position;
            flushed_[name] = position;
        }
    }

    SeededRandom random_;
    LogRig rig_;
    bool faults_;
    std::map<Seq, std::string> appended_;
    std::map<std::string, Seq> set_;
    std::map<std::string, Seq> flushed_; ///< seen after a restart, so on disk
    Seq acked_ = 0;
    Seq trimmed_ = 0;
    std::uint64_t bodies_ = 0;
    std::size_t restarts_ = 0;
};

} // namespace

TEST_CASE("[F-01] [F-02] [B-87] acknowledged records survive kills and power cuts at any time, in order, once"
) {
    std::size_t restarts = 0;
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        CAPTURE(seed);
        Model model(seed, true);
        model.run(60);
        restarts += model.restarts();
    }
    CHECK(restarts >= 1'000);
}

TEST_CASE("any shape of appends, splits and restarts reads back") {
    const bool held = rc::check("log reads back", [](const std::vector<std::uint16_t>& sizes) {
        LogRig rig(sizes.size());
        rig.open();
        std::vector<std::string> expected;
        for (const auto size : sizes) {
            const std::string body(size % 16'385, static_cast<char>('a' + size % 26));
            expected.push_back(body);
            rig.append(body);
            if (size % 3 == 0)
                REQUIRE(rig.wait(expected.size()));
            if (size % 11 == 0) {
                REQUIRE(rig.wait(expected.size()));
                rig.kill();
                rig.open();
            }
        }
        if (!expected.empty())
            REQUIRE(rig.wait(expected.size()));
        const auto all = rig.read_all();
        RC_ASSERT(all.size() == expected.size());
        for (std::size_t at = 0; at < all.size(); ++at)
            RC_ASSERT(all[at] == (std::pair<Seq, std::string>(at + 1, expected[at])));
    });
    CHECK(held);
}
