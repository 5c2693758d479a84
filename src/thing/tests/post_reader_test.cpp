#include "sample_model.h"
#include "thing/envelope.h"
#include "thing/value.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::thing;

namespace {

constexpr WallTime now{1'763'690'000'000};

struct Fixture {
    Model model = sample_model();
    PostReader reader;
    PropertyPost post;

    /// The code of the whole message, 0 when it was read.
    int read(std::string_view payload, const PostLimits& limits = {}) {
        const auto refused = reader.read(model, payload, now, limits, post);
        return refused ? refused->code : 0;
    }
};

} // namespace

TEST_CASE_FIXTURE(Fixture, "[post-1] both shapes mix in one report") {
    REQUIRE(
        read(
            R"({"id":"1","version":"1.0","sys":{"ack":0},"params":{"Temperature":{"value":21.5,"time":1763689999000},"Count":7,"Place":{"value":{"x":1},"time":5},"Label":"hi"},"method":"thing.event.property.post"})"
        ) == 0
    );
    CHECK(post.id == "\"1\"");
    CHECK_FALSE(post.ack_wanted);
    REQUIRE(post.samples.size() == 4);
    CHECK(post.samples[0].property == model.property_index("Temperature"));
    CHECK(post.samples[0].value == Value{21.5});
    CHECK(post.samples[0].time_ms == 1'763'689'999'000);
    CHECK(post.samples[1].value == Value{std::int64_t{7}});
    CHECK(post.samples[1].time_ms == now.ms);
    CHECK(post.samples[2].value == Value{Value::Composite{R"({"x":1})"}});
    CHECK(post.samples[2].time_ms == 5);
    CHECK(post.samples[3].value == Value{std::string("hi")});
    CHECK(post.rejected.empty());
}

TEST_CASE_FIXTURE(Fixture, "[post-2] a struct is told from a wrapped value by value and time") {
    REQUIRE(read(R"({"params":{"Place":{"x":1,"note":"n"}}})") == 0);
    REQUIRE(post.samples.size() == 1);
    CHECK(post.samples[0].value == Value{Value::Composite{R"({"x":1,"note":"n"})"}});
    REQUIRE(read(R"({"params":{"Place":{"value":{"x":1}}}})") == 0);
    REQUIRE(post.samples.size() == 1);
    CHECK(post.samples[0].time_ms == now.ms);
    REQUIRE(read(R"({"params":{"Place":{"time":1}}})") == 0);
    REQUIRE(post.rejected.size() == 1);
    CHECK(post.rejected[0].second.code == 6304);
    REQUIRE(read(R"({"params":{"Count":{"time":1}}})") == 0);
    REQUIRE(post.rejected.size() == 1);
    CHECK(post.rejected[0].second.code == 6306);
    REQUIRE(read(R"({"params":{"Wave":{"value":[1,2],"time":3},"Points":[{"a":1}]}})") == 0);
    CHECK(post.samples.size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "[post-3] the id is kept as it was sent") {
    const std::pair<std::string_view, std::string_view> ids[] = {
        {"\"1\"", "\"1\""},
        {"1", "1"},
        {" 18446744073709551615 ", "18446744073709551615"},
        {"\"1|exp-topic|/sys/pk/dn/thing/event/property/post_reply\"",
         "\"1|exp-topic|/sys/pk/dn/thing/event/property/post_reply\""},
        {R"("a\"b")", R"("a\"b")"},
        {"-7", "-7"},
        {"1.50", "1.50"},
        {"null", ""},
        {"true", ""},
        {"{\"a\":1}", ""},
    };
    for (const auto& [sent, kept] : ids) {
        CAPTURE(sent);
        REQUIRE(read(R"({"id":)" + std::string(sent) + R"(,"params":{}})") == 0);
        CHECK(post.id == kept);
    }
    REQUIRE(read(R"({"params":{}})") == 0);
    CHECK(post.id.empty());
    CHECK(read(R"({"id":"\x","params":{}})") == 460);
    CHECK(read(R"({"id":01,"params":{}})") == 460);
}

TEST_CASE_FIXTURE(Fixture, "[post-4] an acknowledgement is wanted unless sys.ack is 0") {
    const std::pair<std::string_view, bool> rows[] = {
        {R"("sys":{"ack":0},)", false},
        {R"("sys":{"ack":1},)", true},
        {R"("sys":{},)", true},
        {"", true},
        {R"("sys":null,)", true},
        {R"("sys":{"ack":"0"},)", true},
        {R"("sys":{"x":[1],"ack":0},)", false},
    };
    for (const auto& [sys, wanted] : rows) {
        CAPTURE(sys);
        REQUIRE(read("{" + std::string(sys) + R"("params":{}})") == 0);
        CHECK(post.ack_wanted == wanted);
    }
}

TEST_CASE_FIXTURE(Fixture, "[post-5] what is not a report fails as a whole with 460") {
    for (const std::string_view payload : {
             "",
             " ",
             "{",
             "}",
             "[]",
             "1",
             "null",
             "nonsense",
             "{\"params\":}",
             R"({"id":"1"})",
             R"({"params":[]})",
             R"({"params":5})",
             R"({"params":null})",
             R"({"params":"{"})",
             R"({"params":{}} x)",
             R"({"params":{}}})",
             R"({"params":{}}{})",
             R"({"params":{}},)",
             R"({"params":{},"params":{}})",
             R"({"params":{"Count":tru}})",
             R"({"params":{"Count":01}})",
             R"({"params":{"Count":1,}})",
             R"({"params":{"Label":"\q"}})",
             R"({"params":{"Nobody":[1,}}})",
             R"({"params":{},"other":nope})",
             R"({"params":{"Count":1e}})",
             R"({"params":{"Exact":1e999}})",
             R"({"params":{"Exact":NaN}})",
             R"({"params":{'Count':1}})",
             "{\"params\":{\"Label\":\"\xff\"}}",
             "{\"params\":{\"Label\":\"a\nb\"}}",
             R"({"params":{"\q":1}})",
             R"({"params":{"Place":{"x":1}}]})",
             R"({"params":{"Count":{"lue":5,"ti"a":i":"}})",
             R"({"params":{"Place":{"x":1]}})",
         }) {
        CAPTURE(payload);
        CHECK(read(payload) == 460);
        CHECK(post.samples.empty());
    }
    CHECK(read("\xEF\xBB\xBF{\"params\":{}}") == 460);
}

TEST_CASE_FIXTURE(Fixture, "[post-6] params may be the text of an empty object") {
    CHECK(read(R"({"params":"{}"})") == 0);
    CHECK(read(R"({"params":{}})") == 0);
    CHECK(post.samples.empty());
}

TEST_CASE_FIXTURE(Fixture, "[post-7] every truncated prefix of a report is refused") {
    const std::string payload =
        R"({"id":"1","params":{"Temperature":{"value":21.5,"time":1763689999000},"Place":{"x":1},"Label":"h\u00e4"}})";
    REQUIRE(read(payload) == 0);
    for (std::size_t size = 0; size < payload.size(); ++size) {
        CAPTURE(size);
        CHECK(read(std::string_view(payload).substr(0, size)) == 460);
    }
    CHECK(read(payload) == 0); // and the reader is not hurt by it
}

TEST_CASE_FIXTURE(Fixture, "[post-8] the limits of a report hold on both sides") {
    const std::string payload = R"({"params":{"Count":1,"Free":2}})";
    CHECK(read(payload, {.bytes_max = payload.size()}) == 0);
    CHECK(read(payload, {.bytes_max = payload.size() - 1}) == 460);
    CHECK(read(payload, {.properties_max = 2}) == 0);
    CHECK(read(payload, {.properties_max = 1}) == 6106);
    CHECK(post.samples.empty());

    const auto at = [](std::int64_t time) {
        return R"({"params":{"Count":{"value":1,"time":)" + std::to_string(time) + "}}}";
    };
    CHECK(read(at(now.ms + 600'000)) == 0);
    CHECK(post.samples.size() == 1);
    CHECK(read(at(now.ms + 600'001)) == 0);
    REQUIRE(post.rejected.size() == 1);
    CHECK(post.rejected[0].second.code == 6326);
    CHECK(read(at(0)) == 0);
    CHECK(post.samples.size() == 1);
    for (const std::string_view time : {"-1", "1.5", "\"1\"", "null", "99999999999999999999"}) {
        CAPTURE(time);
        CHECK(read(R"({"params":{"Count":{"value":1,"time":)" + std::string(time) + "}}}") == 0);
        CHECK(post.samples.empty());
        CHECK(post.rejected.size() == 1);
        CHECK(read(R"({"params":{"Place":{"value":{"x":1},"time":)" + std::string(time) + "}}}") == 0);
        CHECK(post.samples.empty());
    }
}

TEST_CASE_FIXTURE(Fixture, "[post-9] bad properties are named one by one and the rest is kept") {
    REQUIRE(
        read(R"({"id":3,"params":{"LightSwitch":1,"Count":500,"Free":4,"Label":{"value":1,"time":2}}})") == 0
    );
    REQUIRE(post.samples.size() == 1);
    CHECK(post.samples[0].property == model.property_index("Free"));
    REQUIRE(post.rejected.size() == 3);
    CHECK(post.rejected[0].second.code == 6320);
    CHECK(post.rejected[0].second.message == "tsl parse: params not exist -> LightSwitch");
    CHECK(
        make_post_reply(post) ==
        R"({"code":200,"data":{"LightSwitch":"tsl parse: params not exist","Count":"tsl parse: int value is out of range","Label":"tsl parse: data type is not text"},"id":3,"message":"success","method":"thing.event.property.post","version":"1.0"})"
    );
    REQUIRE(read(R"({"id":"1","params":{"Odd\"name":1,"Odd\"name":2}})") == 0);
    CHECK(Json::parse(make_post_reply(post)).has_value());
}

TEST_CASE_FIXTURE(Fixture, "[post-10] a property named twice keeps its later value") {
    REQUIRE(read(R"({"params":{"Count":1,"Free":2,"Count":{"value":3,"time":9}}})") == 0);
    REQUIRE(post.samples.size() == 2);
    CHECK(post.samples[0].value == Value{std::int64_t{3}});
    CHECK(post.samples[0].time_ms == 9);
    CHECK(post.samples[1].value == Value{std::int64_t{2}});
    REQUIRE(read(R"({"params":{"Count":1,"Count":"bad"}})") == 0);
    CHECK(post.samples.size() == 1);
    CHECK(post.rejected.size() == 1);
    REQUIRE(read(R"({"params":{"Free":1}})") == 0); // nothing of it stays for the next report
    CHECK(post.samples.size() == 1);
    CHECK(post.rejected.empty());
}

TEST_CASE_FIXTURE(Fixture, "[post-11] escaped names and texts mean what they say") {
    REQUIRE(read("{\"params\":{\"\\u0043ount\":5,\"Label\":\"\\u00e4\\n\"}}") == 0);
    REQUIRE(post.samples.size() == 2);
    CHECK(post.samples[0].property == 0);
    CHECK(post.samples[1].value == Value{std::string("\xc3\xa4\n")});
    CHECK(read("{\"p\\u0061rams\":{}}") == 0);
}

TEST_CASE_FIXTURE(Fixture, "[post-12] short and long reports take turns in one reader") {
    const std::string label = R"({"params":{"Label":"1234567890123456789012345678901234567890"}})";
    for (int i = 0; i < 3; ++i) {
        CHECK(read(label) == 0);
        CHECK(read(R"({"params":{}})") == 0);
        CHECK(read(std::string(100'000, ' ') + R"({"params":{"Count":1}})") == 0);
        CHECK(post.samples.size() == 1);
    }
    CHECK(read(std::string(5'000, '[')) == 460);
    CHECK(read(R"({"params":{"Wave":)" + std::string(5'000, '[') + std::string(5'000, ']') + "}}") == 460);
}
