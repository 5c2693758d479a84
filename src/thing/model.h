#pragma once
// The thing model (TSL): what a product's devices have. Read once at the border into types that can only be
// valid.

#include "base/error.h"
#include "base/json.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brim::thing {

enum class Type : std::uint8_t {
    int32,
    float32,
    float64,
    boolean,
    enumeration,
    text,
    date,
    structure,
    array
};

/// The name on the wire: int, float, double, bool, enum, text, date, struct, array.
std::string_view type_name(Type type) noexcept;

struct Field;

/// A data type with its specs; only the members of its Type are meaningful.
struct DataType {
    Type type = Type::int32;
    double min = 0, max = 0; ///< int, float, double; equal = unbounded
    double step = 0; ///< 0 = any; told to people, not enforced: a float sum rarely hits a decimal step
    std::string unit, unit_name;
    std::uint32_t text_bytes_max = 0; ///< text: 1..10240
    std::vector<std::pair<std::int32_t, std::string>>
        choices;                          ///< bool (0 and 1) and enum (at most 100), sorted
    std::vector<Field> fields;            ///< struct: 1..50, never structs themselves
    std::uint32_t array_count_max = 0;    ///< array: 1..512
    std::shared_ptr<const DataType> item; ///< array: int, float, double, text or struct;
                                          ///< shared by copies of one immutable model
};

struct Field {
    std::string identifier; ///< letters, digits, '_'; at most 50
    std::string name;
    DataType type;
};

struct Property : Field {
    bool writable = false; ///< accessMode rw
    bool required = false;
    std::string description;
};

struct Event {
    std::string identifier, name;
    std::string level; ///< info, alert or error
    std::vector<Field> outputs;
};

struct Service {
    std::string identifier, name;
    bool synchronous = false;
    std::vector<Field> inputs, outputs;
};

/// Bounds of one model document (hub-protocol 4); over one is Errc::too_large with the path.
struct ModelLimits {
    static constexpr std::size_t text_bytes_max = 1'048'576;
    static constexpr std::size_t functions_max = 300; ///< properties + events + services
    static constexpr std::size_t fields_max = 100;    ///< inputs or outputs of one service or event
    static constexpr std::size_t members_max = 50;    ///< members of a struct
    static constexpr std::size_t choices_max = 100;   ///< values of an enum
    static constexpr std::size_t identifier_bytes_max = 50;
    static constexpr std::size_t name_bytes_max = 128; ///< 30 characters of any script
    static constexpr std::size_t description_bytes_max = 1'024;
    static constexpr std::uint32_t text_length_max = 10'240;
    static constexpr std::uint32_t array_count_max = 512;
};

/// An immutable, checked model. Copies share nothing mutable.
class Model {
public:
    /// Reads TSL JSON of one module (functionBlocks are Errc::unsupported). The generated entries `post`,
    /// `set`, `get` are accepted and ignored. Errors name the JSON path ("properties[3].dataType.specs.max")
    /// and the fix.
    static Result<Model> parse(const Json& tsl);
    static Result<Model> parse_text(std::string_view tsl);

    const std::vector<Property>& properties() const { return properties_; }

    const std::vector<Event>& events() const { return events_; }

    const std::vector<Service>& services() const { return services_; }

    const Property* property(std::string_view identifier) const; ///< hashed look-up
    const Event* event(std::string_view identifier) const;
    const Service* service(std::string_view identifier) const;
    /// Position of a property in properties(), or -1.
    int property_index(std::string_view identifier) const;

    /// TSL with the generated entries, stable order: what an export shows.
    Json to_tsl(std::string_view product_key) const;

private:
    friend class ModelReader;
    std::vector<Property> properties_;
    std::vector<Event> events_;
    std::vector<Service> services_;
    std::vector<std::int16_t> slots_; ///< open addressing over a power of two, -1 = free; indexes properties_
    void index_properties();
};

} // namespace brim::thing
