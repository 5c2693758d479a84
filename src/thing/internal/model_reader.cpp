#include "thing/internal/model_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace brim::thing {

namespace {

constexpr double int32_min = std::numeric_limits<std::int32_t>::min();
constexpr double int32_max = std::numeric_limits<std::int32_t>::max();

bool identifier_shape(std::string_view text) {
    return !text.empty() && text.size() <= ModelLimits::identifier_bytes_max &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
           });
}

bool reserved(std::string_view text) {
    constexpr std::array<std::string_view, 7> names{
        "set", "get", "post", "property", "event", "time", "value"
    };
    return std::ranges::find(names, text) != names.end();
}

std::string at(const std::string& path, std::string_view member) {
    return path.empty() ? std::string(member) : path + "." + std::string(member);
}

std::string at(std::string_view list, std::size_t index) {
    return std::string(list) + "[" + std::to_string(index) + "]";
}

std::optional<Type> type_of(std::string_view name) {
    for (int index = 0; index <= static_cast<int>(Type::array); ++index) {
        if (type_name(static_cast<Type>(index)) == name)
            return static_cast<Type>(index);
    }
    return std::nullopt;
}

} // namespace

void ModelReader::fail(Errc code, std::string path, std::string cause, std::string fix) {
    if (failed_)
        return;
    failed_ = true;
    error_ =
        Error{code, "thing model " + (path.empty() ? "document" : path), std::move(cause), std::move(fix)};
}

Result<Model> ModelReader::read(const Json& tsl) {
    if (!tsl.is_object())
        fail(Errc::malformed, "", "is not a JSON object", "give the TSL document of one module");
    if (!tsl["functionBlocks"].items().empty()) {
        fail(Errc::unsupported, "functionBlocks", "holds several modules", "import one module at a time");
    }
    const std::size_t functions = list(tsl, "properties", "").items().size() +
                                  list(tsl, "events", "").items().size() +
                                  list(tsl, "services", "").items().size();
    // The three generated entries come on top.
    if (functions > ModelLimits::functions_max + 3) {
        fail(
            Errc::too_large,
            "",
            "has " + std::to_string(functions) + " functions, at most 300",
            "split the product"
        );
    }
    if (ok())
        read_properties(tsl["properties"]);
    if (ok())
        read_events(tsl["events"]);
    if (ok())
        read_services(tsl["services"]);
    if (!ok())
        return brim::fail(error_);
    model_.index_properties();
    return std::move(model_);
}

void ModelReader::read_properties(const Json& list) {
    std::vector<std::string> names;
    for (std::size_t index = 0; ok() && index < list.items().size(); ++index) {
        const Json& entry = list.items()[index];
        const std::string path = at("properties", index);
        Property property;
        property.identifier = identifier(entry, path);
        if (reserved(property.identifier)) {
            fail(
                Errc::invalid,
                at(path, "identifier"),
                "\"" + property.identifier + "\" is reserved",
                "rename it"
            );
        }
        property.name = text(entry, "name", path, ModelLimits::name_bytes_max);
        property.description = text(entry, "desc", path, ModelLimits::description_bytes_max);
        const std::string access = text(entry, "accessMode", path, 4);
        if (!access.empty() && access != "r" && access != "rw") {
            fail(Errc::invalid, at(path, "accessMode"), "is \"" + access + "\"", "write \"r\" or \"rw\"");
        }
        property.writable = access == "rw";
        property.required = entry["required"].as_bool();
        property.type = read_type(entry["dataType"], at(path, "dataType"), 0);
        names.push_back(property.identifier);
        model_.properties_.push_back(std::move(property));
    }
    refuse_repeated(std::move(names), "properties");
}

void ModelReader::read_events(const Json& list) {
    std::vector<std::string> names;
    for (std::size_t index = 0; ok() && index < list.items().size(); ++index) {
        const Json& entry = list.items()[index];
        const std::string path = at("events", index);
        Event event;
        event.identifier = identifier(entry, path);
        if (event.identifier == "post" && entry["method"].as_string() == "thing.event.property.post")
            continue;
        if (reserved(event.identifier)) {
            fail(
                Errc::invalid, at(path, "identifier"), "\"" + event.identifier + "\" is reserved", "rename it"
            );
        }
        event.name = text(entry, "name", path, ModelLimits::name_bytes_max);
        event.level = text(entry, "type", path, 16);
        if (event.level.empty())
            event.level = "info";
        if (event.level != "info" && event.level != "alert" && event.level != "error") {
            fail(Errc::invalid, at(path, "type"), "is \"" + event.level + "\"", "write info, alert or error");
        }
        event.outputs = read_fields(entry["outputData"], at(path, "outputData"), ModelLimits::fields_max);
        names.push_back(event.identifier);
        model_.events_.push_back(std::move(event));
    }
    refuse_repeated(std::move(names), "events");
}

void ModelReader::read_services(const Json& list) {
    std::vector<std::string> names;
    for (std::size_t index = 0; ok() && index < list.items().size(); ++index) {
        const Json& entry = list.items()[index];
        const std::string path = at("services", index);
        Service service;
        service.identifier = identifier(entry, path);
        if (entry["method"].as_string() == "thing.service.property." + service.identifier &&
            (service.identifier == "set" || service.identifier == "get")) {
            continue;
        }
        if (reserved(service.identifier)) {
            fail(
                Errc::invalid,
                at(path, "identifier"),
                "\"" + service.identifier + "\" is reserved",
                "rename it"
            );
        }
        service.name = text(entry, "name", path, ModelLimits::name_bytes_max);
        const std::string call = text(entry, "callType", path, 8);
        if (!call.empty() && call != "sync" && call != "async") {
            fail(Errc::invalid, at(path, "callType"), "is \"" + call + "\"", "write \"sync\" or \"async\"");
        }
        service.synchronous = call == "sync";
        service.inputs = read_fields(entry["inputData"], at(path, "inputData"), ModelLimits::fields_max);
        service.outputs = read_fields(entry["outputData"], at(path, "outputData"), ModelLimits::fields_max);
        names.push_back(service.identifier);
        model_.services_.push_back(std::move(service));
    }
    refuse_repeated(std::move(names), "services");
}

std::vector<Field> ModelReader::read_fields(const Json& list, Path path, std::size_t count_max) {
    std::vector<Field> fields;
    if (!list.is_null() && !list.is_array())
        fail(Errc::invalid, path, "is not an array", "write [...]");
    if (list.items().size() > count_max) {
        fail(Errc::too_large, path, "has more than " + std::to_string(count_max) + " entries", "remove some");
    }
    std::vector<std::string> names;
    for (std::size_t index = 0; ok() && index < list.items().size(); ++index) {
        const Json& entry = list.items()[index];
        const std::string here = at(path, index);
        Field field;
        field.identifier = identifier(entry, here);
        field.name = text(entry, "name", here, ModelLimits::name_bytes_max);
        field.type = read_type(entry["dataType"], at(here, "dataType"), 0);
        names.push_back(field.identifier);
        fields.push_back(std::move(field));
    }
    refuse_repeated(std::move(names), path);
    return fields;
}

// The recursion ends at depth 3 (array of struct of array of scalar): read_members and read_array refuse what
// nests deeper.
DataType ModelReader::read_type(const Json& json, Path path, int depth) {
    DataType type;
    const auto known = type_of(json["type"].as_string());
    if (!known) {
        fail(
            Errc::invalid,
            at(path, "type"),
            "\"" + std::string(json["type"].as_string()) + "\" is no data type",
            "use int, float, double, bool, enum, text, date, struct or array"
        );
        return type;
    }
    type.type = *known;
    const Json& specs = json["specs"];
    const std::string inner = at(path, "specs");
    switch (type.type) {
    case Type::int32:
    case Type::float32:
    case Type::float64:
        read_range(type, specs, inner);
        break;
    case Type::boolean:
    case Type::enumeration:
        read_choices(type, specs, inner);
        break;
    case Type::text: {
        const double length =
            specs.find("length") == nullptr ? 0 : number(specs["length"], at(inner, "length"));
        if (length < 1 || length > ModelLimits::text_length_max || length != std::floor(length)) {
            fail(
                Errc::invalid, at(inner, "length"), "is not a whole number from 1 to 10240", "set \"length\""
            );
            break;
        }
        type.text_bytes_max = static_cast<std::uint32_t>(length);
        break;
    }
    case Type::date:
        break;
    case Type::structure:
        read_members(type, specs, inner, depth);
        break;
    case Type::array:
        read_array(type, specs, inner, depth);
        break;
    }
    return type;
}

void ModelReader::read_range(DataType& type, const Json& specs, Path path) {
    const double lowest = type.type == Type::int32     ? int32_min
                          : type.type == Type::float32 ? -double{std::numeric_limits<float>::max()}
                                                       : std::numeric_limits<double>::lowest();
    const double highest = type.type == Type::int32     ? int32_max
                           : type.type == Type::float32 ? double{std::numeric_limits<float>::max()}
                                                        : std::numeric_limits<double>::max();
    const bool has_min = specs.find("min") != nullptr;
    const bool has_max = specs.find("max") != nullptr;
    if (has_min || has_max) {
        type.min = has_min ? number(specs["min"], at(path, "min")) : lowest;
        type.max = has_max ? number(specs["max"], at(path, "max")) : highest;
    }
    if (type.min < lowest || type.min > highest) {
        fail(
            Errc::invalid,
            at(path, "min"),
            "is outside of the type's range",
            "use a wider type or a larger min"
        );
    }
    if (type.max < lowest || type.max > highest) {
        fail(
            Errc::invalid,
            at(path, "max"),
            "is outside of the type's range",
            "use a wider type or a smaller max"
        );
    }
    if (type.min > type.max)
        fail(Errc::invalid, at(path, "max"), "is below min", "swap min and max");
    if (specs.find("step") != nullptr)
        type.step = number(specs["step"], at(path, "step"));
    if (type.step < 0)
        fail(Errc::invalid, at(path, "step"), "is negative", "write a step of 0 or more");
    type.unit = text(specs, "unit", path, ModelLimits::name_bytes_max);
    type.unit_name = text(specs, "unitName", path, ModelLimits::name_bytes_max);
}

void ModelReader::read_choices(DataType& type, const Json& specs, Path path) {
    for (const auto& [key, name] : specs.members()) {
        std::int32_t value = 0;
        const auto parsed = std::from_chars(key.data(), key.data() + key.size(), value);
        const bool whole = parsed.ec == std::errc{} && parsed.ptr == key.data() + key.size();
        if (!whole || (type.type == Type::boolean && value != 0 && value != 1)) {
            fail(
                Errc::invalid,
                at(path, key),
                "is no value of this type",
                type.type == Type::boolean ? "use the keys \"0\" and \"1\"" : "use 32-bit integers as keys"
            );
            return;
        }
        if (!name.is_string() || name.as_string().size() > ModelLimits::name_bytes_max) {
            fail(Errc::invalid, at(path, key), "has no name of at most 128 bytes", "write a short text");
            return;
        }
        type.choices.emplace_back(value, name.as_string());
    }
    std::ranges::sort(type.choices);
    const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
    if (std::ranges::adjacent_find(type.choices, same) != type.choices.end()) {
        fail(Errc::invalid, path, "holds one value twice", "write each value once"); // "1" and "01"
    }
    if (type.type == Type::enumeration && type.choices.empty()) {
        fail(Errc::invalid, path, "an enum needs a value", "write {\"0\":\"name\"}");
    }
    if (type.choices.size() > ModelLimits::choices_max) {
        fail(Errc::too_large, path, "has more than 100 values", "remove some");
    }
    if (type.type == Type::boolean && type.choices.empty())
        type.choices = {{0, "0"}, {1, "1"}};
}

void ModelReader::read_members(DataType& type, const Json& specs, Path path, int depth) {
    if (!specs.is_array() || specs.items().empty()) {
        fail(Errc::invalid, path, "a struct needs members", "write [{\"identifier\":..,\"dataType\":..}]");
        return;
    }
    if (specs.items().size() > ModelLimits::members_max) {
        fail(Errc::too_large, path, "has more than 50 members", "remove some");
        return;
    }
    std::vector<std::string> names;
    for (std::size_t index = 0; ok() && index < specs.items().size(); ++index) {
        const Json& entry = specs.items()[index];
        const std::string here = at(path, index);
        Field field;
        field.identifier = identifier(entry, here);
        if (field.identifier == "value" || field.identifier == "time") {
            // A report may wrap a struct as {"value":{..},"time":..}: such a member could not be told from
            // that.
            fail(
                Errc::invalid, at(here, "identifier"), "\"" + field.identifier + "\" is reserved", "rename it"
            );
        }
        field.name = text(entry, "name", here, ModelLimits::name_bytes_max);
        const std::string_view member_type = entry["dataType"]["type"].as_string();
        if (member_type == "struct") {
            fail(Errc::unsupported, at(here, "dataType.type"), "a struct inside a struct", "flatten it");
            return;
        }
        field.type = read_type(entry["dataType"], at(here, "dataType"), depth + 1);
        names.push_back(field.identifier);
        type.fields.push_back(std::move(field));
    }
    refuse_repeated(std::move(names), path);
}

void ModelReader::read_array(DataType& type, const Json& specs, Path path, int depth) {
    const double size = specs.find("size") == nullptr ? 0 : number(specs["size"], at(path, "size"));
    if (size < 1 || size > ModelLimits::array_count_max || size != std::floor(size)) {
        fail(Errc::invalid, at(path, "size"), "is not a whole number from 1 to 512", "set \"size\"");
        return;
    }
    type.array_count_max = static_cast<std::uint32_t>(size);
    const std::string_view item = specs["item"]["type"].as_string();
    const bool scalar = item == "int" || item == "float" || item == "double" || item == "text";
    if (!scalar && (item != "struct" || depth > 0)) {
        fail(
            Errc::unsupported,
            at(path, "item.type"),
            "\"" + std::string(item) + "\" cannot be in " + (depth > 0 ? "an inner" : "an") + " array",
            "use int, float, double, text or (outside of structs) struct"
        );
        return;
    }
    if (item == "text" && specs["item"]["specs"].find("length") == nullptr) {
        // Exports of text arrays leave the items' length out.
        DataType bounded;
        bounded.type = Type::text;
        bounded.text_bytes_max = ModelLimits::text_length_max;
        type.item = std::make_shared<const DataType>(std::move(bounded));
        return;
    }
    type.item = std::make_shared<const DataType>(read_type(specs["item"], at(path, "item"), depth + 1));
}

const Json& ModelReader::list(const Json& object, std::string_view member, Path path) {
    const Json& found = object[member];
    if (!found.is_null() && !found.is_array())
        fail(Errc::invalid, at(path, member), "is not an array", "write [...]");
    return found;
}

std::string ModelReader::identifier(const Json& entry, Path path) {
    std::string found(entry["identifier"].as_string());
    if (!identifier_shape(found)) {
        fail(
            Errc::invalid,
            at(path, "identifier"),
            found.empty() ? "is missing" : "\"" + found.substr(0, 64) + "\" is no identifier",
            "use 1 to 50 letters, digits and '_'"
        );
    }
    return found;
}

std::string ModelReader::text(const Json& entry, std::string_view member, Path path, std::size_t bytes_max) {
    const Json& found = entry[member];
    if (!found.is_null() && !found.is_string()) {
        fail(Errc::invalid, at(path, member), "is not a text", "write \"...\"");
    } else if (found.as_string().size() > bytes_max) {
        fail(
            Errc::too_large, at(path, member), "is over " + std::to_string(bytes_max) + " bytes", "shorten it"
        );
    }
    return std::string(found.as_string());
}

double ModelReader::number(const Json& value, Path path) {
    double parsed = value.as_double();
    if (value.is_string()) {
        const std::string_view digits = value.as_string();
        const auto end = digits.data() + digits.size();
        const auto read = std::from_chars(digits.data(), end, parsed);
        if (digits.empty() || read.ec != std::errc{} || read.ptr != end)
            parsed = std::nan("");
    } else if (!value.is_number()) {
        parsed = std::nan("");
    }
    if (!std::isfinite(parsed)) {
        fail(Errc::invalid, path, "is not a number", "write a decimal number, as a text or bare");
        return 0;
    }
    return parsed;
}

void ModelReader::refuse_repeated(std::vector<std::string> identifiers, Path path) {
    std::ranges::sort(identifiers);
    const auto twice = std::ranges::adjacent_find(identifiers);
    if (twice != identifiers.end()) {
        fail(Errc::exists, path, "\"" + *twice + "\" is there twice", "rename one of them");
    }
}

Result<Model> Model::parse(const Json& tsl) {
    return ModelReader{}.read(tsl);
}

Result<Model> Model::parse_text(std::string_view tsl) {
    const JsonLimits limits{.bytes_max = ModelLimits::text_bytes_max, .depth_max = 16, .values_max = 100'000};
    auto json = Json::parse(tsl, limits);
    if (!json)
        return fail(std::move(json).error());
    return parse(*json);
}

} // namespace brim::thing
