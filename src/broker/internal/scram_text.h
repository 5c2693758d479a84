#pragma once
// The pieces SCRAM messages are made of (RFC 5802 section 7).

#include "broker/internal/base64.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace brim::broker {

/// "4096": decimal, no sign, no leading zero, within the limits of iterations.
std::optional<std::uint32_t> iterations_from(std::string_view text);

/// Printable ASCII without a comma; may be empty.
bool is_nonce_text(std::string_view text) noexcept;

/// A name with its commas and equals signs written as =2C and =3D, and back. Nothing for another use of '='.
std::string to_saslname(std::string_view name);
std::optional<std::string> from_saslname(std::string_view text);

/// Takes attributes ("n=user") off a list with commas. Every attribute has a letter and a value.
class AttributeReader {
public:
    explicit AttributeReader(std::string_view text) : rest_(text) {}

    /// The value of the next attribute when it has this letter; else it stays where it is.
    std::optional<std::string_view> take(char name);
    /// Passes over attributes whose letter is none of `reserved`.
    void skip_optional(std::string_view reserved);

    /// All was taken and well-formed.
    bool at_end() const { return is_done_; }

    /// The next attribute is "m=": an extension that must be understood.
    bool is_mandatory() const { return rest_.starts_with("m="); }

private:
    struct Attribute {
        char name = 0;
        std::string_view value;
    };

    std::optional<Attribute> peek() const;
    void drop(const Attribute& attribute);

    std::string_view rest_;
    bool is_done_ = false;
};

/// Bytes by bytes; both have the same size.
Bytes exclusive_or(ByteView a, ByteView b);

} // namespace brim::broker
