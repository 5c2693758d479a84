#include "broker/user_file.h"

#include "base/hash.h"
#include "broker/internal/password_hash.h"
#include "broker/internal/user_lines.h"
#include "broker/principal.h"

#include <algorithm>

namespace brim::broker {

namespace {

constexpr std::size_t login_password_bytes_max = 1'024; // as in base/hash.h

/// A hash of nothing anybody knows, with the costs of password_hash(): the stand-in of an empty file.
constexpr std::string_view stand_in =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

} // namespace

bool UserLines::next(UserLine& line) noexcept {
    if (rest_.empty())
        return false;
    const std::size_t end = std::min(rest_.find('\n'), rest_.size() - 1) + 1;
    line = {};
    line.raw = rest_.substr(0, end);
    rest_.remove_prefix(end);
    line.text = line.raw;
    if (line.text.ends_with('\n'))
        line.text.remove_suffix(1);
    if (line.text.ends_with('\r'))
        line.text.remove_suffix(1);
    line.number = ++number_;
    const std::size_t colon = line.text.find(':');
    line.has_colon = colon != std::string_view::npos;
    line.name = line.text.substr(0, colon);
    line.hash = line.has_colon ? line.text.substr(colon + 1) : std::string_view{};
    return true;
}

bool password_matches_record(const PasswordRecord& record, std::string_view password) noexcept {
    if (password.size() > login_password_bytes_max)
        return false;
    bool is_match = false;
    if (record.hash.starts_with("$7$")) {
        const auto read = read_pbkdf2(record.hash, UserFileLimits{}.pbkdf2_iterations_max);
        is_match =
            read && equal_constant_time(pbkdf2_sha512(password, read->salt, read->iterations), read->hash);
    } else {
        is_match = password_matches(password, record.hash);
    }
    return is_match && record.known;
}

/// Reads one text, line by line; the first error ends it.
class UserFileReader {
public:
    UserFileReader(std::string_view object, const UserFileLimits& limits)
        : object_(object), limits_(limits) {}

    Result<UserFile> read(std::string_view text) {
        if (text.size() > limits_.file_bytes_max)
            return fail(
                Errc::too_large,
                object_,
                "more than " + std::to_string(limits_.file_bytes_max) + " bytes",
                "so many users belong behind tokens or certificates"
            );
        if (text.starts_with(user_file_mark))
            text.remove_prefix(user_file_mark.size());
        UserLines lines(text);
        for (UserLine line; lines.next(line);) {
            if (!line.is_comment())
                BRIM_TRY(take(line));
        }
        for (const std::string& name : made_.names_) {
            if (!made_.user(name)->hash.empty())
                made_.with_password_.push_back(name);
        }
        return std::move(made_);
    }

private:
    std::unexpected<Error>
    wrong(const UserLine& line, std::string_view cause, Errc code = Errc::malformed) const {
        return fail(
            code,
            object_,
            "line " + std::to_string(line.number) + ": " + std::string(cause),
            "remove the line, then set the password with brim mqtt user add"
        );
    }

    Result<void> take(const UserLine& line) {
        if (line.text.size() > limits_.line_bytes_max)
            return wrong(
                line, "longer than " + std::to_string(limits_.line_bytes_max) + " bytes", Errc::too_large
            );
        if (!line.has_colon)
            return wrong(line, "there is no ':' behind a name");
        if (!is_plain_name(line.name) || line.name.starts_with(' ') || line.name.ends_with(' '))
            return wrong(
                line, "the name is empty, over 256 bytes, or has + # / $ or blanks where it may not"
            );
        const std::string_view refusal =
            line.is_scram() ? refusal_of_scram(line.hash, limits_) : refusal_of_hash(line.hash, limits_);
        if (!refusal.empty())
            return wrong(line, refusal);
        auto [entry, is_new] = made_.users_.try_emplace(std::string(line.name));
        if (is_new) {
            if (made_.users_.size() > limits_.users_max)
                return wrong(
                    line, "more than " + std::to_string(limits_.users_max) + " users", Errc::too_large
                );
            made_.names_.emplace_back(line.name);
        }
        std::string& place = line.is_scram() ? entry->second.scram : entry->second.hash;
        if (!place.empty())
            return wrong(line, "an earlier line says the same of this name");
        place = line.hash;
        return {};
    }

    std::string object_;
    const UserFileLimits& limits_;
    UserFile made_;
};

Result<UserFile>
UserFile::parse(std::string_view text, std::string_view object, const UserFileLimits& limits) {
    return UserFileReader(object, limits).read(text);
}

const UserFile::User* UserFile::user(std::string_view name) const {
    const auto found = users_.find(name);
    return found == users_.end() ? nullptr : &found->second;
}

PasswordRecord UserFile::find(std::string_view name) const {
    if (const User* found = user(name); found != nullptr && !found->hash.empty())
        return {.hash = found->hash, .known = true};
    if (with_password_.empty())
        return {.hash = std::string(stand_in), .known = false};
    // Hashes of different costs would tell names apart if all stand-ins had one: they are spread as the
    // users.
    const std::size_t pick = NameHash{}(name) % with_password_.size();
    return {.hash = user(with_password_[pick])->hash, .known = false};
}

const std::string* UserFile::scram(std::string_view name) const {
    const User* found = user(name);
    return found == nullptr || found->scram.empty() ? nullptr : &found->scram;
}

} // namespace brim::broker
