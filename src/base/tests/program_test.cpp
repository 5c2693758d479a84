#include "base/program.h"

#include <doctest/doctest.h>

#include <vector>

namespace brim {

namespace {

CommandLine parse(std::vector<const char*> words, std::vector<const char*> environment = {}) {
    words.insert(words.begin(), "brim-x");
    environment.push_back(nullptr);
    return parse_command_line(
        static_cast<int>(words.size()), words.data(), environment.data(), {"--applied"}
    );
}

} // namespace

TEST_CASE("a daemon's command line: words, file, sets and flags in any order") {
    const CommandLine line =
        parse({"config", "--set", "a.b=1", "show", "--config", "f.toml", "--applied", "--set", "a.c=2"});
    CHECK(line.valid);
    CHECK(line.is({"config", "show"}));
    CHECK_FALSE(line.is({"config"}));
    CHECK_FALSE(line.is({"config", "show", "all"}));
    CHECK(line.source.file == "f.toml");
    CHECK(line.source.sets == std::vector<std::string>{"a.b=1", "a.c=2"});
    CHECK(line.has("--applied"));
    CHECK_FALSE(line.help);
}

TEST_CASE("an option without its value, or one nobody knows, makes the command line invalid") {
    CHECK_FALSE(parse({"run", "--config"}).valid);
    CHECK_FALSE(parse({"run", "--set"}).valid);
    CHECK_FALSE(parse({"run", "--verbose"}).valid);
    CHECK_FALSE(parse({"run", "--verbose", "--help"}).valid);
    CHECK(parse({"--help"}).help);
    CHECK(parse({"-h"}).valid);
    CHECK(parse({}).valid);
}

TEST_CASE("settings come from the environment; what a program gives its children does not") {
    const CommandLine line = parse(
        {"run"}, {"BRIM_HUB__DATA_DIR=/d=e", "BRIM_BUS=unix:/x", "BRIM_TOKEN=a__b", "PATH=/bin", "BRIM_A__B"}
    );
    REQUIRE(line.source.environment.size() == 1);
    CHECK(line.source.environment.at("BRIM_HUB__DATA_DIR") == "/d=e");
}

TEST_CASE("an error on a terminal names object, cause and fix; errors in settings bring their places") {
    CHECK(
        error_lines({Errc::io, "disk", "is full", "make room"}) == "error: disk: is full\nhint: make room\n"
    );
    CHECK(error_lines({Errc::invalid, "configuration", "a.toml:3:1: no", ""}) == "a.toml:3:1: no\n");
    CHECK(exit_code_of({Errc::busy, "x", "", ""}) == exit_code::locked);
    CHECK(exit_code_of({Errc::invalid, "configuration", "", ""}) == exit_code::invalid);
    CHECK(exit_code_of({Errc::io, "disk", "", ""}) == exit_code::failed);
}

} // namespace brim
