#include "broker/scram.h"

#include "broker/internal/scram_keys.h"
#include "broker/internal/scram_text.h"

#include "base/assert.h"
#include "base/hash.h"

#include <utility>

namespace brim::broker {

namespace {

constexpr std::size_t own_nonce_bytes_min = 18; ///< 108 bits in base64 at the least

auto bad_message(std::string_view which, std::string cause) {
    return fail(
        Errc::malformed,
        std::string("SCRAM message ").append(which),
        std::move(cause),
        "check that both sides speak SCRAM-SHA-256"
    );
}

auto not_offered(std::string cause) {
    return fail(
        Errc::unsupported,
        "SCRAM exchange",
        std::move(cause),
        "use SCRAM-SHA-256 without channel binding, authorisation identity and extensions"
    );
}

auto wrong_proof() {
    return fail(
        Errc::unauthenticated, "SCRAM exchange", "user and password do not match", "check both at the client"
    );
}

/// Bounds and text of a whole message.
Result<void> check_message(ByteView message, std::string_view which) {
    if (message.size() > ScramLimits::message_bytes_max) {
        return fail(
            Errc::too_large,
            std::string("SCRAM message ").append(which),
            "it is longer than 2,048 bytes",
            "use shorter names and no extensions"
        );
    }
    if (!is_mqtt_utf8(message))
        return bad_message(which, "it is no UTF-8 text");
    return {};
}

bool is_nonce_size(std::size_t bytes) {
    return bytes >= ScramLimits::nonce_bytes_min && bytes <= ScramLimits::nonce_bytes_max;
}

bool is_own_nonce(std::string_view nonce) {
    return nonce.size() >= own_nonce_bytes_min && nonce.size() <= ScramLimits::nonce_bytes_max &&
           is_nonce_text(nonce);
}

Bytes auth_message_of(ByteView client_first_bare, ByteView server_first, ByteView without_proof) {
    return Bytes(client_first_bare).append(",").append(server_first).append(",").append(without_proof);
}

} // namespace

Result<ScramServer> ScramServer::begin(ByteView client_first) {
    constexpr std::string_view which = "client-first";
    if (auto checked = check_message(client_first, which); !checked)
        return fail(std::move(checked).error());
    if (client_first.starts_with("p="))
        return not_offered("the client asks for channel binding");
    if (!client_first.starts_with("n,") && !client_first.starts_with("y,"))
        return bad_message(which, "it does not begin with n, or y,");
    if (client_first.substr(2).starts_with("a="))
        return not_offered("the client asks to act for another identity");
    if (client_first.size() < 3 || client_first[2] != ',')
        return bad_message(which, "its header does not end with a comma");
    ScramServer server;
    server.gs2_header_ = client_first.substr(0, 3);
    server.client_first_bare_ = client_first.substr(3);
    AttributeReader in(server.client_first_bare_);
    if (in.is_mandatory())
        return not_offered("the client asks for an extension");
    const auto name = in.take('n');
    const auto user = from_saslname(name.value_or(std::string_view()));
    if (!user || user->size() > ScramLimits::name_bytes_max || !is_prepared(*user))
        return bad_message(which, "its name is empty, too long, or not in a form SASLprep leaves alone");
    const auto nonce = in.take('r');
    if (!nonce || !is_nonce_size(nonce->size()) || !is_nonce_text(*nonce))
        return bad_message(which, "its nonce is not 8 to 128 printable characters");
    in.skip_optional("anrmscipve");
    if (!in.at_end())
        return bad_message(which, "it does not end behind the nonce and optional extensions");
    server.user_ = *user;
    server.nonce_ = *nonce;
    return server;
}

Bytes ScramServer::challenge(ScramVerifier verifier, std::string_view nonce) {
    BRIM_ASSERT(server_first_.empty(), "an exchange has one challenge");
    BRIM_ASSERT(is_own_nonce(nonce), "the server's nonce is 18 to 128 printable characters");
    verifier_ = std::move(verifier);
    nonce_.append(nonce);
    server_first_.append("r=").append(nonce_);
    server_first_.append(",s=").append(to_base64(verifier_.salt));
    server_first_.append(",i=").append(std::to_string(verifier_.iterations));
    return server_first_;
}

Result<Bytes> ScramServer::finish(ByteView client_final) {
    constexpr std::string_view which = "client-final";
    BRIM_ASSERT(!server_first_.empty() && !is_finished_, "challenge() comes before finish(), once");
    is_finished_ = true; // a wrong proof is not tried again
    if (auto checked = check_message(client_final, which); !checked)
        return fail(std::move(checked).error());
    AttributeReader in(client_final);
    if (in.is_mandatory())
        return not_offered("the client asks for an extension");
    const auto binding = in.take('c');
    if (!binding || *binding != to_base64(gs2_header_))
        return bad_message(which, "its channel binding is not that of client-first");
    const auto nonce = in.take('r');
    if (!nonce || *nonce != nonce_)
        return bad_message(which, "its nonce is not the one of this exchange");
    in.skip_optional("anrmscipve");
    const auto proof_text = in.take('p');
    const auto proof = proof_text ? from_base64(*proof_text) : std::nullopt;
    if (!proof || proof->size() != scram_key_bytes || !in.at_end())
        return bad_message(which, "it does not end with a proof of 32 bytes in base64");
    const ByteView without_proof = client_final.substr(0, client_final.size() - proof_text->size() - 3);
    const Bytes auth_message = auth_message_of(client_first_bare_, server_first_, without_proof);
    const Bytes client_key = exclusive_or(*proof, hmac(Digest::sha256, verifier_.stored_key, auth_message));
    const Bytes server_signature = hmac(Digest::sha256, verifier_.server_key, auth_message);
    const bool is_match = equal_constant_time(digest(Digest::sha256, client_key), verifier_.stored_key);
    if (!is_match || verifier_.is_stand_in)
        return wrong_proof();
    return "v=" + to_base64(server_signature);
}

Result<ScramClient>
ScramClient::make(std::string_view user, std::string_view password, std::string_view nonce) {
    BRIM_ASSERT(is_own_nonce(nonce), "the client's nonce is 18 to 128 printable characters");
    if (user.size() > ScramLimits::name_bytes_max)
        return fail(Errc::too_large, "SCRAM user name", "it is longer than 256 bytes", "use a shorter name");
    if (!is_prepared(user)) {
        return fail(
            Errc::malformed,
            "SCRAM user name",
            "it is empty, no UTF-8, or has characters that SASLprep could change",
            "use printable ASCII, or plain Latin, Greek, Cyrillic, Chinese, Japanese or Korean text"
        );
    }
    if (auto checked = check_password(password); !checked)
        return fail(std::move(checked).error());
    ScramClient client;
    client.password_ = password;
    client.nonce_ = nonce;
    client.first_ = Bytes("n,,n=").append(to_saslname(user)).append(",r=").append(nonce);
    return client;
}

Result<Bytes> ScramClient::answer(ByteView server_first) {
    constexpr std::string_view which = "server-first";
    BRIM_ASSERT(!password_.empty(), "an exchange has one answer");
    const std::string password = std::exchange(password_, {});
    if (auto checked = check_message(server_first, which); !checked)
        return fail(std::move(checked).error());
    AttributeReader in(server_first);
    if (in.is_mandatory())
        return not_offered("the server asks for an extension");
    const auto nonce = in.take('r');
    if (!nonce || !nonce->starts_with(nonce_) || !is_nonce_text(*nonce) ||
        !is_nonce_size(nonce->size() - nonce_.size())) {
        return bad_message(which, "its nonce is not ours and 8 to 128 printable characters");
    }
    const auto salt_text = in.take('s');
    const auto salt = salt_text ? from_base64(*salt_text) : std::nullopt;
    if (!salt)
        return bad_message(which, "its salt is not base64");
    const auto iterations_text = in.take('i');
    in.skip_optional("anrmscipve");
    if (!iterations_text || !in.at_end())
        return bad_message(which, "it has no iterations, or does not end behind them and extensions");
    const auto iterations = iterations_from(*iterations_text);
    if (!iterations || salt->size() < ScramLimits::salt_bytes_min ||
        salt->size() > ScramLimits::salt_bytes_max) {
        return fail(
            Errc::invalid,
            "SCRAM message server-first",
            "its salt is not 8 to 64 bytes, or its iterations are not 4096 to 1000000",
            "set the server's verifier for this user anew"
        );
    }
    const Bytes salted = salted_password(password, *salt, *iterations);
    const Bytes client_key = client_key_of(salted);
    const Bytes without_proof = Bytes("c=").append(to_base64("n,,")).append(",r=").append(*nonce);
    constexpr std::size_t header_bytes = 3;
    const Bytes auth_message =
        auth_message_of(ByteView(first_).substr(header_bytes), server_first, without_proof);
    const Bytes signature = hmac(Digest::sha256, digest(Digest::sha256, client_key), auth_message);
    server_signature_ = hmac(Digest::sha256, server_key_of(salted), auth_message);
    return without_proof + ",p=" + to_base64(exclusive_or(client_key, signature));
}

Result<void> ScramClient::verify(ByteView server_final) const {
    constexpr std::string_view which = "server-final";
    if (auto checked = check_message(server_final, which); !checked)
        return checked;
    AttributeReader in(server_final);
    const auto signature_text = in.take('v');
    const auto signature = signature_text ? from_base64(*signature_text) : std::nullopt;
    in.skip_optional("anrmscipve");
    if (!signature || !in.at_end())
        return bad_message(which, "it has no signature in base64");
    if (server_signature_.empty() || !equal_constant_time(*signature, server_signature_)) {
        return fail(
            Errc::unauthenticated,
            "SCRAM exchange",
            "the server did not prove that it knows the user's verifier",
            "check that the peer is the server meant"
        );
    }
    return {};
}

} // namespace brim::broker
