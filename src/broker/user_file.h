#pragma once
// The password file: one line for each user, `name:` and a hash. Lines that begin with # and blank ones are
// comments.
//
//     ann:$argon2id$v=19$m=19456,t=2,p=1$salt$hash    made by `brim mqtt user add` (and by mosquitto 2.1)
//     bob:$7$101$salt$hash                            made by mosquitto_passwd: PBKDF2-HMAC-SHA512
//     ann:SCRAM-SHA-256$10000:salt$stored:server      beside it, for enhanced authentication (RFC 5803, 7677)

#include "base/bytes.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace brim::broker {

struct UserFileLimits {
    std::size_t file_bytes_max = 16'777'216;
    std::size_t line_bytes_max = 1'024;
    std::size_t users_max = 50'000;
    /// What one login may cost. An Argon2id hash: memory times passes, so 64 MiB may be filled four times.
    std::uint64_t argon_kib_passes_max = 262'144;
    std::uint32_t argon_lanes_max = 16;
    std::uint32_t pbkdf2_iterations_max = 1'000'000; ///< of $7$ lines and of SCRAM verifiers
};

/// One user's hash, to be carried to a worker; or a stand-in for a name that is not in the file, which costs
/// as much to check and matches nothing, so that time does not tell which names there are.
struct PasswordRecord {
    std::string hash;   ///< as in the file, behind "name:"; a sound one also in a stand-in
    bool known = false; ///< the name has a password
};

/// True when `record` is known and `password` made its hash. Takes about 30 ms: call it on a worker. Any
/// thread. Passwords have at most 1,024 bytes.
bool password_matches_record(const PasswordRecord& record, std::string_view password) noexcept;

/// All users of one file. Read-only once made. Any thread.
class UserFile {
public:
    /// No users: finds stand-ins only.
    UserFile() = default;

    /// `object` names the text in errors, whose cause begins with the line's number; hashes are never
    /// repeated there. One wrong line refuses the whole text: a name that is no is_plain_name or has blanks
    /// around it, no hash, a hash that is cut off or of another kind (also mosquitto's old $6$), a second
    /// line of one kind for one name: Errc::malformed. Errc::too_large: over a limit. A byte order mark and
    /// CRLF are taken.
    static Result<UserFile>
    parse(std::string_view text, std::string_view object, const UserFileLimits& limits = {});

    /// Never fails: see PasswordRecord. The stand-in for a name is always the same one.
    PasswordRecord find(std::string_view name) const;

    /// The SCRAM verifier of a user, "SCRAM-SHA-256$iterations:salt$stored:server" (base64; 4,096 iterations
    /// or more, a salt of 1 to 64 bytes, two keys of 32); null when there is none.
    const std::string* scram(std::string_view name) const;

    /// In the order of the file; a user with a SCRAM verifier alone is one too.
    const std::vector<std::string>& names() const noexcept { return names_; }

private:
    friend class UserFileReader;

    struct User {
        std::string hash; ///< may be empty
        std::string scram;
    };

    struct NameHash {
        using is_transparent = void;

        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };

    const User* user(std::string_view name) const;

    std::unordered_map<std::string, User, NameHash, std::equal_to<>> users_;
    std::vector<std::string> names_;
    std::vector<std::string> with_password_; ///< whose hashes are the pattern for stand-ins
};

/// What makes a SCRAM verifier beside the password's hash.
struct ScramCost {
    Bytes salt; ///< 16 random bytes, not those of the hash
    std::uint32_t iterations = 10'000;
};

/// `text` with the password of `name` set: its line is replaced where it stands, or a line added at the end.
/// The SCRAM verifier of the old password goes; with `scram` a new one comes. Every other byte stays. Errors:
/// those of UserFile::parse() (nothing is mended by overwriting it); Errc::invalid for a name or password
/// that cannot be used: empty, over 1,024 bytes, and with `scram` also one that is not printable ASCII, whose
/// form would depend on RFC 4013. `salt` is 16 random bytes. As slow as a login.
Result<std::string> set_user(
    std::string_view text,
    std::string_view name,
    std::string_view password,
    ByteView salt,
    const std::optional<ScramCost>& scram = {},
    std::string_view object = "password file"
);
/// `text` without the lines of `name`; every other byte stays. Errc::not_found when there are none.
Result<std::string>
remove_user(std::string_view text, std::string_view name, std::string_view object = "password file");

} // namespace brim::broker
