#include "thing/model.h"

#include <algorithm>
#include <bit>
#include <charconv>

namespace brim::thing {

namespace {

/// FNV-1a: identifiers are short, come from a checked model, and the table never grows after parsing.
std::size_t identifier_hash(std::string_view text) noexcept {
    std::uint64_t hash = 1469598103934665603ULL;
    for (const char byte : text)
        hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ULL;
    return static_cast<std::size_t>(hash ^ (hash >> 32));
}

template <class Item>
const Item* find_identifier(const std::vector<Item>& items, std::string_view identifier) {
    const auto at = std::ranges::find(items, identifier, &Item::identifier);
    return at == items.end() ? nullptr : &*at;
}

std::string number_text(double value) {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    return {buffer, end};
}

Json type_to_json(const DataType& type);

Json field_to_json(const Field& field) {
    Json out = Json::object({{"identifier", field.identifier}, {"name", field.name}});
    out.set("dataType", type_to_json(field.type));
    return out;
}

Json fields_to_json(const std::vector<Field>& fields) {
    Json out = Json::array();
    for (const Field& field : fields)
        out.push(field_to_json(field));
    return out;
}

Json specs_to_json(const DataType& type) {
    Json specs = Json::object();
    switch (type.type) {
    case Type::int32:
    case Type::float32:
    case Type::float64:
        if (type.min != type.max) {
            specs.set("min", number_text(type.min));
            specs.set("max", number_text(type.max));
        }
        if (type.step != 0)
            specs.set("step", number_text(type.step));
        if (!type.unit.empty())
            specs.set("unit", type.unit);
        if (!type.unit_name.empty())
            specs.set("unitName", type.unit_name);
        break;
    case Type::boolean:
    case Type::enumeration:
        for (const auto& [value, name] : type.choices)
            specs.set(std::to_string(value), name);
        break;
    case Type::text:
        specs.set("length", std::to_string(type.text_bytes_max));
        break;
    case Type::date:
        break;
    case Type::structure:
        return fields_to_json(type.fields);
    case Type::array:
        specs.set("size", std::to_string(type.array_count_max));
        specs.set("item", type_to_json(*type.item));
        break;
    }
    return specs;
}

// The depth is bounded by the model's rules: array of struct of array of scalar is the deepest there is.
Json type_to_json(const DataType& type) {
    Json out = Json::object({{"type", type_name(type.type)}});
    out.set("specs", specs_to_json(type));
    return out;
}

Json property_to_json(const Property& property) {
    Json out = Json::object({{"identifier", property.identifier}, {"name", property.name}});
    out.set("accessMode", property.writable ? "rw" : "r");
    out.set("required", property.required);
    if (!property.description.empty())
        out.set("desc", property.description);
    out.set("dataType", type_to_json(property.type));
    return out;
}

Json generated(std::string_view identifier, std::string_view name, std::string_view method) {
    return Json::object({{"identifier", identifier}, {"name", name}, {"required", true}, {"method", method}});
}

} // namespace

std::string_view type_name(Type type) noexcept {
    constexpr std::string_view names[] = {
        "int", "float", "double", "bool", "enum", "text", "date", "struct", "array"
    };
    return names[static_cast<std::size_t>(type)];
}

void Model::index_properties() {
    slots_.assign(std::bit_ceil(properties_.size() * 2 + 1), -1);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t index = 0; index < properties_.size(); ++index) {
        std::size_t slot = identifier_hash(properties_[index].identifier) & mask;
        while (slots_[slot] >= 0)
            slot = (slot + 1) & mask;
        slots_[slot] = static_cast<std::int16_t>(index);
    }
}

int Model::property_index(std::string_view identifier) const {
    if (slots_.empty())
        return -1;
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t slot = identifier_hash(identifier) & mask; slots_[slot] >= 0; slot = (slot + 1) & mask) {
        if (properties_[static_cast<std::size_t>(slots_[slot])].identifier == identifier)
            return slots_[slot];
    }
    return -1;
}

const Property* Model::property(std::string_view identifier) const {
    const int index = property_index(identifier);
    return index < 0 ? nullptr : &properties_[static_cast<std::size_t>(index)];
}

const Event* Model::event(std::string_view identifier) const {
    return find_identifier(events_, identifier);
}

const Service* Model::service(std::string_view identifier) const {
    return find_identifier(services_, identifier);
}

Json Model::to_tsl(std::string_view product_key) const {
    Json properties = Json::array();
    Json all = Json::array();
    Json writable = Json::array();
    for (const Property& property : properties_) {
        properties.push(property_to_json(property));
        all.push(field_to_json(property));
        if (property.writable)
            writable.push(field_to_json(property));
    }

    Json post = generated("post", "post", "thing.event.property.post");
    post.set("type", "info");
    post.set("outputData", all);
    Json events = Json::array({post});
    for (const Event& event : events_) {
        Json entry = Json::object({{"identifier", event.identifier}, {"name", event.name}});
        entry.set("type", event.level);
        entry.set("required", false);
        entry.set("method", "thing.event." + event.identifier + ".post");
        entry.set("outputData", fields_to_json(event.outputs));
        events.push(std::move(entry));
    }

    Json set = generated("set", "set", "thing.service.property.set");
    set.set("callType", "async");
    set.set("inputData", writable);
    set.set("outputData", Json::array());
    Json identifiers = Json::array();
    for (const Property& property : properties_)
        identifiers.push(property.identifier);
    Json get = generated("get", "get", "thing.service.property.get");
    get.set("callType", "async");
    get.set("inputData", identifiers);
    get.set("outputData", all);
    Json services = Json::array({set, get});
    for (const Service& service : services_) {
        Json entry = Json::object({{"identifier", service.identifier}, {"name", service.name}});
        entry.set("required", false);
        entry.set("callType", service.synchronous ? "sync" : "async");
        entry.set("method", "thing.service." + service.identifier);
        entry.set("inputData", fields_to_json(service.inputs));
        entry.set("outputData", fields_to_json(service.outputs));
        services.push(std::move(entry));
    }

    Json out = Json::object();
    out.set("schema", "https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json");
    out.set("profile", Json::object({{"version", "1.0"}, {"productKey", product_key}}));
    out.set("properties", std::move(properties));
    out.set("events", std::move(events));
    out.set("services", std::move(services));
    return out;
}

} // namespace brim::thing
