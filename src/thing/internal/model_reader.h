#pragma once
// Reads TSL JSON into a Model, one straight line per entry; the first error wins and keeps its path.

#include "thing/model.h"

#include <string>
#include <string_view>

namespace brim::thing {

class ModelReader {
public:
    Result<Model> read(const Json& tsl);

private:
    using Path = const std::string&;

    void read_properties(const Json& list);
    void read_events(const Json& list);
    void read_services(const Json& list);
    std::vector<Field> read_fields(const Json& list, Path path, std::size_t count_max);
    /// `depth` counts structs and arrays around this type.
    DataType read_type(const Json& json, Path path, int depth);
    void read_range(DataType& type, const Json& specs, Path path);
    void read_choices(DataType& type, const Json& specs, Path path);
    void read_members(DataType& type, const Json& specs, Path path, int depth);
    void read_array(DataType& type, const Json& specs, Path path, int depth);

    const Json& list(const Json& object, std::string_view member, Path path);
    std::string identifier(const Json& entry, Path path);
    std::string text(const Json& entry, std::string_view member, Path path, std::size_t bytes_max);
    /// A number, or a text that is one entirely (TSL writes its specs as texts).
    double number(const Json& value, Path path);
    void refuse_repeated(std::vector<std::string> identifiers, Path path);

    void fail(Errc code, std::string path, std::string cause, std::string fix);

    bool ok() const { return !failed_; }

    Model model_;
    bool failed_ = false;
    Error error_;
};

} // namespace brim::thing
