// The only file that sees simdjson.
#include "base/assert.h"
#include "base/internal/json_scan.h"
#include "base/json.h"

#include <algorithm>
#include <simdjson.h>

namespace brim {

namespace {

constexpr std::size_t json_depth_limit = 1'024;         ///< build() and ~Json() recurse this deep at most
constexpr std::size_t json_parser_keep_max = 1'048'576; ///< a larger document's buffers are given back

std::unexpected<Error> json_fail(Errc code, std::string cause, std::string fix) {
    return fail(code, "JSON text", std::move(cause), std::move(fix));
}

std::unexpected<Error> json_malformed_at(const JsonFault& fault) {
    return json_fail(
        Errc::malformed,
        std::string(fault.cause) + " at byte " + std::to_string(fault.offset),
        "correct the JSON text"
    );
}

Error json_too_deep(std::size_t depth_max) {
    return Error{
        Errc::too_large,
        "JSON text",
        "nested deeper than the " + std::to_string(depth_max) + " levels allowed here",
        "flatten the document"
    };
}

/// simdjson's tape as our tree, counting values and comparing names.
class JsonBuilder {
public:
    explicit JsonBuilder(const JsonLimits& limits) : limits_(limits), values_left_(limits.values_max) {}

    /// Recursion ends at depth_max.
    bool build(const simdjson::dom::element& from, Json& to) {
        if (values_left_ == 0) {
            error_ = Error{
                Errc::too_large,
                "JSON text",
                "more values than allowed here",
                "split the document into smaller ones"
            };
            return false;
        }
        --values_left_;
        using simdjson::dom::element_type;
        switch (from.type()) {
        case element_type::NULL_VALUE:
            to = Json();
            return true;
        case element_type::BOOL:
            to = Json(from.get_bool().value_unsafe());
            return true;
        case element_type::INT64:
            to = Json(from.get_int64().value_unsafe());
            return true;
        case element_type::UINT64:
            to = Json(from.get_uint64().value_unsafe());
            return true;
        case element_type::DOUBLE:
            to = Json(from.get_double().value_unsafe());
            return true;
        case element_type::STRING:
            to = Json(from.get_string().value_unsafe());
            return true;
        case element_type::ARRAY:
            return build_array(from.get_array().value_unsafe(), to);
        case element_type::OBJECT:
            return build_object(from.get_object().value_unsafe(), to);
        }
        return false;
    }

    Error take_error() { return std::move(error_); }

private:
    bool enter() {
        if (++depth_ <= limits_.depth_max)
            return true;
        error_ = json_too_deep(limits_.depth_max); // simdjson does not count an empty array or object
        return false;
    }

    bool build_array(const simdjson::dom::array& from, Json& to) {
        if (!enter())
            return false;
        Json::Array items;
        items.reserve(std::min(from.size(), values_left_));
        for (const simdjson::dom::element item : from) {
            if (!build(item, items.emplace_back()))
                return false;
        }
        --depth_;
        to = Json(std::move(items));
        return true;
    }

    bool build_object(const simdjson::dom::object& from, Json& to) {
        if (!enter())
            return false;
        Json::Object members;
        members.reserve(std::min(from.size(), values_left_));
        for (const auto [name, value] : from) {
            members.emplace_back(std::string(name), Json());
            if (!build(value, members.back().second))
                return false;
        }
        if (!names_differ(members))
            return false;
        --depth_;
        to = Json(std::move(members));
        return true;
    }

    /// Sorted, not hashed: nobody can choose names that make this slow.
    bool names_differ(const Json::Object& members) {
        std::vector<std::string_view> names;
        names.reserve(members.size());
        for (const auto& member : members)
            names.emplace_back(member.first);
        std::ranges::sort(names);
        const auto twice = std::ranges::adjacent_find(names);
        if (twice == names.end())
            return true;
        error_ = Error{
            Errc::malformed,
            "JSON text",
            "member \"" + std::string(twice->substr(0, 64)) + "\" appears twice in one object",
            "name each member once"
        };
        return false;
    }

    const JsonLimits& limits_;
    std::size_t values_left_;
    std::size_t depth_ = 0;
    Error error_;
};

/// A parser whose buffers are reused; one for each thread, because each holds the last document.
simdjson::dom::parser& json_parser(std::size_t depth_max) {
    thread_local simdjson::dom::parser parser;
    // simdjson counts the document itself as one level.
    if (parser.max_depth() != depth_max + 1 || parser.capacity() > json_parser_keep_max) {
        parser = simdjson::dom::parser();
        const auto failed = parser.allocate(4'096, depth_max + 1);
        BRIM_ASSERT(failed == simdjson::SUCCESS || failed == simdjson::MEMALLOC, "the depth was checked");
    }
    return parser;
}

/// `text` with ".0" behind every integer that is too large for 64 bits.
std::string with_doubles(std::string_view text, const std::vector<std::size_t>& ends) {
    std::string out;
    out.reserve(text.size() + ends.size() * 2);
    std::size_t from = 0;
    for (const std::size_t end : ends) {
        out += text.substr(from, end - from);
        out += ".0";
        from = end;
    }
    out += text.substr(from);
    return out;
}

} // namespace

Result<Json> Json::parse(std::string_view text, const JsonLimits& limits) {
    BRIM_ASSERT(
        limits.depth_max >= 1 && limits.depth_max <= json_depth_limit, "JSON depth limit within 1 to 1,024"
    );
    if (text.size() > limits.bytes_max) {
        return json_fail(
            Errc::too_large,
            std::to_string(text.size()) + " bytes; at most " + std::to_string(limits.bytes_max) +
                " are allowed here",
            "send less at once"
        );
    }
    simdjson::dom::parser& parser = json_parser(limits.depth_max);
    simdjson::dom::element root;
    auto outcome = parser.parse(text.data(), text.size()).get(root);
    if (outcome == simdjson::DEPTH_ERROR)
        return fail(json_too_deep(limits.depth_max));
    if (outcome == simdjson::MEMALLOC) {
        return json_fail(Errc::unavailable, "no memory for its parser", "give this program more memory");
    }
    if (outcome != simdjson::SUCCESS) {
        const JsonScan scan = json_scan(text, limits.depth_max);
        if (scan.fault && scan.fault->too_deep)
            return fail(json_too_deep(limits.depth_max));
        if (scan.fault)
            return json_malformed_at(*scan.fault);
        outcome = parser.parse(with_doubles(text, scan.large_int_ends)).get(root);
        if (outcome != simdjson::SUCCESS) {
            return json_fail(Errc::malformed, simdjson::error_message(outcome), "correct the JSON text");
        }
    }
    JsonBuilder builder(limits);
    Json out;
    if (!builder.build(root, out))
        return fail(builder.take_error());
    return out;
}

} // namespace brim
