// Changes of a password file, as text to text.

#include "base/assert.h"
#include "base/hash.h"
#include "broker/internal/base64.h"
#include "broker/internal/password_hash.h"
#include "broker/internal/user_lines.h"
#include "broker/principal.h"
#include "broker/user_file.h"

#include <algorithm>

namespace brim::broker {

namespace {

/// RFC 5802 section 3 with SHA-256, in the form PostgreSQL made known.
Result<std::string> verifier_of(std::string_view password, const ScramCost& cost) {
    BRIM_ASSERT(cost.salt.size() == 16 && cost.iterations >= 4'096, "the caller chose a weak SCRAM verifier");
    const Bytes salted = pbkdf2_sha256(password, cost.salt, cost.iterations);
    if (salted.empty())
        return fail(Errc::unavailable, "SCRAM verifier", "OpenSSL refuses PBKDF2", "see its settings");
    const Bytes stored = digest(Digest::sha256, hmac(Digest::sha256, salted, "Client Key"));
    const Bytes server = hmac(Digest::sha256, salted, "Server Key");
    return "SCRAM-SHA-256$" + std::to_string(cost.iterations) + ":" + to_base64(cost.salt) + "$" +
           to_base64(stored) + ":" + to_base64(server);
}

Result<void> check_user(std::string_view name, std::string_view password, bool with_scram) {
    if (!is_plain_name(name) || name.find(':') != std::string_view::npos || name.starts_with(' ') ||
        name.ends_with(' '))
        return fail(
            Errc::invalid,
            "user name",
            "it is empty, over 256 bytes, or has + # / : $ or blanks where it may not",
            "choose a name of letters, digits, - and _"
        );
    if (password.empty())
        return fail(Errc::invalid, "password", "it is empty", "choose one");
    if (password.size() > 1'024)
        return fail(Errc::invalid, "password", "longer than 1,024 bytes", "choose a shorter one");
    const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
    if (with_scram && !std::ranges::all_of(password, is_printable))
        return fail(
            Errc::invalid,
            "password",
            "for SCRAM it may have printable ASCII only",
            "choose such a password, or leave SCRAM away"
        );
    return {};
}

/// `text` without the lines of `name`; `first` stands where the first of them stood. True when there was one.
bool replace_lines(std::string_view text, std::string_view name, std::string_view first, std::string& out) {
    bool is_found = false;
    if (text.starts_with(user_file_mark)) {
        out += user_file_mark;
        text.remove_prefix(user_file_mark.size());
    }
    UserLines lines(text);
    for (UserLine line; lines.next(line);) {
        if (line.is_comment() || line.name != name) {
            out += line.raw;
            continue;
        }
        if (!is_found)
            out += first;
        is_found = true;
    }
    return is_found;
}

} // namespace

Result<std::string> set_user(
    std::string_view text,
    std::string_view name,
    std::string_view password,
    ByteView salt,
    const std::optional<ScramCost>& scram,
    std::string_view object
) {
    BRIM_TRY(check_user(name, password, scram.has_value()));
    BRIM_TRY(UserFile::parse(text, object));
    const auto hash = password_hash(password, salt);
    if (!hash)
        return fail(hash.error());
    const std::string_view line_end = text.find("\r\n") == std::string_view::npos ? "\n" : "\r\n";
    std::string added(name);
    added.append(":").append(*hash).append(line_end);
    if (scram) {
        const auto verifier = verifier_of(password, *scram);
        if (!verifier)
            return fail(verifier.error());
        added.append(name).append(":").append(*verifier).append(line_end);
    }
    std::string out;
    if (!replace_lines(text, name, added, out)) {
        if (!out.empty() && !out.ends_with('\n') && out != user_file_mark)
            out += line_end;
        out += added;
    }
    // The limits of a file are those of its reader; what it would refuse is not written.
    BRIM_TRY(UserFile::parse(out, object));
    return out;
}

Result<std::string> remove_user(std::string_view text, std::string_view name, std::string_view object) {
    BRIM_TRY(UserFile::parse(text, object));
    std::string out;
    if (!replace_lines(text, name, {}, out))
        return fail(
            Errc::not_found,
            "user \"" + std::string(name) + "\"",
            "there is none in " + std::string(object),
            "see brim mqtt user list"
        );
    return out;
}

} // namespace brim::broker
