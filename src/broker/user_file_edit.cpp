// Changes of a password file, as text to text.

#include "base/assert.h"
#include "base/hash.h"
#include "broker/internal/password_hash.h"
#include "broker/internal/user_lines.h"
#include "broker/principal.h"
#include "broker/scram.h"
#include "broker/user_file.h"

#include <algorithm>

namespace brim::broker {

namespace {

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
        BRIM_ASSERT(scram->salt.size() == 16, "the caller chose a weak salt");
        const auto verifier = make_scram_verifier(password, scram->salt, scram->iterations);
        if (!verifier)
            return fail(verifier.error());
        added.append(name).append(":").append(scram_verifier_text(*verifier)).append(line_end);
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
