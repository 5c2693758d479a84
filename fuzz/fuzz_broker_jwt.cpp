// Any text as a token, behind "?" as a JWKS document, behind "+" as a PEM key (OpenSSL takes 100 times as
// long to refuse one as we take for a document): judging ends, says why, and lets nobody in whose token was
// not signed. A text of two lines that begins with "!" is signed by the target itself, so that the claims
// behind the signature are reached: header, then claims.
#include "base/bytes.h"
#include "base/hash.h"
#include "broker/jwt.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace brim;
using namespace brim::broker;

namespace {

constexpr WallTime fuzz_now{1'800'000'000'000};
const std::string fuzz_secret = "0123456789abcdef0123456789abcdef";

TokenSettings settings_with(TokenKeyForm form, std::string key) {
    TokenSettings made;
    made.algorithms = {TokenAlgorithm::hs256};
    made.form = form;
    made.key = Secret(std::move(key));
    return made;
}

/// Any bytes as keys: made or refused, with a reason.
void try_key(std::string_view text, TokenKeyForm form) {
    TokenSettings settings = settings_with(form, std::string(text));
    if (form == TokenKeyForm::pem)
        settings.algorithms = {TokenAlgorithm::es256};
    else
        settings.algorithms = {TokenAlgorithm::rs256, TokenAlgorithm::es256, TokenAlgorithm::eddsa};
    const auto made = TokenJudge::make(std::move(settings), "key");
    if (!made && made.error().cause.empty())
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto judge = TokenJudge::make(settings_with(TokenKeyForm::secret, fuzz_secret), "secret");
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (text.starts_with('?') || text.starts_with('+')) {
        try_key(text.substr(1), text[0] == '?' ? TokenKeyForm::jwks : TokenKeyForm::pem);
        return 0;
    }
    if (!text.starts_with('!')) {
        if (judge->judge(text, fuzz_now))
            std::abort(); // nobody but this target knows the secret
        return 0;
    }
    const std::size_t line = std::min(text.find('\n'), text.size());
    const std::string signed_text = to_base64url(text.substr(1, line - 1)) + "." +
                                    to_base64url(text.substr(std::min(line + 1, text.size())));
    const std::string token =
        signed_text + "." + to_base64url(hmac(Digest::sha256, fuzz_secret, signed_text));
    const auto judged = judge->judge(token, fuzz_now);
    if (!judged) {
        if (judged.error().code != Errc::unauthenticated || judged.error().cause.empty())
            std::abort();
        return 0;
    }
    if (judged->proof != Proof::token || !is_plain_name(judged->name) || judged->valid_until <= fuzz_now)
        std::abort();
    return 0;
}
