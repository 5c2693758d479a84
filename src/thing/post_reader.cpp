#include "thing/value.h"

#include "thing/internal/check.h"
#include "thing/internal/raw_member.h"

#include <simdjson.h>

#include <cstring>

namespace brim::thing {

namespace {

namespace sj = simdjson;
namespace od = simdjson::ondemand;

/// Depth of a composite value inside a post: array, struct, array, scalar.
constexpr JsonLimits composite_limits{.bytes_max = 262'144, .depth_max = 8, .values_max = 100'000};

Rejection malformed(std::string_view cause) {
    return {check::code_parameter, "request parameter error: " + std::string(cause)};
}

/// What reading a part came to; all but `ok` end the message.
enum class Outcome : std::uint8_t { ok, broken, no_params, repeated_params, too_many };

std::string_view right_trimmed(std::string_view token) {
    while (!token.empty() &&
           (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' || token.back() == '\t')) {
        token.remove_suffix(1);
    }
    return token;
}

/// The first pass proved UTF-8, closed quotes and no control characters; only escapes and bare words are left
/// to check.
bool valid_token(std::string_view token) {
    if (token.empty())
        return false;
    if (token.size() >= 2 && token.front() == '"' && std::memchr(token.data(), '\\', token.size()) == nullptr)
        return true;
    return Json::parse(token).has_value();
}

/// A key without its quotes; nothing when its escapes are broken. Keys hold none unless somebody writes them
/// on purpose.
std::optional<std::string_view> key_of(od::field& field) {
    const char* begin = field.key().raw();
    const char* end = begin;
    while (*end != '"' && *end != '\\')
        ++end;
    if (*end == '"')
        return std::string_view(begin, static_cast<std::size_t>(end - begin));
    std::string_view unescaped;
    if (field.unescaped_key().get(unescaped) != sj::SUCCESS)
        return std::nullopt;
    return unescaped;
}

/// The text of a scalar; empty when no value can stand there. Does not consume it: what simdjson then steps
/// over for us is a string even before a colon, where it takes the string for a key and all behind it up to
/// the next closing bracket for its value. The raw token ends where the next one begins.
std::string_view token_of(od::value& value) {
    const std::string_view raw = value.raw_json_token();
    return *(raw.data() + raw.size()) == ':' ? std::string_view{} : right_trimmed(raw);
}

/// The text of a whole value, brackets and all; empty when it is broken. Consumes it.
std::string_view text_of(od::value& value) {
    od::json_type type{};
    if (value.type().get(type) != sj::SUCCESS)
        return {};
    if (type == od::json_type::object) {
        od::object object;
        std::string_view raw;
        return value.get_object().get(object) == sj::SUCCESS && object.raw_json().get(raw) == sj::SUCCESS
                   ? raw
                   : std::string_view{};
    }
    if (type == od::json_type::array) {
        od::array array;
        std::string_view raw;
        return value.get_array().get(array) == sj::SUCCESS && array.raw_json().get(raw) == sj::SUCCESS
                   ? raw
                   : std::string_view{};
    }
    return token_of(value);
}

/// The value as a tree, or nothing when it is broken.
std::optional<Json> tree_of(od::value& value) {
    const std::string_view text = text_of(value);
    if (text.empty())
        return std::nullopt; // simdjson must not be handed a null pointer
    auto json = Json::parse(text, composite_limits);
    return json ? std::optional(*std::move(json)) : std::nullopt;
}

/// Steps over a member that means nothing to us; it still has to be JSON.
Outcome skip(od::value& value) {
    return valid_token(text_of(value)) ? Outcome::ok : Outcome::broken;
}

} // namespace

struct PostReader::State {
    od::parser parser;
    std::vector<char> buffer; ///< the payload and simdjson's padding; grows to the largest payload seen

    const Model* model = nullptr;
    const PostLimits* limits = nullptr;
    PropertyPost* out = nullptr;
    std::int64_t received_ms = 0;
    std::size_t used = 0;             ///< samples of `out` filled so far; those behind are reused buffers
    std::size_t members = 0;          ///< members of params so far
    std::size_t expected = 0;         ///< devices report in one order: the property after the last one
    std::vector<std::int32_t> places; ///< by property: its sample in this post, or -1
    bool params_seen = false;

    Outcome read_document(std::size_t payload_bytes);
    Outcome read_member(od::field& field);
    Outcome read_sys(od::value value);
    Outcome read_params(od::value value);
    Outcome read_property(od::field& field);
    Outcome read_scalar(const Property& property, od::value& value, Sample& sample, bool& kept);
    Outcome read_wrapped(const Property& property, od::value& value, Sample& sample, bool& kept);
    Outcome read_composite(const Property& property, od::value& value, Sample& sample, bool& kept);
    Outcome read_tree(const Property& property, od::value& value, Sample& sample, bool& kept);
    void judge(const Property& property, const Json& json, Sample& sample, bool& kept);

    bool time_in_range(std::int64_t time) const {
        return time >= 0 && time <= received_ms + limits->future_ms_max;
    }

    int find(std::string_view name);
    Sample& spare();
    void keep(int index);

    void refuse(std::string_view name, Rejection why) { out->rejected.emplace_back(name, std::move(why)); }
};

int PostReader::State::find(std::string_view name) {
    const auto& properties = model->properties();
    if (expected < properties.size() && properties[expected].identifier == name)
        return static_cast<int>(expected++);
    const int index = model->property_index(name);
    if (index >= 0)
        expected = static_cast<std::size_t>(index) + 1;
    return index;
}

Sample& PostReader::State::spare() {
    if (used == out->samples.size())
        out->samples.emplace_back();
    Sample& sample = out->samples[used];
    sample.time_ms = received_ms;
    return sample;
}

/// Counts the spare sample in. A property named twice keeps its place and takes the later value, as JSON
/// readers do.
void PostReader::State::keep(int index) {
    const auto at = static_cast<std::size_t>(index);
    out->samples[used].property = index;
    if (places[at] >= 0) {
        std::swap(out->samples[static_cast<std::size_t>(places[at])], out->samples[used]);
        return;
    }
    places[at] = static_cast<std::int32_t>(used++);
}

Outcome PostReader::State::read_document(std::size_t payload_bytes) {
    od::document document;
    od::object top;
    if (parser.iterate(buffer.data(), payload_bytes, buffer.size()).get(document) != sj::SUCCESS ||
        document.get_object().get(top) != sj::SUCCESS) {
        return Outcome::broken;
    }
    for (auto item : top) {
        od::field field;
        if (std::move(item).get(field) != sj::SUCCESS)
            return Outcome::broken;
        if (const Outcome outcome = read_member(field); outcome != Outcome::ok)
            return outcome;
    }
    // simdjson 3.0.1 has no at_end(): out of bounds is how it says that nothing follows.
    if (document.current_location().error() != sj::OUT_OF_BOUNDS)
        return Outcome::broken;
    return params_seen ? Outcome::ok : Outcome::no_params;
}

Outcome PostReader::State::read_member(od::field& field) {
    const auto name = key_of(field);
    if (!name)
        return Outcome::broken;
    od::value value = field.value();
    if (name == "params")
        return read_params(value);
    if (name == "sys")
        return read_sys(value);
    if (name == "id") {
        const std::string_view token = token_of(value);
        const bool scalar =
            !token.empty() && (token[0] == '"' || token[0] == '-' || (token[0] >= '0' && token[0] <= '9'));
        if (!scalar)
            return skip(value);
        if (!valid_token(token))
            return Outcome::broken;
        out->id.assign(token);
        return Outcome::ok;
    }
    return skip(value);
}

Outcome PostReader::State::read_sys(od::value value) {
    od::object sys;
    if (value.get_object().get(sys) != sj::SUCCESS)
        return skip(value);
    for (auto item : sys) {
        od::field field;
        if (std::move(item).get(field) != sj::SUCCESS)
            return Outcome::broken;
        const auto name = key_of(field);
        if (!name)
            return Outcome::broken;
        od::value inner = field.value();
        std::int64_t number = 0;
        if (name == "ack" && inner.get_int64().get(number) == sj::SUCCESS) {
            out->ack_wanted = number != 0;
        } else if (skip(inner) != Outcome::ok) {
            return Outcome::broken;
        }
    }
    return Outcome::ok;
}

Outcome PostReader::State::read_params(od::value value) {
    if (params_seen)
        return Outcome::repeated_params;
    od::object params;
    if (value.get_object().get(params) != sj::SUCCESS) {
        const std::string_view text = text_of(value);
        if (!valid_token(text))
            return Outcome::broken;
        if (text != "\"{}\"")
            return Outcome::no_params; // the Go SDK writes an empty object as a text
        params_seen = true;
        return Outcome::ok;
    }
    params_seen = true;
    for (auto item : params) {
        od::field field;
        if (std::move(item).get(field) != sj::SUCCESS)
            return Outcome::broken;
        if (++members > limits->properties_max)
            return Outcome::too_many;
        if (const Outcome outcome = read_property(field); outcome != Outcome::ok)
            return outcome;
    }
    return Outcome::ok;
}

Outcome PostReader::State::read_property(od::field& field) {
    const auto name = key_of(field);
    if (!name)
        return Outcome::broken;
    od::value value = field.value();
    const int index = find(*name);
    if (index < 0) {
        refuse(*name, check::reject(check::code_unknown_property, "params not exist", *name));
        return skip(value);
    }
    const Property& property = model->properties()[static_cast<std::size_t>(index)];
    Sample& sample = spare();
    bool kept = false;
    od::json_type type{};
    if (value.type().get(type) != sj::SUCCESS)
        return Outcome::broken;
    Outcome outcome = Outcome::ok;
    if (property.type.type == Type::structure || property.type.type == Type::array) {
        outcome = read_composite(property, value, sample, kept);
    } else if (type == od::json_type::object) {
        outcome = read_wrapped(property, value, sample, kept);
    } else {
        outcome = read_scalar(property, value, sample, kept);
    }
    if (kept && outcome == Outcome::ok)
        keep(index);
    return outcome;
}

Outcome
PostReader::State::read_scalar(const Property& property, od::value& value, Sample& sample, bool& kept) {
    std::optional<Rejection> refused;
    switch (property.type.type) {
    case Type::int32:
    case Type::boolean:
    case Type::enumeration: {
        std::int64_t number = 0;
        if (value.get_int64().get(number) != sj::SUCCESS)
            return read_tree(property, value, sample, kept);
        refused = check::integer(property.type, number, property.identifier);
        if (!refused)
            sample.value.data = number;
        break;
    }
    case Type::float32:
    case Type::float64: {
        double number = 0;
        if (value.get_double().get(number) != sj::SUCCESS)
            return read_tree(property, value, sample, kept);
        refused = check::real(property.type, number, property.identifier);
        if (!refused)
            sample.value.data = number;
        break;
    }
    default: {
        std::string_view text;
        if (value.get_string().get(text) != sj::SUCCESS)
            return read_tree(property, value, sample, kept);
        refused = check::text(property.type, text, property.identifier);
        if (refused)
            break;
        if (auto* reused = std::get_if<std::string>(&sample.value.data)) {
            reused->assign(text);
        } else {
            sample.value.data = std::string(text);
        }
        break;
    }
    }
    kept = !refused.has_value();
    if (refused)
        refuse(property.identifier, *std::move(refused));
    return Outcome::ok;
}

/// {"value":21.5,"time":1763690000000} in either order.
Outcome
PostReader::State::read_wrapped(const Property& property, od::value& value, Sample& sample, bool& kept) {
    od::object wrapper;
    if (value.get_object().get(wrapper) != sj::SUCCESS)
        return Outcome::broken;
    bool has_value = false;
    bool time_fits = true;
    for (auto item : wrapper) {
        od::field field;
        if (std::move(item).get(field) != sj::SUCCESS)
            return Outcome::broken;
        const auto name = key_of(field);
        if (!name)
            return Outcome::broken;
        od::value inner = field.value();
        Outcome outcome = Outcome::ok;
        if (name == "value" && !has_value) {
            has_value = true;
            outcome = read_scalar(property, inner, sample, kept);
        } else if (name == "time") {
            std::int64_t time = 0;
            time_fits = inner.get_int64().get(time) == sj::SUCCESS;
            if (!time_fits)
                outcome = skip(inner);
            time_fits = time_fits && time_in_range(time);
            if (time_fits)
                sample.time_ms = time;
        } else {
            outcome = skip(inner);
        }
        if (outcome != Outcome::ok)
            return outcome;
    }
    if (!has_value)
        refuse(property.identifier, check::wrong_type(property.type.type, property.identifier));
    if (kept && !time_fits) {
        kept = false;
        refuse(
            property.identifier,
            check::reject(check::code_time, "time is not UTC milliseconds", property.identifier)
        );
    }
    return Outcome::ok;
}

/// A struct or an array, bare or in {"value","time"}: a struct never has members of these names
/// (ModelReader).
Outcome
PostReader::State::read_composite(const Property& property, od::value& value, Sample& sample, bool& kept) {
    const auto json = tree_of(value);
    if (!json)
        return Outcome::broken;
    const Json* inner = json->find("value");
    if (inner == nullptr) {
        judge(property, *json, sample, kept);
        return Outcome::ok;
    }
    judge(property, *inner, sample, kept);
    const Json* time = json->find("time");
    if (!kept || time == nullptr)
        return Outcome::ok;
    kept = time->is_int() && time_in_range(time->as_int());
    if (kept) {
        sample.time_ms = time->as_int();
    } else {
        refuse(
            property.identifier,
            check::reject(check::code_time, "time is not UTC milliseconds", property.identifier)
        );
    }
    return Outcome::ok;
}

/// The slow way for a scalar that is not what the model wants: tells a wrong type from broken JSON.
Outcome PostReader::State::read_tree(const Property& property, od::value& value, Sample& sample, bool& kept) {
    const auto json = tree_of(value);
    if (!json)
        return Outcome::broken;
    judge(property, *json, sample, kept);
    return Outcome::ok;
}

void PostReader::State::judge(const Property& property, const Json& json, Sample& sample, bool& kept) {
    auto checked = check_value(property.type, json, property.identifier);
    kept = std::holds_alternative<Value>(checked);
    if (kept) {
        sample.value = std::get<Value>(std::move(checked));
    } else {
        refuse(property.identifier, std::get<Rejection>(std::move(checked)));
    }
}

PostReader::PostReader() : state_(std::make_unique<State>()) {}

PostReader::~PostReader() = default;

std::optional<Rejection> PostReader::read(
    const Model& model,
    std::string_view payload,
    WallTime received,
    const PostLimits& limits,
    PropertyPost& out
) {
    State& state = *state_;
    out.id.clear();
    out.ack_wanted = true;
    out.rejected.clear();
    if (payload.size() > limits.bytes_max) {
        out.samples.clear();
        return malformed("the payload is over " + std::to_string(limits.bytes_max) + " bytes");
    }
    if (state.buffer.size() < payload.size() + sj::SIMDJSON_PADDING) {
        state.buffer.resize(payload.size() * 2 + sj::SIMDJSON_PADDING);
    }
    if (!payload.empty())
        std::memcpy(state.buffer.data(), payload.data(), payload.size());
    // What an earlier, longer payload left behind must not look like more of this one.
    std::memset(state.buffer.data() + payload.size(), ' ', sj::SIMDJSON_PADDING);
    if (state.places.size() < model.properties().size())
        state.places.resize(model.properties().size(), -1);
    state.model = &model;
    state.limits = &limits;
    state.out = &out;
    state.received_ms = received.ms;
    state.used = state.members = state.expected = 0;
    state.params_seen = false;

    const Outcome outcome = state.read_document(payload.size());
    for (std::size_t i = 0; i < state.used; ++i)
        state.places[static_cast<std::size_t>(out.samples[i].property)] = -1;
    out.samples.resize(outcome == Outcome::ok ? state.used : 0);
    switch (outcome) {
    case Outcome::ok:
        return std::nullopt;
    case Outcome::broken:
        return malformed("the payload is not JSON");
    case Outcome::no_params:
        return malformed("params is not an object");
    case Outcome::repeated_params:
        return malformed("params is there twice");
    case Outcome::too_many:
        break;
    }
    return Rejection{
        check::code_property_count,
        "more than " + std::to_string(limits.properties_max) + " properties in one report"
    };
}

std::string raw_member(std::string_view payload, std::string_view name) {
    od::parser parser;
    const sj::padded_string padded(payload);
    od::document document;
    od::object top;
    if (parser.iterate(padded).get(document) != sj::SUCCESS || document.get_object().get(top) != sj::SUCCESS)
        return {};
    for (auto item : top) {
        od::field field;
        if (std::move(item).get(field) != sj::SUCCESS)
            return {};
        const auto key = key_of(field);
        if (!key)
            return {};
        od::value value = field.value();
        if (key == name)
            return std::string(token_of(value));
    }
    return {};
}

} // namespace brim::thing
