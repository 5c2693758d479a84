#pragma once
// Checks JSON bodies against the schemas of openapi.json: the part of JSON Schema 2020-12 that document uses.

#include "base/json.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brim::hub {

struct SchemaProblem {
    std::string pointer; ///< JSON Pointer (RFC 6901) into the body, "" for the whole
    std::string detail;
};

class Schemas {
public:
    /// `components` is the object "components/schemas" of the document; outlives this.
    explicit Schemas(const Json& components) : components_(components) {}

    /// At most 20 problems; empty when `value` fits. Known keywords: type, enum, required, properties,
    /// additionalProperties, items, minimum, maximum, minLength, maxLength, minProperties, maxProperties,
    /// pattern (RE2), oneOf, $ref.
    std::vector<SchemaProblem> check(const Json& schema, const Json& value) const;

private:
    struct Visit;
    void visit(Visit& at) const;
    void visit_object(Visit& at) const;
    void visit_text(Visit& at) const;
    const Json& resolve(const Json& schema) const;
    const Json& components_;
};

} // namespace brim::hub
