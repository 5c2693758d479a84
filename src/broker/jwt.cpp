#include "broker/jwt.h"

#include "broker/internal/base64.h"
#include "broker/internal/token_key.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace brim::broker {

namespace {

constexpr std::array<std::string_view, 10> algorithm_names{
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"
};

/// The end of the year 9999: a time beyond it is no time.
constexpr double second_max = 253'402'300'799.0;

std::unexpected<Error> refused(std::string cause) {
    return fail(
        Errc::unauthenticated, "token", std::move(cause), "compare the token with the settings of tokens"
    );
}

bool is_same_ignoring_case(std::string_view text, std::string_view lower) {
    return std::ranges::equal(text, lower, [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
    });
}

/// The three parts of a token in compact form (RFC 7515 section 7.1).
struct TokenParts {
    std::string_view signed_text; ///< header and claims with their dot
    Bytes header, claims, signature;
};

Result<TokenParts> split(std::string_view token) {
    if (token.size() > TokenLimits::token_bytes_max)
        return refused("it is longer than " + std::to_string(TokenLimits::token_bytes_max) + " bytes");
    const std::size_t first = token.find('.');
    const std::size_t last = token.rfind('.');
    if (first == std::string_view::npos || std::ranges::count(token, '.') != 2)
        return refused("it has not three parts");
    auto header = from_base64(token.substr(0, first), Base64::url);
    auto claims = from_base64(token.substr(first + 1, last - first - 1), Base64::url);
    auto signature = from_base64(token.substr(last + 1), Base64::url);
    if (!header || !claims || !signature)
        return refused("a part is no base64url");
    if (header->size() > TokenLimits::header_bytes_max)
        return refused("its header is longer than 2,048 bytes");
    if (signature->empty())
        return refused("it is not signed");
    return TokenParts{token.substr(0, last), std::move(*header), std::move(*claims), std::move(*signature)};
}

struct TokenHeader {
    TokenAlgorithm algorithm{};
    bool has_id = false;
    std::string id; ///< "kid"
};

Result<TokenHeader> read_header(const Bytes& text, const std::vector<TokenAlgorithm>& allowed) {
    const auto json =
        Json::parse(text, {.bytes_max = TokenLimits::header_bytes_max, .depth_max = 4, .values_max = 64});
    if (!json || !json->is_object())
        return refused("its header is no JSON object");
    const auto algorithm = token_algorithm((*json)["alg"].as_string());
    if (!algorithm || std::ranges::find(allowed, *algorithm) == allowed.end())
        return refused("its algorithm is not one of the settings");
    // Whatever it lists, we do not know it (RFC 7515 section 4.1.11).
    if (json->find("crit") != nullptr)
        return refused("its header has crit");
    const Json* kind = json->find("typ");
    if (kind != nullptr && !is_same_ignoring_case(kind->as_string(), "jwt") &&
        !is_same_ignoring_case(kind->as_string(), "at+jwt"))
        return refused("its typ is neither JWT nor at+jwt");
    TokenHeader made;
    made.algorithm = *algorithm;
    if (const Json* id = json->find("kid"); id != nullptr) {
        if (!id->is_string())
            return refused("its kid is no text");
        made.has_id = true;
        made.id = id->as_string();
    }
    return made;
}

/// A NumericDate in milliseconds; `absent` when there is none.
struct ClaimTime {
    bool absent = true;
    std::int64_t ms = 0;
};

Result<ClaimTime> time_of(const Json& claims, std::string_view name) {
    const Json* found = claims.find(name);
    if (found == nullptr)
        return ClaimTime{};
    const double seconds = found->as_double(-1);
    if (!found->is_number() || !(seconds >= 0 && seconds <= second_max))
        return refused(std::string(name) + " is no time");
    return ClaimTime{.absent = false, .ms = static_cast<std::int64_t>(std::ceil(seconds * 1'000))};
}

bool is_for(const Json& audience, const std::string& wanted) {
    if (audience.is_string())
        return audience.as_string() == wanted;
    const auto is_text = [](const Json& each) { return each.is_string(); };
    return std::ranges::all_of(audience.items(), is_text) &&
           std::ranges::any_of(audience.items(), [&](const Json& each) {
               return each.as_string() == wanted;
           });
}

Result<Principal> read_claims(const Json& claims, const TokenSettings& settings, WallTime now) {
    const std::int64_t leeway_ms = std::chrono::milliseconds(settings.leeway).count();
    const auto expiry = time_of(claims, "exp");
    const auto not_before = time_of(claims, "nbf");
    const auto issued = time_of(claims, "iat");
    for (const auto* each : {&expiry, &not_before, &issued}) {
        if (!*each)
            return fail(each->error());
    }
    if (expiry->absent && settings.expiry_required)
        return refused("it has no exp");
    if (!expiry->absent && now.ms >= expiry->ms + leeway_ms)
        return refused("it expired at " + to_rfc3339({expiry->ms}));
    if (!not_before->absent && not_before->ms > now.ms + leeway_ms)
        return refused("it is not valid before " + to_rfc3339({not_before->ms}));
    if (!issued->absent && issued->ms > now.ms + leeway_ms)
        return refused("it is issued in the future, at " + to_rfc3339({issued->ms}));
    const Json* issuer = claims.find("iss");
    if (!settings.issuer.empty() && (issuer == nullptr || issuer->as_string() != settings.issuer))
        return refused("its issuer is another");
    const Json* audience = claims.find("aud");
    if (!settings.audience.empty() && (audience == nullptr || !is_for(*audience, settings.audience)))
        return refused("it is for another audience");
    const std::string_view name = claims[settings.name_claim].as_string();
    if (!is_plain_name(name))
        return refused("its " + settings.name_claim + " is no plain name");
    return Principal{
        .proof = Proof::token,
        .name = std::string(name),
        .client_id = {},
        .valid_until = {expiry->absent ? 0 : expiry->ms + leeway_ms}
    };
}

} // namespace

Result<TokenAlgorithm> token_algorithm(std::string_view name) {
    const auto found = std::ranges::find(algorithm_names, name);
    if (found == algorithm_names.end())
        return fail(
            Errc::invalid,
            "algorithm",
            "there is none of this name for tokens",
            "use HS256, HS384, HS512, RS256, RS384, RS512, PS256, ES256, ES384 or EdDSA"
        );
    return static_cast<TokenAlgorithm>(found - algorithm_names.begin());
}

std::string_view token_algorithm_name(TokenAlgorithm algorithm) noexcept {
    return algorithm_names[static_cast<std::size_t>(algorithm)];
}

struct TokenJudge::Keys {
    std::vector<TokenKey> all;
    bool by_id = false; ///< a JWK Set

    /// Null when none, or more than one, would do.
    const TokenKey* find(const TokenHeader& header) const {
        const TokenKey* found = nullptr;
        for (const TokenKey& key : all) {
            if (!key.fits(header.algorithm) || (by_id && header.has_id && key.id() != header.id))
                continue;
            if (found != nullptr)
                return nullptr;
            found = &key;
        }
        return found;
    }

    static Result<std::vector<TokenKey>> of_set(const TokenSettings& settings, std::string_view object) {
        const auto wrong = [&](std::string cause) {
            return fail(
                Errc::invalid, std::string(object), std::move(cause), "give the issuer's JWKS document"
            );
        };
        const auto json =
            Json::parse(settings.key.reveal(), {.bytes_max = 262'144, .depth_max = 8, .values_max = 4'096});
        if (!json || !(*json)["keys"].is_array())
            return wrong("it is no JWKS document: an object with a list of keys");
        if ((*json)["keys"].items().size() > TokenLimits::keys_max)
            return wrong("it has more than " + std::to_string(TokenLimits::keys_max) + " keys");
        std::vector<TokenKey> made;
        for (const Json& each : (*json)["keys"].items()) {
            auto key = TokenKey::jwk(each, settings.algorithms, object);
            if (!key)
                return fail(key.error());
            if (!*key)
                continue;
            const bool is_doubled =
                std::ranges::any_of(made, [&](const TokenKey& other) { return other.id() == (*key)->id(); });
            if (is_doubled)
                return wrong("two keys have the same kid, or none");
            made.push_back(std::move(**key));
        }
        if (made.empty())
            return wrong("it has no key for the algorithms of the settings");
        return made;
    }
};

TokenJudge::TokenJudge(TokenSettings settings, std::unique_ptr<const Keys> keys)
    : settings_(std::move(settings)), keys_(std::move(keys)) {
    settings_.key = {};
}

TokenJudge::TokenJudge(TokenJudge&&) noexcept = default;
TokenJudge& TokenJudge::operator=(TokenJudge&&) noexcept = default;
TokenJudge::~TokenJudge() = default;

Result<TokenJudge> TokenJudge::make(TokenSettings settings, std::string_view object) {
    const auto wrong = [&](std::string cause, std::string fix) {
        return fail(Errc::invalid, std::string(object), std::move(cause), std::move(fix));
    };
    if (settings.algorithms.empty())
        return wrong("no algorithm is allowed", "name those the tokens are signed with");
    if (settings.key.reveal().size() > TokenLimits::key_text_bytes_max)
        return fail(Errc::too_large, std::string(object), "the key is longer than 256 KiB", "is it a key?");
    if (settings.name_claim.empty())
        return wrong("the claim with the name is not named", "the usual one is sub");
    if (settings.leeway.count() < 0 || settings.leeway.count() > TokenLimits::leeway_s_max)
        return wrong("a leeway is 0 to 600 seconds", "set the clocks instead");
    auto keys = std::make_unique<Keys>();
    if (settings.form == TokenKeyForm::jwks) {
        keys->by_id = true;
        auto all = Keys::of_set(settings, object);
        if (!all)
            return fail(all.error());
        keys->all = std::move(*all);
    } else {
        auto key = settings.form == TokenKeyForm::pem
                       ? TokenKey::pem(settings.key.reveal(), settings.algorithms, object)
                       : TokenKey::secret(settings.key.reveal(), settings.algorithms, object);
        if (!key)
            return fail(key.error());
        keys->all.push_back(std::move(*key));
    }
    return TokenJudge(std::move(settings), std::move(keys));
}

Result<Principal> TokenJudge::judge(std::string_view token, WallTime now) const {
    const auto parts = split(token);
    if (!parts)
        return fail(parts.error());
    const auto header = read_header(parts->header, settings_.algorithms);
    if (!header)
        return fail(header.error());
    const TokenKey* key = keys_->find(*header);
    if (key == nullptr)
        return refused("no key, or no single one, is for its algorithm and kid");
    if (!key->verifies(header->algorithm, parts->signed_text, parts->signature))
        return refused("its signature is wrong");
    // Only now: what stands in the claims of a forged token is read by nobody.
    const auto claims = Json::parse(
        parts->claims,
        {.bytes_max = TokenLimits::token_bytes_max,
         .depth_max = TokenLimits::depth_max,
         .values_max = TokenLimits::values_max}
    );
    if (!claims || !claims->is_object())
        return refused("its claims are no JSON object");
    return read_claims(*claims, settings_, now);
}

} // namespace brim::broker
