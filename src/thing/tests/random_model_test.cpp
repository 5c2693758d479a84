// Random models: values made to fit are accepted and survive a round trip; values made not to fit are
// refused.

#include "thing/model.h"
#include "thing/value.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <limits>

using namespace brim;
using namespace brim::thing;

namespace {

/// What the generator knows of one property: its type as JSON and how to make values on either side of the
/// border.
struct Made {
    Json type;
    Json good;
    Json bad;
};

Json specs(std::initializer_list<Json::Member> members) {
    return Json::object(members);
}

Json typed(std::string_view name, Json inner) {
    Json type = Json::object({{"type", name}});
    type.set("specs", std::move(inner));
    return type;
}

Made make_int() {
    const auto low = *rc::gen::inRange<int>(-1'000'000, 1'000'000);
    const auto high = low + *rc::gen::inRange<int>(1, 1'000);
    const Json good = *rc::gen::inRange<int>(low, high + 1);
    const Json bads[] = {Json(low - 1), Json(high + 1), Json("5"), Json(low + 0.5), Json(true), Json()};
    return {
        typed("int", specs({{"min", std::to_string(low)}, {"max", std::to_string(high)}})),
        good,
        bads[*rc::gen::inRange<std::size_t>(0, std::size(bads))]
    };
}

Made make_real(std::string_view name) {
    const double low = *rc::gen::inRange<int>(-1'000, 1'000) / 8.0;
    const double high = low + *rc::gen::inRange<int>(1, 800) / 8.0;
    const double good = low + (high - low) * (*rc::gen::inRange<int>(0, 1'001) / 1'000.0);
    const Json bads[] = {Json(low - 0.125), Json(high + 0.125), Json("1.5"), Json::array(), Json(false)};
    return {
        typed(name, specs({{"min", low}, {"max", high}})),
        Json(good),
        bads[*rc::gen::inRange<std::size_t>(0, std::size(bads))]
    };
}

Made make_enum() {
    const int first = *rc::gen::inRange<int>(-50, 50);
    const int count = *rc::gen::inRange<int>(1, 20);
    Json list = Json::object();
    for (int i = 0; i < count; ++i)
        list.set(std::to_string(first + 2 * i), "choice");
    const Json good = first + 2 * *rc::gen::inRange<int>(0, count);
    return {typed("enum", std::move(list)), good, Json(first + 1)};
}

Made make_text() {
    const int length = *rc::gen::inRange<int>(1, 60);
    const int used = *rc::gen::inRange<int>(0, length + 1);
    return {
        typed("text", specs({{"length", std::to_string(length)}})),
        Json(std::string(static_cast<std::size_t>(used), 'x')),
        Json(std::string(static_cast<std::size_t>(length) + 1, 'x'))
    };
}

Made make_scalar() {
    switch (*rc::gen::inRange(0, 7)) {
    case 0:
        return make_int();
    case 1:
        return make_real("float");
    case 2:
        return make_real("double");
    case 3:
        return {typed("bool", Json::object()), Json(*rc::gen::inRange(0, 2)), Json(2)};
    case 4:
        return make_enum();
    case 5:
        return make_text();
    default:
        return {
            typed("date", Json::object()), Json(std::to_string(*rc::gen::inRange(0, 2'000'000'000))), Json(5)
        };
    }
}

Made make_struct() {
    const int count = *rc::gen::inRange(1, 8);
    const int spoiled = *rc::gen::inRange(0, count);
    Json members = Json::array();
    Made out{Json(), Json::object(), Json::object()};
    for (int i = 0; i < count; ++i) {
        const Made member = make_scalar();
        const std::string name = "m" + std::to_string(i);
        Json field = Json::object({{"identifier", name}, {"name", name}});
        field.set("dataType", member.type);
        members.push(std::move(field));
        out.good.set(name, member.good);
        out.bad.set(name, i == spoiled ? member.bad : member.good);
    }
    out.type = typed("struct", std::move(members));
    return out;
}

Made make_array() {
    Made item = make_int();
    const int size = *rc::gen::inRange(1, 10);
    const int used = *rc::gen::inRange(0, size + 1);
    Made out{Json(), Json::array(), Json::array()};
    for (int i = 0; i < used; ++i)
        out.good.push(item.good);
    if (*rc::gen::inRange(0, 2) == 0) {
        for (int i = 0; i <= size; ++i)
            out.bad.push(item.good); // one too many
    } else {
        out.bad.push(item.bad);
    }
    Json inner = specs({{"size", std::to_string(size)}});
    inner.set("item", item.type);
    out.type = typed("array", std::move(inner));
    return out;
}

Made make_any() {
    const int kind = *rc::gen::inRange(0, 10);
    return kind == 0 ? make_struct() : kind == 1 ? make_array() : make_scalar();
}

Json model_of(const std::vector<Made>& made) {
    Json properties = Json::array();
    for (std::size_t i = 0; i < made.size(); ++i) {
        Json property =
            Json::object({{"identifier", "p" + std::to_string(i)}, {"name", "n"}, {"accessMode", "rw"}});
        property.set("dataType", made[i].type);
        properties.push(std::move(property));
    }
    Json tsl = Json::object();
    tsl.set("properties", std::move(properties));
    return tsl;
}

} // namespace

TEST_CASE("[random-1] any mix of fitting and spoiled values is sorted without a mistake") {
    PostReader reader;
    PropertyPost post;
    const bool held = rc::check("fitting values are kept, spoiled ones rejected", [&] {
        std::vector<Made> made;
        const int count = *rc::gen::inRange(1, 12);
        for (int i = 0; i < count; ++i)
            made.push_back(make_any());
        const auto model = Model::parse(model_of(made));
        RC_ASSERT(model.has_value());

        Json params = Json::object();
        std::vector<bool> spoiled;
        for (std::size_t i = 0; i < made.size(); ++i) {
            spoiled.push_back(*rc::gen::inRange(0, 3) == 0);
            Json value = spoiled.back() ? made[i].bad : made[i].good;
            if (*rc::gen::inRange(0, 2) == 0) {
                Json wrapped = Json::object({{"time", 1'000 + static_cast<int>(i)}});
                wrapped.set("value", std::move(value));
                value = std::move(wrapped);
            }
            params.set("p" + std::to_string(i), std::move(value));
        }
        Json envelope = Json::object({{"id", "1"}});
        envelope.set("params", params);
        RC_ASSERT(!reader.read(*model, envelope.text(*rc::gen::arbitrary<bool>()), WallTime{5'000}, {}, post)
        );

        std::size_t next = 0;
        std::size_t refused = 0;
        for (std::size_t i = 0; i < made.size(); ++i) {
            if (spoiled[i]) {
                RC_ASSERT(post.rejected.at(refused++).first == "p" + std::to_string(i));
                continue;
            }
            const Sample& sample = post.samples.at(next++);
            RC_ASSERT(sample.property == static_cast<int>(i));
            const auto tree = check_value(model->properties()[i].type, made[i].good, "p");
            RC_ASSERT(std::get<Value>(tree) == sample.value);
            const auto again = check_value(model->properties()[i].type, sample.value.to_json(), "p");
            RC_ASSERT(std::get<Value>(again) == sample.value);
        }
        RC_ASSERT(next == post.samples.size());
        RC_ASSERT(refused == post.rejected.size());
    });
    CHECK(held);
}

TEST_CASE("[random-2] any model exports to a document that reads back as itself") {
    const bool held = rc::check("round trip", [] {
        std::vector<Made> made;
        const int count = *rc::gen::inRange(0, 12);
        for (int i = 0; i < count; ++i)
            made.push_back(make_any());
        const auto model = Model::parse(model_of(made));
        RC_ASSERT(model.has_value());
        const Json exported = model->to_tsl("pk");
        const auto again = Model::parse(exported);
        RC_ASSERT(again.has_value());
        RC_ASSERT(again->to_tsl("pk") == exported);
    });
    CHECK(held);
}

TEST_CASE("[random-3] what is accepted is JSON, whatever bytes were changed, and within the model") {
    PostReader reader;
    PropertyPost post;
    const auto model = Model::parse_text(
        R"({"properties":[{"identifier":"ii","dataType":{"type":"int","specs":{"min":"0","max":"9"}}},{"identifier":"ttt","dataType":{"type":"text","specs":{"length":"4"}}}]})"
    );
    REQUIRE(model.has_value());
    const auto sound = [&](const std::string& payload) {
        if (reader.read(*model, payload, WallTime{5'000}, {}, post).has_value())
            return post.samples.empty();
        if (!Json::parse(payload).has_value())
            return false;
        return std::ranges::all_of(post.samples, [&](const Sample& sample) {
            const auto& type = model->properties()[static_cast<std::size_t>(sample.property)].type;
            return std::holds_alternative<Value>(check_value(type, sample.value.to_json(), "x"));
        });
    };
    const std::vector<std::string> good{
        R"({"id":"1","sys":{"ack":1},"params":{"ii":{"value":5,"time":12},"ttt":"ab\u0041"}})",
        R"({"id":7,"version":"1.0","none":[1,{"a":"b"},null],"params":{"\u0069i":3,"no":"x","ttt":{"time":1,"value":"a"}}})",
        R"({"params":"{}","method":"m"})",
    };
    SUBCASE("any one byte") {
        for (const std::string& text : good) {
            REQUIRE(!reader.read(*model, text, WallTime{5'000}, {}, post));
            for (std::size_t at = 0; at < text.size(); ++at) {
                std::string payload = text;
                for (int byte = 0; byte < 256; ++byte) {
                    payload[at] = static_cast<char>(byte);
                    if (!sound(payload))
                        FAIL_CHECK("accepted, but is not JSON or not within the model: ", payload);
                }
            }
        }
    }
    SUBCASE("some bytes") {
        CHECK(rc::check("mutated report", [&] {
            std::string payload = *rc::gen::elementOf(good);
            const auto count = *rc::gen::inRange(1, 4);
            for (int i = 0; i < count; ++i) {
                payload[*rc::gen::inRange<std::size_t>(0, payload.size())] =
                    static_cast<char>(*rc::gen::elementOf(std::string("{}[]:,\"\\ \t1a")));
            }
            RC_ASSERT(sound(payload));
        }));
    }
}
