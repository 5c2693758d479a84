#include "mqtt/topic_filter.h"

#include <doctest/doctest.h>

#include <string>

using namespace brim;
using namespace brim::mqtt;

TEST_CASE("[B-32] valid filters are taken, others are not") {
    const char* good[] = {
        "a",
        "/",
        "//",
        "/a",
        "a/",
        "a/b",
        "+",
        "#",
        "+/+",
        "+/#",
        "/+",
        "/#",
        "+/",
        "a/+",
        "a/#",
        "a/+/b",
        "a/+/#",
        "+/a/#",
        "a//b",
        "a//#",
        "$SYS/#",
        "$SYS/+/x",
        "a b",
        " ",
        "a/$b",
        "$",
        "$share",
        "$shared/x",
        "$queue",
        "$sharex/g/a",
        "\xC3\xA9/#",
        "a/\xF0\x9F\x98\x80",
        "a/b/c/d/e/f/g/h",
        "$share/g/a",
        "$share/g/#",
        "$share/g/+/b",
        "$share/g//",
        "$share/g//a",
        "$share/group name/a",
        "$share/g/$SYS/#",
        "$queue/a",
        "$queue/#",
        "$queue//a",
        "$queue/+/b",
    };
    for (const char* text : good) {
        INFO(text);
        const auto filter = TopicFilter::parse(text);
        REQUIRE(filter.has_value());
        CHECK(filter->text() == text);
    }
    const std::string bad[] = {
        "",
        "a#",
        "a/b#",
        "#/",
        "#/a",
        "a/#/",
        "a/#/b",
        "##",
        "a/##",
        "+a",
        "a+",
        "a/+b",
        "a/b+",
        "++",
        "a/++/b",
        "+#",
        "#+",
        "a/+#",
        "$share/",
        "$share//a",
        "$share/g",
        "$share/g/",
        "$share/+/a",
        "$share/#/a",
        "$share/g+/a",
        "$share/g/a#",
        "$share/g/#/a",
        "$queue/",
        "$queue/a#",
        "$queue/#/a",
        std::string("a\0b", 3),
        std::string("\0", 1),
        "\xC0\x80",
        "a/\xED\xA0\x80",
        "\xFF",
        "\xEF\xBF\xBF",
        "\xEF\xB7\x90",
        "\xF0\x9F\xBF\xBE",
    };
    for (const std::string& text : bad) {
        INFO(text);
        const auto filter = TopicFilter::parse(text);
        REQUIRE_FALSE(filter.has_value());
        CHECK(filter.error().code == Errc::malformed);
    }
}

TEST_CASE("[B-32] every short filter over the special characters is judged as section 4.7 says") {
    const std::string alphabet = "a/+#$";
    std::size_t checked = 0;
    for (std::size_t length = 1; length <= 6; ++length) {
        std::size_t count = 1;
        for (std::size_t i = 0; i < length; ++i)
            count *= alphabet.size();
        for (std::size_t n = 0; n < count; ++n) {
            std::string text;
            for (std::size_t i = 0, rest = n; i < length; ++i, rest /= alphabet.size())
                text += alphabet[rest % alphabet.size()];
            // Said another way: each wildcard has '/' or an end on both sides, and nothing follows '#'.
            bool is_valid = true;
            for (std::size_t i = 0; i < text.size(); ++i) {
                if (text[i] != '+' && text[i] != '#')
                    continue;
                is_valid = is_valid && (i == 0 || text[i - 1] == '/');
                is_valid = is_valid && (i + 1 == text.size() || (text[i] == '+' && text[i + 1] == '/'));
            }
            CHECK_MESSAGE(TopicFilter::parse(text).has_value() == is_valid, text);
            ++checked;
        }
    }
    CHECK(checked == 5 + 25 + 125 + 625 + 3'125 + 15'625);
}

TEST_CASE("a shared filter knows its group and the filter permissions are asked for") {
    const auto shared = TopicFilter::parse("$share/g 1/a/+/#");
    REQUIRE(shared.has_value());
    CHECK(shared->shared());
    CHECK(shared->group() == "g 1");
    CHECK(shared->filter() == "a/+/#");
    CHECK(shared->wildcard());
    CHECK(shared->matches("a/b/c"));
    const auto queue = TopicFilter::parse("$queue/a/b");
    REQUIRE(queue.has_value());
    CHECK(queue->shared());
    CHECK(queue->group() == "$queue");
    CHECK(queue->filter() == "a/b");
    CHECK_FALSE(queue->wildcard());
    const auto plain = TopicFilter::parse("$SYS/x");
    REQUIRE(plain.has_value());
    CHECK_FALSE(plain->shared());
    CHECK(plain->group().empty());
}

TEST_CASE("filters match the topics of the standard's examples and no others") {
    struct Row {
        const char* filter;
        const char* topic;
        bool matches;
    };

    const Row rows[] = {
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/tennis/player1/#", "sport/tennis/player10", false},
        {"sport/#", "sport", true},
        {"sport/#", "sports", false},
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        {"#", "a/b/c", true},
        {"#", "/", true},
        {"#", "$SYS/x", false},
        {"+/x", "$SYS/x", false},
        {"$SYS/#", "$SYS", true},
        {"$SYS/#", "$SYS/x/y", true},
        {"$SYS/+", "$SYS/x", true},
        {"a/#", "a/$b", true},
        {"a/+", "a/$b", true},
        {"a//b", "a//b", true},
        {"a/+/b", "a//b", true},
        {"a/b", "a/b/", false},
        {"a/b/", "a/b", false},
        {"A", "a", false},
        {"+/#", "a", true},
        {"+/+/#", "a", false},
        {"+/+/#", "a/b", true},
    };
    for (const Row& row : rows) {
        INFO(row.filter, " ", row.topic);
        const auto filter = TopicFilter::parse(row.filter);
        REQUIRE(filter.has_value());
        CHECK(filter->matches(row.topic) == row.matches);
    }
}

TEST_CASE("[B-29] length and depth of filters and topics are bounded on both sides") {
    const FilterLimits limits{64, 8};
    CHECK(TopicFilter::parse(std::string(64, 'a'), limits).has_value());
    const auto too_long = TopicFilter::parse(std::string(65, 'a'), limits);
    REQUIRE_FALSE(too_long.has_value());
    CHECK(too_long.error().code == Errc::too_large);
    CHECK(TopicFilter::parse("1/2/3/4/5/6/7/8", limits).has_value());
    const auto too_deep = TopicFilter::parse("1/2/3/4/5/6/7/8/9", limits);
    REQUIRE_FALSE(too_deep.has_value());
    CHECK(too_deep.error().code == Errc::too_large);
    CHECK(TopicFilter::parse("$share/g/1/2/3/4/5/6/7/8", limits).has_value());

    CHECK(is_topic_name(std::string(64, 'a'), 64, 8));
    CHECK_FALSE(is_topic_name(std::string(65, 'a'), 64, 8));
    CHECK(is_topic_name("1/2/3/4/5/6/7/8", 64, 8));
    CHECK_FALSE(is_topic_name("1/2/3/4/5/6/7/8/9", 64, 8));

    const std::string slashes(65'535, '/');
    CHECK(filter_matches(slashes, slashes));
    CHECK(filter_matches("#", slashes));
    CHECK_FALSE(is_topic_name(slashes, 65'535, 128));
    CHECK(is_topic_name(slashes, 65'535, 65'536));
}

TEST_CASE("[B-35] every topic of length 0 to 2 is judged without surprise") {
    CHECK_FALSE(is_topic_name(""));
    for (int a = 0; a < 256; ++a) {
        const std::string one(1, static_cast<char>(a));
        CHECK(is_topic_name(one) == (a != 0 && a != '+' && a != '#'));
        for (int b = 0; b < 256; ++b) {
            const std::string two = one + static_cast<char>(b);
            const bool is_plain = a != 0 && a != '+' && a != '#' && b != 0 && b != '+' && b != '#';
            if (is_topic_name(two) != is_plain)
                FAIL("topic ", a, " ", b);
            const auto filter = TopicFilter::parse(two);
            if (filter && !filter->shared())
                filter_matches(filter->filter(), "a");
            filter_matches(two, one);
            filter_matches(one, two);
        }
    }
}
