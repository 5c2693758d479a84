#include "broker/bridge_rules.h"

#include <doctest/doctest.h>

#include <string>

using namespace brim;
using namespace brim::broker;
using enum brim::broker::BridgeDirection;
using Outcome = brim::broker::BridgeMapping::Outcome;

namespace {

BridgeRules made(std::vector<BridgeRule> rules, bool loop_safe = true) {
    auto result = BridgeRules::make(std::move(rules), loop_safe);
    REQUIRE_MESSAGE(result.has_value(), result.error().text());
    return *result;
}

Error refused(std::vector<BridgeRule> rules, bool loop_safe = true) {
    const auto result = BridgeRules::make(std::move(rules), loop_safe);
    REQUIRE_FALSE(result.has_value());
    return result.error();
}

} // namespace

TEST_CASE("a rule exchanges the local prefix for the remote one, and back") {
    const auto rules = made({{both, "sensors/#", 1, "plant/", "site-1/"}});
    CHECK(rules.to_remote("plant/sensors/a").topic == "site-1/sensors/a");
    CHECK(rules.to_local("site-1/sensors/a").topic == "plant/sensors/a");
    CHECK(rules.to_remote("sensors/a").outcome == Outcome::unmatched);
    CHECK(rules.to_local("plant/sensors/a").outcome == Outcome::unmatched);
}

TEST_CASE("a rule carries in its own direction only") {
    const auto rules = made({{out, "up/#"}, {in, "down/#", 0}});
    CHECK(rules.to_remote("up/a").outcome == Outcome::mapped);
    CHECK(rules.to_local("up/a").outcome == Outcome::unmatched);
    CHECK(rules.to_local("down/a").outcome == Outcome::mapped);
    CHECK(rules.to_remote("down/a").outcome == Outcome::unmatched);
    const auto filters = rules.remote_filters();
    REQUIRE(filters.size() == 1);
    CHECK(filters[0].filter == "down/#");
    CHECK(filters[0].qos == 0);
    CHECK(rules.touches("down/a"));
    CHECK_FALSE(rules.touches("side/a"));
}

TEST_CASE("the first rule that matches decides, also when it cannot name the topic") {
    const auto rules = made({{out, "a/b", 0, "", "x/"}, {out, "a/#", 1, "", "y/"}});
    CHECK(rules.to_remote("a/b").topic == "x/a/b");
    CHECK(rules.to_remote("a/b").qos == 0);
    CHECK(rules.to_remote("a/c").topic == "y/a/c");
    const std::string prefix(1'000, 'p');
    const auto narrow = made({{out, "#", 1, "", prefix + "/"}, {out, "#", 1}});
    CHECK(narrow.to_remote("short").outcome == Outcome::mapped);
    CHECK(narrow.to_remote(std::string(24, 'a')).outcome == Outcome::unfit);
    CHECK(narrow.to_remote(std::string(23, 'a')).outcome == Outcome::mapped);
}

TEST_CASE("a prefix is not taken from the topic above it, which a filter matches too") {
    const auto rules = made({{out, "#", 1, "a/", ""}, {out, "a", 1, "", "b/"}});
    CHECK(rules.to_remote("a").topic == "b/a");
    CHECK(rules.to_remote("a/b").topic == "b");
    CHECK(rules.to_remote("a/").outcome == Outcome::unfit);
}

TEST_CASE("[B-57] no topic of the remote side becomes one that begins with '$'") {
    const auto rules = made({{in, "#", 1, "", "out/"}, {in, "$SYS/#", 0, "remote/", ""}});
    CHECK(rules.to_local("out/$SYS/uptime").outcome == Outcome::unfit);
    CHECK(rules.to_local("out/$share/g/a").outcome == Outcome::unfit);
    CHECK(rules.to_local("out/a$").topic == "a$");
    CHECK(rules.to_local("$SYS/uptime").topic == "remote/$SYS/uptime");
    CHECK(rules.to_remote("$SYS/uptime").outcome == Outcome::unmatched);
    CHECK(made({{out, "#", 1, "in/", ""}}).to_remote("in/$SYS/x").outcome == Outcome::unfit);
    for (const auto& rule : std::vector<BridgeRule>{
             {in, "$SYS/#"},
             {out, "$SYS/#"},
             {both, "a", 1, "$x/", ""},
             {both, "a", 1, "", "$x/"},
             {in, "$share/g/a", 1, "", ""},
             {in, "a", 1, "", "$share/g/"},
             {in, "a", 1, "", "$queue/"}
         })
        CHECK(refused({rule}).code == Errc::invalid);
}

TEST_CASE("[B-29] [B-57] hostile topics are refused without a crash, on both sides") {
    const auto rules = made({{both, "#", 1, "l/", "r/"}});
    const std::string slashes(65'535, '/');
    using namespace std::string_view_literals;
    for (const auto topic : {std::string_view(slashes), ""sv, "r/+"sv, "r/#"sv, "#"sv, "r/a\0b"sv}) {
        CHECK(rules.to_local(topic).outcome == Outcome::unmatched);
        CHECK(rules.to_remote(topic).outcome == Outcome::unmatched);
    }
    CHECK(rules.to_local("r/\xff").outcome == Outcome::unfit);
    CHECK(rules.to_local("r/" + std::string(127, '/')).outcome == Outcome::unmatched);
    CHECK(refused({{out, slashes}}).code == Errc::too_large);
    CHECK(refused({{out, "a", 1, slashes, ""}}).code == Errc::too_large);
}

TEST_CASE("what is no rule is refused by its number") {
    CHECK(refused({}).code == Errc::invalid);
    CHECK(refused({{out, "a"}, {out, "a/#/b"}}).object.starts_with("bridge rule 2"));
    CHECK(refused({{out, ""}}).code == Errc::malformed);
    CHECK(refused({{out, "#", 1, "plant", ""}}).code == Errc::malformed);
    CHECK(refused({{out, "a", 3}}).code == Errc::invalid);
    CHECK(refused({{out, "a", 1, "+/", ""}}).code == Errc::invalid);
    CHECK(BridgeRules::make(std::vector<BridgeRule>(256, {out, "a"}), true).has_value());
    CHECK(refused(std::vector<BridgeRule>(257, {out, "a"})).code == Errc::too_large);
}

TEST_CASE("a map that renames a message at each round is refused where nothing else would stop it") {
    const std::vector<BridgeRule> growing{{out, "a/#"}, {in, "#", 1, "a/", ""}};
    CHECK(refused(growing, false).object.starts_with("bridge rule 1"));
    CHECK(BridgeRules::make(growing, true).has_value());
    CHECK(BridgeRules::make({{out, "a/#"}, {in, "b/#", 1, "a/", ""}}, false).has_value());
    CHECK(BridgeRules::make({{both, "#", 1, "l/", "r/"}}, false).has_value());
}

TEST_CASE("filters overlap when a topic can match both") {
    using P = std::pair<const char*, const char*>;
    for (const auto& [a, b] :
         {P{"a", "a"}, P{"a/#", "a"}, P{"+/b", "a/+"}, P{"#", "x/y"}, P{"a/+/c", "a/#"}}) {
        CHECK(filters_overlap(a, b));
        CHECK(filters_overlap(b, a));
    }
    for (const auto& [a, b] :
         {P{"a", "b"}, P{"a/+", "a"}, P{"a/b", "a"}, P{"#", "$SYS/x"}, P{"+/x", "$SYS/x"}}) {
        CHECK_FALSE(filters_overlap(a, b));
        CHECK_FALSE(filters_overlap(b, a));
    }
}
