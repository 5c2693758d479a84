// What a server keeps of a password: made, written and read.

#include "broker/scram.h"

#include "broker/internal/scram_keys.h"
#include "broker/internal/scram_text.h"

#include "base/assert.h"
#include "base/hash.h"

#include <openssl/evp.h>

namespace brim::broker {

namespace {

constexpr std::size_t stand_in_salt_bytes = 16;

auto bad_verifier(std::string cause) {
    return fail(
        Errc::malformed,
        "SCRAM verifier",
        std::move(cause),
        "write it as SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, or make it anew"
    );
}

bool is_salt_size(std::size_t bytes) {
    return bytes >= ScramLimits::salt_bytes_min && bytes <= ScramLimits::salt_bytes_max;
}

/// What stands before `end` in `rest`, which is cut behind it. Nothing when it is not there.
std::optional<std::string_view> cut_before(std::string_view& rest, char end) {
    const std::size_t at = rest.find(end);
    if (at == std::string_view::npos)
        return std::nullopt;
    const std::string_view part = rest.substr(0, at);
    rest.remove_prefix(at + 1);
    return part;
}

} // namespace

Bytes salted_password(std::string_view password, ByteView salt, std::uint32_t iterations) {
    unsigned char key[scram_key_bytes];
    const int is_made = PKCS5_PBKDF2_HMAC(
        password.data(),
        static_cast<int>(password.size()),
        reinterpret_cast<const unsigned char*>(salt.data()),
        static_cast<int>(salt.size()),
        static_cast<int>(iterations),
        EVP_sha256(),
        sizeof key,
        key
    );
    BRIM_ASSERT(is_made == 1, "PBKDF2 with bounded input succeeds");
    return Bytes(reinterpret_cast<const char*>(key), sizeof key);
}

Bytes client_key_of(ByteView salted) {
    return hmac(Digest::sha256, salted, "Client Key");
}

Bytes server_key_of(ByteView salted) {
    return hmac(Digest::sha256, salted, "Server Key");
}

Result<void> check_password(std::string_view password) {
    if (password.size() > ScramLimits::password_bytes_max) {
        return fail(
            Errc::too_large, "SCRAM password", "it is longer than 1,024 bytes", "choose a shorter password"
        );
    }
    if (!is_prepared(password)) {
        return fail(
            Errc::malformed,
            "SCRAM password",
            "it is empty, no UTF-8, or has characters that SASLprep could change",
            "use printable ASCII, or plain Latin, Greek, Cyrillic, Chinese, Japanese or Korean text"
        );
    }
    return {};
}

Result<ScramVerifier>
make_scram_verifier(std::string_view password, ByteView salt, std::uint32_t iterations) {
    if (auto checked = check_password(password); !checked)
        return fail(std::move(checked).error());
    if (!is_salt_size(salt.size()))
        return fail(Errc::invalid, "SCRAM salt", "it has not 8 to 64 bytes", "use 16 random bytes");
    if (iterations < ScramLimits::iterations_min || iterations > ScramLimits::iterations_max)
        return fail(
            Errc::invalid, "SCRAM iterations", "they are not 4,096 to 1,000,000", "use 4,096 or more"
        );
    const Bytes salted = salted_password(password, salt, iterations);
    ScramVerifier made;
    made.iterations = iterations;
    made.salt = salt;
    made.stored_key = digest(Digest::sha256, client_key_of(salted));
    made.server_key = server_key_of(salted);
    return made;
}

std::string scram_verifier_text(const ScramVerifier& verifier) {
    std::string text(scram_method);
    text.append("$").append(std::to_string(verifier.iterations));
    text.append(":").append(to_base64(verifier.salt));
    text.append("$").append(to_base64(verifier.stored_key));
    text.append(":").append(to_base64(verifier.server_key));
    return text;
}

Result<ScramVerifier> parse_scram_verifier(std::string_view text) {
    constexpr std::size_t text_bytes_max = 256; // the longest one has fewer
    if (text.size() > text_bytes_max)
        return bad_verifier("it is too long");
    const auto method = cut_before(text, '$');
    if (!method || *method != scram_method)
        return bad_verifier("it does not begin with SCRAM-SHA-256$");
    const auto iterations_text = cut_before(text, ':');
    const auto iterations = iterations_from(iterations_text.value_or(std::string_view()));
    if (!iterations)
        return bad_verifier("its iterations are no number from 4096 to 1000000");
    const auto salt = from_base64(cut_before(text, '$').value_or("?"));
    if (!salt || !is_salt_size(salt->size()))
        return bad_verifier("its salt is not 8 to 64 bytes in base64");
    const auto stored_key = from_base64(cut_before(text, ':').value_or("?"));
    if (!stored_key || stored_key->size() != scram_key_bytes)
        return bad_verifier("its StoredKey is not 32 bytes in base64");
    const auto server_key = from_base64(text);
    if (!server_key || server_key->size() != scram_key_bytes)
        return bad_verifier("its ServerKey is not 32 bytes in base64");
    return ScramVerifier{*iterations, *salt, *stored_key, *server_key, false};
}

ScramVerifier stand_in_verifier(ByteView server_secret, std::string_view user, std::uint32_t iterations) {
    // Different beginnings keep the parts apart; the keys are never matched, but the work is the same.
    const auto part = [&](std::string_view what) {
        return hmac(Digest::sha256, server_secret, std::string(what).append(user));
    };
    ScramVerifier made;
    made.iterations = iterations;
    made.salt = part("scram salt:").substr(0, stand_in_salt_bytes);
    made.stored_key = part("scram stored key:");
    made.server_key = part("scram server key:");
    made.is_stand_in = true;
    return made;
}

} // namespace brim::broker
