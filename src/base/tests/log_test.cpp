#include "base/log.h"

#include "base/internal/log_line.h"
#include "base/json.h"

#include <algorithm>
#include <concepts>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <ostream>
#include <rapidcheck.h>
#include <sstream>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

using namespace brim;

namespace {

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

} // namespace

// A secret has no way into a line, a document or a comparison.
static_assert(!std::is_constructible_v<LogField, std::string_view, Secret>);
static_assert(!std::is_constructible_v<LogField, std::string_view, const Secret&>);
static_assert(!std::is_constructible_v<Json, Secret>);
static_assert(!std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_convertible_v<Secret, std::string_view>);
static_assert(!Printable<Secret> && Printable<std::string>);
static_assert(!std::equality_comparable<Secret>);
static_assert(std::is_constructible_v<LogField, std::string_view, std::string>);
static_assert(std::is_constructible_v<LogField, std::string_view, int>);

namespace {

class HandClock final : public Clock {
public:
    Mono mono() const override { return now; }

    WallTime wall() const override { return {1'795'226'821'250}; }

    Mono now{1h};
};

/// A file in memory to log into.
class Captured {
public:
    Captured() : fd_(memfd_create("log", MFD_CLOEXEC)) {
        REQUIRE(fd_ >= 0);
        // As a log file is opened: without it threads share an offset that memory files do not lock.
        REQUIRE(fcntl(fd_, F_SETFL, O_APPEND) == 0);
    }

    ~Captured() { close(fd_); }

    Captured(const Captured&) = delete;
    Captured& operator=(const Captured&) = delete;

    int fd() const { return fd_; }

    std::string text() const {
        std::string out(static_cast<std::size_t>(lseek(fd_, 0, SEEK_END)), '\0');
        REQUIRE(pread(fd_, out.data(), out.size(), 0) == static_cast<ssize_t>(out.size()));
        return out;
    }

    std::vector<std::string> lines() const {
        std::vector<std::string> out;
        std::istringstream in(text());
        for (std::string line; std::getline(in, line);)
            out.push_back(line);
        return out;
    }

private:
    int fd_;
};

std::string text_line(std::initializer_list<LogField> fields, std::string_view message = "message") {
    return log_line(LogFormat::text, {1'795'226'821'250}, LogLevel::info, "uplink", message, fields, {}, 0);
}

} // namespace

TEST_CASE("a text line has time, level, component, message and fields") {
    CHECK(
        text_line({{"key", "value"}, {"quoted", "two words"}, {"count", 7}}) ==
        "2026-11-21T02:07:01.250Z INFO  uplink: message key=value quoted=\"two words\" count=7\n"
    );
    CHECK(text_line({{"empty", ""}}).ends_with(" empty=\"\"\n"));
    CHECK(text_line({{"a", "x=y"}, {"b", "q\"\\"}}).ends_with(" a=\"x=y\" b=\"q\\\"\\\\\"\n"));
    CHECK(text_line({{"name", "Gerät"}}).ends_with(" name=Gerät\n"));
}

TEST_CASE("nothing in a field can break its line, move the cursor or pose as another field") {
    CHECK(text_line({{"id", "x\n2026-11-21T02:07:01.250Z ERROR hub: forged"}})
              .ends_with("id=\"x\\n2026-11-21T02:07:01.250Z ERROR hub: forged\"\n"));
    CHECK(text_line({{"id", "\x1b[2J"}}).ends_with("id=\"\\u001b[2J\"\n"));
    CHECK(text_line({{"id",
                      "\xC2\x9B"
                      "2J"}})
              .ends_with("id=\"\\u009b2J\"\n"));
    CHECK(text_line({{"id", "\xE2\x80\xAEtxt"}}).ends_with("id=\"\\u202etxt\"\n"));
    CHECK(text_line({{"id", "\xFFz"}}).ends_with("id=\"\\xffz\"\n"));
    CHECK(text_line({{"id", "a\" admin=\"true"}}).ends_with("id=\"a\\\" admin=\\\"true\"\n"));
    CHECK(text_line({}, "two\nlines") == "2026-11-21T02:07:01.250Z INFO  uplink: two\\nlines\n");
    CHECK(rc::check([](const std::string& name, const std::string& value, const std::string& message) {
        for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
            const std::string line =
                log_line(format, {0}, LogLevel::warn, name, message, {{name, value}}, {}, 3);
            RC_ASSERT(std::ranges::count(line, '\n') == 1);
            RC_ASSERT(line.ends_with('\n'));
            RC_ASSERT(std::ranges::none_of(line, [](char c) {
                return c != '\n' && static_cast<unsigned char>(c) < 0x20;
            }));
        }
    }));
}

TEST_CASE("a JSON line is one document with ts, level, component, msg and then the fields") {
    const std::string line = log_line(
        LogFormat::json,
        {0},
        LogLevel::error,
        "hub",
        "no \"room\"",
        {{"device", "pump\n7"}, {"free", 12}},
        {},
        4
    );
    CHECK(
        line == "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"level\":\"error\",\"component\":\"hub\",\"msg\":\"no "
                "\\\"room\\\"\","
                "\"device\":\"pump\\n7\",\"free\":12,\"suppressed\":4}\n"
    );
    CHECK(Json::parse(line));
}

TEST_CASE("a field cannot take over a key of the JSON line") {
    const auto line = Json::parse(log_line(
        LogFormat::json, {0}, LogLevel::info, "hub", "m", {{"level", "debug"}, {"msg", "forged"}}, {}, 0
    ));
    REQUIRE(line);
    CHECK((*line)["level"].as_string() == "info");
    CHECK((*line)["msg"].as_string() == "m");
    CHECK((*line)["field_msg"].as_string() == "forged");
}

TEST_CASE("a field value has at most 2,048 bytes, the rest is cut visibly") {
    const std::string fits(log_value_bytes_max, 'x');
    CHECK(text_line({{"v", fits}}).ends_with("v=" + fits + "\n"));
    CHECK(text_line({{"v", fits + "y"}}).ends_with("v=" + fits + "...\n"));
    const auto json = log_line(LogFormat::json, {0}, LogLevel::info, "c", "m", {{"v", fits + "y"}}, {}, 0);
    CHECK(json.ends_with(fits + "...\"}\n"));
}

TEST_CASE("lines below the level are not written, and the level can change") {
    const HandClock clock;
    const Captured file;
    Log log(clock, {.fd = file.fd(), .level = LogLevel::warn});
    log.info("c", "quiet");
    log.warn("c", "heard");
    log.set_level(LogLevel::debug);
    log.debug("c", "now heard");
    log.error("c", "always");
    REQUIRE(file.lines().size() == 3);
    CHECK(file.lines()[0].ends_with("WARN  c: heard"));
    CHECK(file.lines()[1].ends_with("DEBUG c: now heard"));
    CHECK(file.lines()[2].ends_with("ERROR c: always"));
}

TEST_CASE("a message repeats at most so often a second, and what was left out is told") {
    HandClock clock;
    const Captured file;
    Log log(clock, {.fd = file.fd(), .lines_per_second_max = 3});
    for (int i = 0; i < 10; ++i)
        log.info("c", "storm", {{"i", i}});
    log.info("c", "another message");
    CHECK(file.lines().size() == 4);
    clock.now += 999ms;
    log.info("c", "storm");
    CHECK(file.lines().size() == 4);
    clock.now += 1ms;
    log.info("c", "storm");
    log.info("c", "storm");
    REQUIRE(file.lines().size() == 6);
    CHECK(file.lines()[4].ends_with("storm suppressed=8"));
    CHECK(file.lines()[5].ends_with("storm"));
}

TEST_CASE("lines left out of a message that fell silent are told later, or at the end") {
    HandClock clock;
    const Captured file;
    {
        Log log(clock, {.fd = file.fd(), .lines_per_second_max = 1});
        for (int i = 0; i < 5; ++i)
            log.info("c", "silent later");
        clock.now += 11s;
        log.info("c", "something else");
        REQUIRE(file.lines().size() == 3);
        CHECK(file.lines()[1].ends_with(
            "lines left out by the rate limit message=\"silent later\" suppressed=4"
        ));
        log.info("c", "something else");
        log.info("c", "something else");
    }
    REQUIRE(file.lines().size() == 4);
    CHECK(file.lines()[3].ends_with("message=\"something else\" suppressed=2"));
}

TEST_CASE("the rate limiter forgets old messages, however many texts there are") {
    HandClock clock;
    const Captured file;
    Log log(clock, {.fd = file.fd(), .lines_per_second_max = 1});
    for (int i = 0; i < 5'000; ++i)
        log.info("c", "text " + std::to_string(i));
    CHECK(file.lines().size() == 5'000);
}

TEST_CASE("lines of several threads never interleave") {
    const SystemClock clock;
    const Captured file;
    Log log(clock, {.fd = file.fd(), .lines_per_second_max = 1'000'000});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&log, t] {
            for (int i = 0; i < 500; ++i)
                log.info("c", "line", {{"thread", t}, {"text", std::string(300, 'x')}});
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    const auto lines = file.lines();
    CHECK(lines.size() == 2'000);
    for (const std::string& line : lines)
        REQUIRE(line.ends_with(" text=" + std::string(300, 'x')));
}
