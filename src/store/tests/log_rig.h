#pragma once
// A log on a simulated machine, with the few steps that every test of it needs.

#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "store/log.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brim::store::rig {

inline constexpr std::uint32_t small_segment = 65'536;

inline LogOptions small_options() {
    return {
        .folder = "/data/log",
        .name = "test",
        .segment_bytes = small_segment,
        .bytes_max = 64ull * small_segment,
        .record_bytes_max = 16'384,
        .pending_bytes_max = 1'048'576,
    };
}

struct LogRig {
    explicit LogRig(std::uint64_t seed = 1, LogOptions log_options = small_options())
        : world(seed), options(std::move(log_options)) {}

    io::SimMachine& machine() { return world.machine("edge"); }

    io::SimDisk& disk() { return machine().disk(); }

    io::Env& env() { return machine().env(); }

    Result<void> try_open() {
        auto opened = Log::open(env(), options);
        if (!opened)
            return fail(std::move(opened).error());
        log = std::move(*opened);
        return {};
    }

    void open() {
        const auto opened = try_open();
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().text()));
    }

    Seq append(std::string_view body) {
        const auto seq = log->append(body);
        REQUIRE_MESSAGE(seq, (seq ? "" : seq.error().text()));
        return *seq;
    }

    /// Waits for the group of `seq`.
    Result<void> wait(Seq seq) {
        bool called = false;
        Result<void> outcome;
        log->when_durable(seq, [&](Result<void> result) {
            called = true;
            outcome = std::move(result);
        });
        CHECK_FALSE(called);
        REQUIRE(world.run_until([&] { return called; }, 60s));
        return outcome;
    }

    Result<void> append_durable(std::string_view body) { return wait(append(body)); }

    /// `count` records of `bytes` bytes, each recognisable by its number, `group` of them in a group.
    void fill(std::size_t count, std::size_t bytes, std::size_t group = 16) {
        for (std::size_t at = 0; at < count; ++at) {
            const Seq seq = log->stats().next;
            append(body_of(seq, bytes));
            if (at % group == group - 1 || at + 1 == count)
                REQUIRE(wait(seq));
        }
    }

    static std::string body_of(Seq seq, std::size_t bytes) {
        std::string body = std::to_string(seq) + ":";
        body.resize(std::max(bytes, body.size()), static_cast<char>('a' + seq % 26));
        return body;
    }

    std::vector<std::pair<Seq, std::string>> read_all(Seq from = 1) {
        std::vector<std::pair<Seq, std::string>> out;
        const auto reader = log->read_from(from);
        Record record;
        while (true) {
            const auto more = reader->next(record);
            REQUIRE_MESSAGE(more, (more ? "" : more.error().text()));
            if (!*more)
                return out;
            out.emplace_back(record.seq, std::string(record.body));
        }
    }

    /// Reads everything; checks that order and bodies (of fill()) are right; returns how many there were.
    std::size_t check_filled() {
        Seq last = 0;
        std::size_t count = 0;
        for (const auto& [seq, body] : read_all()) {
            CHECK(seq > last);
            CHECK(body == body_of(seq, body.size()));
            last = seq;
            ++count;
        }
        return count;
    }

    void close() {
        bool closed = false;
        log->close([&] { closed = true; });
        REQUIRE(world.run_until([&] { return closed; }, 60s));
        log.reset();
    }

    /// kill -9: the page cache survives.
    void kill() {
        machine().crash();
        log.reset();
    }

    void power_cut(io::CutMode mode = io::CutMode::random) {
        machine().power_cut(mode);
        log.reset();
    }

    std::vector<std::string> segment_paths() {
        std::vector<std::string> out;
        for (const auto& path : disk().paths())
            if (path.ends_with(".log"))
                out.push_back(path);
        return out;
    }

    std::size_t quarantine_files() {
        std::size_t count = 0;
        for (const auto& path : disk().paths())
            count += path.ends_with(".quarantine") ? 1 : 0;
        return count;
    }

    io::SimWorld world;
    LogOptions options;
    std::unique_ptr<Log> log;
};

} // namespace brim::store::rig
