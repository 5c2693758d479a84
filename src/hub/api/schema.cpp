#include "hub/api/schema.h"

#include <re2/re2.h>

#include <algorithm>

namespace brim::hub {

namespace {

constexpr std::size_t problems_max = 20;
constexpr int depth_max = 32; // of our own document; deeper values are only reached through it

std::string escaped(std::string_view name) {
    std::string out;
    for (const char c : name) {
        if (c == '~')
            out += "~0";
        else if (c == '/')
            out += "~1";
        else
            out += c;
    }
    return out;
}

bool is_type(std::string_view type, const Json& value) {
    if (type == "object")
        return value.is_object();
    if (type == "array")
        return value.is_array();
    if (type == "string")
        return value.is_string();
    if (type == "integer")
        return value.is_int();
    if (type == "number")
        return value.is_number();
    if (type == "boolean")
        return value.is_bool();
    return type == "null" && value.is_null();
}

bool fits_type(const Json& type, const Json& value) {
    if (type.is_string())
        return is_type(type.as_string(), value);
    return std::any_of(type.items().begin(), type.items().end(), [&value](const Json& each) {
        return is_type(each.as_string(), value);
    });
}

/// Characters, not bytes: what minLength and maxLength count.
std::int64_t characters(std::string_view text) {
    return std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    });
}

} // namespace

struct Schemas::Visit {
    const Json& schema;
    const Json& value;
    std::string pointer;
    int depth;
    std::vector<SchemaProblem>& problems;

    void complain(std::string detail) {
        if (problems.size() < problems_max)
            problems.push_back({pointer, std::move(detail)});
    }
};

const Json& Schemas::resolve(const Json& schema) const {
    const std::string_view target = schema["$ref"].as_string();
    constexpr std::string_view prefix = "#/components/schemas/";
    return target.starts_with(prefix) ? components_[target.substr(prefix.size())] : schema;
}

std::vector<SchemaProblem> Schemas::check(const Json& schema, const Json& value) const {
    std::vector<SchemaProblem> problems;
    Visit root{resolve(schema), value, "", 0, problems};
    visit(root);
    return problems;
}

void Schemas::visit(Visit& at) const {
    if (at.depth > depth_max)
        return at.complain("is nested too deeply");
    const Json& schema = at.schema;
    if (const Json* type = schema.find("type"); type != nullptr && !fits_type(*type, at.value)) {
        return at.complain(
            "must be " + (type->is_string() ? "of type " + std::string(type->as_string()) : type->text())
        );
    }
    if (const Json* choices = schema.find("enum")) {
        const auto& items = choices->items();
        if (std::find(items.begin(), items.end(), at.value) == items.end())
            at.complain("must be one of " + choices->text());
    }
    if (at.value.is_number()) {
        if (const Json* min = schema.find("minimum");
            min != nullptr && at.value.as_double() < min->as_double()) {
            at.complain("must be at least " + min->text());
        }
        if (const Json* max = schema.find("maximum");
            max != nullptr && at.value.as_double() > max->as_double()) {
            at.complain("must be at most " + max->text());
        }
    }
    if (at.value.is_string())
        visit_text(at);
    if (at.value.is_object())
        visit_object(at);
    if (const Json* items = schema.find("items"); items != nullptr && at.value.is_array()) {
        for (std::size_t i = 0; i < at.value.items().size() && at.problems.size() < problems_max; ++i) {
            const std::string pointer = at.pointer + "/" + std::to_string(i);
            Visit item{resolve(*items), at.value.items()[i], pointer, at.depth + 1, at.problems};
            visit(item);
        }
    }
}

void Schemas::visit_text(Visit& at) const {
    const std::string_view text = at.value.as_string();
    if (const Json* min = at.schema.find("minLength"); min != nullptr && characters(text) < min->as_int()) {
        at.complain("must have at least " + min->text() + " characters");
    }
    if (const Json* max = at.schema.find("maxLength"); max != nullptr && characters(text) > max->as_int()) {
        at.complain("must have at most " + max->text() + " characters");
    }
    if (const Json* pattern = at.schema.find("pattern")) {
        const std::string_view given = pattern->as_string();
        const re2::RE2 expression({given.data(), given.size()}, re2::RE2::Quiet);
        if (!re2::RE2::PartialMatch({text.data(), text.size()}, expression)) {
            at.complain("must match " + std::string(given));
        }
    }
}

void Schemas::visit_object(Visit& at) const {
    for (const Json& name : at.schema["required"].items()) {
        if (at.value.find(name.as_string()) == nullptr)
            at.complain("lacks \"" + std::string(name.as_string()) + "\"");
    }
    const auto count = static_cast<std::int64_t>(at.value.members().size());
    if (const Json* min = at.schema.find("minProperties"); min != nullptr && count < min->as_int()) {
        at.complain("must have at least " + min->text() + " members");
    }
    if (const Json* max = at.schema.find("maxProperties"); max != nullptr && count > max->as_int()) {
        at.complain("must have at most " + max->text() + " members");
    }
    const Json& properties = at.schema["properties"];
    const bool closed = at.schema.find("additionalProperties") != nullptr &&
                        at.schema["additionalProperties"].is_bool() &&
                        !at.schema["additionalProperties"].as_bool(true);
    for (const auto& [name, member] : at.value.members()) {
        const std::string pointer = at.pointer + "/" + escaped(name);
        const Json* schema = properties.find(name);
        Visit inner{
            schema == nullptr ? at.schema : resolve(*schema), member, pointer, at.depth + 1, at.problems
        };
        if (schema != nullptr)
            visit(inner);
        else if (closed)
            inner.complain("is not a known member");
    }
}

} // namespace brim::hub
