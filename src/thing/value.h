#pragma once
// Typed values, validated against a model: what everything behind the border speaks.

#include "base/json.h"
#include "base/time.h"
#include "thing/model.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace brim::thing {

/// A value of a scalar type, or the compact JSON text of a struct or array (already checked, members in model
/// order). int, bool and enum are std::int64_t; float and double are double; text and date are std::string.
struct Value {
    struct Composite {
        std::string json;
        bool operator==(const Composite&) const = default;
    };

    std::variant<std::int64_t, double, std::string, Composite> data;

    bool operator==(const Value&) const = default;
    void append_json(std::string& out) const;
    Json to_json() const;
    /// For charts: ints, bools, enums and floats as double; nothing else.
    std::optional<double> number() const;
};

/// A rejection with the device-visible code and text of hub-protocol 3.11 ("tsl parse: data type is not int
/// -> code").
struct Rejection {
    int code = 0;
    std::string message;
};

/// Checks `json` against `type` (range, length, members). `identifier` goes into the message. In numbers an
/// integer text is never accepted for int; int is accepted for float and double; NaN and infinity never.
std::variant<Value, Rejection>
check_value(const DataType& type, const Json& json, std::string_view identifier);

struct Sample {
    int property = -1; ///< index in Model::properties()
    Value value;
    std::int64_t time_ms = 0; ///< as reported, or `received` when absent
};

/// The outcome of one property post.
struct PropertyPost {
    std::string id;         ///< raw JSON of the id ("\"1\"" or 1), empty when absent: echo it as it is
    bool ack_wanted = true; ///< sys.ack
    std::vector<Sample> samples;
    std::vector<std::pair<std::string, Rejection>> rejected; ///< property by property (weak validation)
};

struct PostLimits {
    std::size_t bytes_max = 262'144;
    std::size_t properties_max = 200;     ///< code 6106 above
    std::int64_t future_ms_max = 600'000; ///< times further ahead of `received` are rejected with 6326
};

/// Reads and validates one thing.event.property.post payload in one pass (simdjson on demand). The whole
/// message fails only when it is not JSON (460), has no params object (460), or is over a limit. Reuses the
/// parser's buffers: one object per loop.
class PostReader {
public:
    PostReader();
    ~PostReader();
    PostReader(const PostReader&) = delete;
    PostReader& operator=(const PostReader&) = delete;
    /// `out` is overwritten; its buffers are reused. A Rejection concerns the whole message.
    std::optional<Rejection> read(
        const Model& model,
        std::string_view payload,
        WallTime received,
        const PostLimits& limits,
        PropertyPost& out
    );

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace brim::thing
