#include "broker/acl.h"
#include "broker/internal/acl_match.h"

#include "mqtt/topic_filter.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace brim;
using namespace brim::broker;

namespace {

Principal user(std::string name, std::string client_id = "c1") {
    return {
        .proof = Proof::password,
        .name = std::move(name),
        .client_id = std::move(client_id),
        .valid_until = {}
    };
}

Principal anonymous(std::string client_id = "c1") {
    return {.proof = Proof::none, .name = {}, .client_id = std::move(client_id), .valid_until = {}};
}

Acl acl(std::string_view text) {
    auto made = Acl::parse(text, "acl");
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().text()));
    return std::move(*made);
}

std::string cause_of(std::string_view text, const AclLimits& limits = {}) {
    const auto made = Acl::parse(text, "acl", limits);
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().object == "acl");
    CHECK_FALSE(made.error().fix.empty());
    return made.error().cause;
}

std::vector<std::string> levels_of(std::string_view text) {
    std::vector<std::string> levels(1);
    for (const char c : text) {
        if (c == '/')
            levels.emplace_back();
        else
            levels.back() += c;
    }
    return levels;
}

/// Section 4.7 once more, the slow way.
bool naive_match(const std::string& filter, const std::string& topic) {
    const auto f = levels_of(filter);
    const auto t = levels_of(topic);
    if (topic.starts_with('$') && (f[0] == "+" || f[0] == "#"))
        return false;
    for (std::size_t i = 0; i < f.size(); ++i) {
        if (f[i] == "#")
            return t.size() >= i; // the parent too
        if (i >= t.size() || (f[i] != "+" && f[i] != t[i]))
            return false;
    }
    return f.size() == t.size();
}

/// All texts of 1 to `levels_max` of these levels.
std::vector<std::string> all_of(const std::vector<std::string>& words, std::size_t levels_max) {
    std::vector<std::string> made;
    std::vector<std::string> longest{""};
    for (std::size_t level = 0; level < levels_max; ++level) {
        std::vector<std::string> longer;
        for (const std::string& head : longest) {
            for (const std::string& word : words)
                longer.push_back(level == 0 ? word : head + "/" + word);
        }
        made.insert(made.end(), longer.begin(), longer.end());
        longest = std::move(longer);
    }
    std::erase(made, "");
    return made;
}

std::vector<std::string> filters() {
    auto made = all_of({"a", "b", "", "+", "#", "$s"}, 3);
    std::erase_if(made, [](const std::string& each) { return !mqtt::TopicFilter::parse(each); });
    return made;
}

/// "z" is in no filter: it stands for all the levels there are.
const std::vector<std::string>& topics() {
    static const auto made = all_of({"a", "b", "", "z", "$s"}, 4);
    return made;
}

} // namespace

TEST_CASE("[B-38] a filter is covered by a permission exactly when each topic it can match is") {
    const auto all = filters();
    std::vector<std::vector<bool>> matches;
    for (const std::string& filter : all) {
        std::vector<bool> row;
        for (const std::string& topic : topics()) {
            row.push_back(naive_match(filter, topic));
            if (row.back() != rule_matches(filter, AclReading::literal, {}, topic))
                FAIL(filter << " and topic " << topic);
        }
        matches.push_back(std::move(row));
    }
    for (std::size_t rule = 0; rule < all.size(); ++rule) {
        for (std::size_t filter = 0; filter < all.size(); ++filter) {
            bool is_covered = true;
            for (std::size_t i = 0; i < topics().size() && is_covered; ++i)
                is_covered = !matches[filter][i] || matches[rule][i];
            if (is_covered != rule_covers(all[rule], AclReading::literal, {}, all[filter]))
                FAIL(all[rule] << " covers " << all[filter] << " should be " << is_covered);
        }
    }
}

TEST_CASE("[B-38] whether a subscription is shared makes no difference to its permission") {
    const auto all = filters();
    const auto any = [&] { return *rc::gen::elementOf(all); };
    const bool is_true = rc::check([&] {
        std::string text = "user ann\n";
        const auto count = *rc::gen::inRange(0, 5);
        for (int i = 0; i < count; ++i) {
            text += *rc::gen::elementOf(std::vector<std::string>{
                "topic read ", "topic write ", "topic deny ", "topic ", "pattern read ", "pattern deny "
            });
            text += any() + "\n";
        }
        const auto made = Acl::parse(text, "acl");
        RC_ASSERT(made.has_value());
        const std::string filter = any();
        const bool plain = made->allows(user("ann"), Access::subscribe, filter);
        RC_ASSERT(plain == made->allows(user("ann"), Access::subscribe, "$share/g/" + filter));
        RC_ASSERT(plain == made->allows(user("ann"), Access::subscribe, "$queue/" + filter));
    });
    CHECK(is_true);
}

TEST_CASE("[B-39] what is allowed is what some line allows and no line denies, in any order") {
    struct Line {
        std::string words, filter;
    };

    const auto all = filters();
    const bool is_true = rc::check([&] {
        std::vector<Line> lines;
        const auto count = *rc::gen::inRange(0, 7);
        for (int i = 0; i < count; ++i)
            lines.push_back(
                {*rc::gen::elementOf(std::vector<std::string>{"read", "write", "readwrite", "deny"}),
                 *rc::gen::elementOf(all)}
            );
        std::string text = "user bob\ntopic #\nuser ann\n";
        for (const Line& line : lines)
            text +=
                (*rc::gen::arbitrary<bool>() ? "topic " : "pattern ") + line.words + " " + line.filter + "\n";
        const auto made = Acl::parse(text, "acl");
        RC_ASSERT(made.has_value());
        const auto some = [&](auto&& speaks, const std::string& access) {
            return std::ranges::any_of(lines, [&](const Line& line) {
                const bool concerns = line.words == access || (line.words == "readwrite" && access != "deny");
                return concerns && speaks(line.filter);
            });
        };
        const std::string topic = *rc::gen::elementOf(topics());
        const auto matches = [&](const std::string& filter) { return naive_match(filter, topic); };
        const bool is_denied = some(matches, "deny");
        RC_ASSERT(
            made->allows(user("ann"), Access::publish, topic) == (some(matches, "write") && !is_denied)
        );
        RC_ASSERT(made->allows(user("ann"), Access::receive, topic) == (some(matches, "read") && !is_denied));
        const std::string filter = *rc::gen::elementOf(all);
        const auto covers = [&](const std::string& rule) {
            return std::ranges::all_of(topics(), [&](const std::string& each) {
                return !naive_match(filter, each) || naive_match(rule, each);
            });
        };
        RC_ASSERT(
            made->allows(user("ann"), Access::subscribe, filter) ==
            (some(covers, "read") && !some(covers, "deny"))
        );
    });
    CHECK(is_true);
}

TEST_CASE("[B-42] a file without permissions denies everything, however it is empty") {
    for (const char* text :
         {"", "\n", "  \t\n\r\n", "# topic #\n", "\xEF\xBB\xBF", "\xEF\xBB\xBF# x", "user ann"}) {
        const Acl made = acl(text);
        for (const Principal& who : {user("ann"), anonymous()}) {
            CHECK_FALSE(made.allows(who, Access::publish, "a"));
            CHECK_FALSE(made.allows(who, Access::subscribe, "a"));
            CHECK_FALSE(made.allows(who, Access::receive, "a"));
        }
    }
    CHECK_FALSE(Acl().allows(user("ann"), Access::publish, "a"));
}

TEST_CASE("[B-42] a byte order mark and CRLF do not change what a file says") {
    const Acl made = acl("\xEF\xBB\xBFuser ann\r\n  topic read a/b  \r\n\ttopic\twrite c\r\n");
    CHECK(made.allows(user("ann"), Access::subscribe, "a/b"));
    CHECK(made.allows(user("ann"), Access::publish, "c"));
    CHECK_FALSE(made.allows(user("ann"), Access::publish, "a/b"));
    CHECK_FALSE(made.allows(user("bob"), Access::receive, "a/b"));
}

TEST_CASE("[B-42] one wrong line refuses the file and is named with its column") {
    CHECK(cause_of("# x\n\ntopics read a").starts_with("line 3, column 1: \"topics\""));
    CHECK(cause_of("user").starts_with("line 1, column 5: user without a name"));
    CHECK(cause_of("topic").starts_with("line 1, column 6: the topic filter is missing"));
    CHECK(cause_of("topic read").starts_with("line 1, column 11: the topic filter is missing"));
    CHECK(cause_of("topic deny   ").starts_with("line 1, column 11: the topic filter is missing"));
    CHECK(cause_of("topic reed a").starts_with("line 1, column 7: \"reed\" is no kind of access"));
    CHECK(cause_of("  topic read a/#/b").starts_with("line 1, column 14: '#' is not the last level"));
    CHECK(cause_of("topic read a+").starts_with("line 1, column 12:"));
    CHECK(cause_of("topic read $share/g/a").starts_with("line 1, column 12: a permission for a shared"));
    CHECK(cause_of("topic read $queue/a").starts_with("line 1, column 12: a permission for a shared"));
    CHECK(cause_of("topic read a # note").starts_with("line 1, column 12:"));
    CHECK(cause_of("user a\rtopic #").starts_with("line 1, column 1: a control character"));
    CHECK(cause_of(std::string("topic a\0b", 9)).starts_with("line 1, column 1: a control character"));
    CHECK(cause_of("user \xFF").starts_with("line 1, column 6:"));
    CHECK(cause_of("topic \xFF").starts_with("line 1, column 7:"));
    CHECK(cause_of("user " + std::string(257, 'a')).starts_with("line 1, column 6:"));
}

TEST_CASE("a filter may have blanks, behind the word for the access") {
    const Acl made = acl("user a b\ntopic read living room/lamp 1\ntopic readwrite read\n");
    CHECK(made.allows(user("a b"), Access::receive, "living room/lamp 1"));
    CHECK(made.allows(user("a b"), Access::publish, "read"));
    CHECK_FALSE(made.allows(user("a"), Access::publish, "read"));
}

TEST_CASE("every limit of the file holds on both sides") {
    const AclLimits limits{.file_bytes_max = 40, .rules_max = 2, .filter_bytes_max = 5, .levels_max = 2};
    CHECK(Acl::parse("topic abcde\ntopic a/b", "acl", limits).has_value());
    CHECK(Acl::parse("topic a\n#" + std::string(31, 'x'), "acl", limits).has_value());
    for (const std::string& text :
         {"topic a\n#" + std::string(32, 'x'),
          std::string("topic a\ntopic b\nuser c"),
          std::string("topic abcdef"),
          std::string("topic a/b/")}) {
        const auto made = Acl::parse(text, "acl", limits);
        REQUIRE_FALSE(made.has_value());
        CHECK(made.error().code == Errc::too_large);
    }
}

TEST_CASE("lines before any user are for the anonymous, patterns for all") {
    const Acl made = acl("topic read open\nuser ann\ntopic write in\npattern read all\ntopic write more\n");
    CHECK(made.allows(anonymous(), Access::receive, "open"));
    CHECK_FALSE(made.allows(user("ann"), Access::receive, "open"));
    CHECK_FALSE(made.allows(anonymous(), Access::publish, "in"));
    CHECK(made.allows(user("ann"), Access::publish, "in"));
    CHECK(made.allows(user("ann"), Access::publish, "more")); // a pattern does not end the user's lines
    for (const Principal& who : {anonymous(), user("ann"), user("bob")})
        CHECK(made.allows(who, Access::subscribe, "all"));
    Principal unproved = user("ann");
    unproved.proof = Proof::none;
    CHECK_FALSE(made.allows(unproved, Access::publish, "in"));
    Principal nameless = anonymous();
    nameless.proof = Proof::certificate;
    CHECK_FALSE(made.allows(nameless, Access::receive, "open"));
}

TEST_CASE("placeholders stand for the user and the client, in patterns alone") {
    const Acl made = acl("pattern readwrite dev/%c-x/%u\npattern write %u%u\nuser ann\ntopic read lit/%c\n");
    CHECK(made.allows(user("ann", "c9"), Access::publish, "dev/c9-x/ann"));
    CHECK(made.allows(user("ann", "c9"), Access::subscribe, "dev/c9-x/ann"));
    CHECK(made.allows(user("ann", "c9"), Access::publish, "annann"));
    CHECK(made.allows(user("ann", "c9"), Access::receive, "lit/%c"));
    CHECK_FALSE(made.allows(user("ann", "c9"), Access::receive, "lit/c9"));
    for (const char* topic :
         {"dev/c9/ann",
          "dev/c8-x/ann",
          "dev/c9-x/bob",
          "dev/c9-x",
          "dev/c9-x/ann/z",
          "ann",
          "annannann",
          "dev/%c-x/%u"})
        CHECK_FALSE(made.allows(user("ann", "c9"), Access::publish, topic));
    CHECK_FALSE(made.allows(user("ann", "c9"), Access::subscribe, "dev/+/ann"));
    CHECK_FALSE(made.allows(user("ann", "c9"), Access::subscribe, "dev/c9-x/+"));
}

TEST_CASE("[B-37] a name that means more than itself is never filled into a pattern") {
    const Acl made =
        acl("pattern readwrite u/%u/#\npattern readwrite c/%c/#\npattern deny no/%u/x\npattern no/#\n");
    for (const char* name : {"", "#", "+", "a/b", "$x", "a#", "a\nb", "\xFF"}) {
        INFO(name);
        CHECK(made.allows(user(name), Access::publish, "c/c1/x"));
        CHECK(made.allows(user("ann", name), Access::publish, "u/ann/x"));
        for (const char* topic : {"u/ann/x", "u//x", "u/a/b/x", "u/%u/x"}) {
            CHECK_FALSE(made.allows(user(name), Access::publish, topic));
            CHECK_FALSE(made.allows(user(name), Access::receive, topic));
        }
        for (const char* filter : {"u/+/#", "u/#", "#", "u/+/x"})
            CHECK_FALSE(made.allows(user(name), Access::subscribe, filter));
        CHECK_FALSE(made.allows(user("ann", name), Access::publish, "c/" + std::string(name) + "/x"));
        // To deny, the placeholder is as wide as any name.
        CHECK_FALSE(made.allows(user(name), Access::publish, "no/ann/x"));
        CHECK_FALSE(made.allows(user(name), Access::subscribe, "no/+/x"));
        CHECK(made.allows(user(name), Access::publish, "no/ann/y"));
    }
    CHECK_FALSE(made.allows(user("ann"), Access::publish, "no/ann/x"));
    CHECK(made.allows(user("ann"), Access::publish, "no/bob/x"));
}

TEST_CASE("topics that begin with $ are granted by name only") {
    const Acl wide = acl("user ann\ntopic #\ntopic +/x\n");
    for (const Access what : {Access::publish, Access::receive, Access::subscribe})
        CHECK_FALSE(wide.allows(user("ann"), what, "$SYS/x"));
    CHECK_FALSE(wide.allows(user("ann"), Access::subscribe, "$SYS/#"));
    CHECK_FALSE(wide.allows(user("ann"), Access::subscribe, "$share/g/$SYS/#"));
    CHECK(wide.allows(user("ann"), Access::subscribe, "#"));
    const Acl named = acl("user ann\ntopic read $SYS/#\n");
    CHECK(named.allows(user("ann"), Access::subscribe, "$SYS/broker/+"));
    CHECK(named.allows(user("ann"), Access::receive, "$SYS"));
    CHECK_FALSE(named.allows(user("ann"), Access::subscribe, "#"));
}

TEST_CASE("a denial of a part lets the subscription stand and holds back that part") {
    const Acl made = acl("user ann\ntopic deny home/safe/#\ntopic read home/#\n");
    CHECK(made.allows(user("ann"), Access::subscribe, "home/#"));
    CHECK(made.allows(user("ann"), Access::receive, "home/lamp"));
    CHECK_FALSE(made.allows(user("ann"), Access::receive, "home/safe/code"));
    CHECK_FALSE(made.allows(user("ann"), Access::receive, "home/safe"));
    CHECK_FALSE(made.allows(user("ann"), Access::subscribe, "home/safe/+"));
    CHECK_FALSE(made.allows(user("ann"), Access::subscribe, "$share/g/home/safe/+"));
}

TEST_CASE("the line that decided is told") {
    const Acl made = acl("# x\nuser ann\ntopic read a/#\ntopic deny a/b\npattern deny %u/no\n");
    const auto say = [&](Access what, std::string_view text) {
        return made.explain(user("ann"), what, text);
    };
    CHECK(say(Access::receive, "a/c").line == 3);
    CHECK(say(Access::receive, "a/c").allowed);
    CHECK(say(Access::receive, "a/b").line == 4);
    CHECK_FALSE(say(Access::receive, "a/b").allowed);
    CHECK(say(Access::publish, "ann/no").line == 5);
    CHECK(say(Access::publish, "a/c").line == 0);
}

TEST_CASE("[B-29] what is no topic or no filter is denied, whatever its size") {
    const Acl made = acl("user ann\ntopic #\n");
    const std::string slashes(65'534, '/'); // 65,535 levels
    CHECK(made.allows(user("ann"), Access::publish, slashes));
    CHECK(made.allows(user("ann"), Access::subscribe, slashes));
    CHECK_FALSE(made.allows(user("ann"), Access::publish, slashes + "/"));
    CHECK_FALSE(made.allows(user("ann"), Access::subscribe, slashes + "/"));
    for (const char* text : {"", "a/+", "#", "a#"}) {
        CHECK_FALSE(made.allows(user("ann"), Access::publish, text));
        CHECK_FALSE(made.allows(user("ann"), Access::receive, text));
    }
    for (const char* text : {"", "a#", "#/a", "$share/", "$share/g", "$share//a", "$share/g/", "$queue/"})
        CHECK_FALSE(made.allows(user("ann"), Access::subscribe, text));
}
