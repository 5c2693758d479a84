#pragma once
// What went wrong, told to a person and to a program: Error and Result<T>, used by every public header of
// Brim.

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace brim {

/// Why an operation failed. Programs branch on this alone; each has a stable name and a line in
/// docs/errors.md.
enum class Errc : std::uint8_t {
    malformed,       ///< bytes or text that break their grammar
    invalid,         ///< well-formed, but not allowed here (range, type, state)
    too_large,       ///< over a named limit
    not_found,       ///< no such object
    exists,          ///< an object of this name is there already
    conflict,        ///< another writer was faster, or the state forbids it
    unauthenticated, ///< who is asking is not known
    denied,          ///< known, but not allowed
    busy,            ///< over a rate or concurrency limit; try again later
    full,            ///< a quota or the disk is full
    timeout,         ///< no answer in time
    closed,          ///< the other side went away, or we are shutting down
    unavailable,     ///< a dependency cannot be reached
    unsupported,     ///< understood, but this build or version does not do it
    corrupt,         ///< stored bytes fail their checksum or structure
    io,              ///< the operating system said no
};

/// The stable name of a code, such as "not_found". Never empty.
std::string_view errc_name(Errc code) noexcept;

/// One failure. `object` is what it happened to ("device \"pump-7\""), `cause` is why ("the file ends inside
/// a record"), `fix` is what the reader can do about it (may be empty only when there is nothing to do).
struct Error {
    Errc code = Errc::io;
    std::string object;
    std::string cause;
    std::string fix;

    /// "object: cause (code); fix" for logs and terminals.
    std::string text() const;
};

/// A value, or why there is none. Dropping one is a compile error.
template <class T> struct [[nodiscard]] Result : std::expected<T, Error> {
    using std::expected<T, Error>::expected;
};

/// `return fail(Errc::not_found, "device \"x\"", "no such device", "create it first");`
inline std::unexpected<Error> fail(Errc code, std::string object, std::string cause, std::string fix = {}) {
    return std::unexpected<Error>(Error{code, std::move(object), std::move(cause), std::move(fix)});
}

/// Passes on somebody else's error.
inline std::unexpected<Error> fail(Error error) {
    return std::unexpected<Error>(std::move(error));
}

/// Error of a failed system call: `object` plus the text of `errno_value`, code io (full for ENOSPC/EDQUOT,
/// not_found for ENOENT, denied for EACCES/EPERM, exists for EEXIST), with a fix for the common ones.
Error errno_error(std::string object, int errno_value);

} // namespace brim

/// Returns from the enclosing function when `expr` (a Result) holds an error.
#define BRIM_TRY(expr)                                                                                       \
    do {                                                                                                     \
        if (auto brim_try_result_ = (expr); !brim_try_result_)                                               \
            return std::unexpected<::brim::Error>(std::move(brim_try_result_).error());                      \
    } while (false)
