#pragma once
// SCRAM-SHA-256 (RFC 5802, RFC 7677): both sides of the exchange as state machines without I/O, and the
// verifier a server keeps instead of a password. Messages are the bytes that go into MQTT's authentication
// data. The server never learns the password, the client learns that the server had the verifier.
//
// Taken: "n,," and "y,," (no channel binding). Refused: "p=" (channel binding), an authorisation identity,
// mandatory extensions. Unknown optional extensions are passed over, as section 5.1 says.
//
// Names and passwords: of SASLprep (RFC 4013) only what needs no mapping is taken, so that both sides hash
// the same bytes whether or not they know SASLprep. See is_prepared().

#include "base/bytes.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace brim::broker {

inline constexpr std::string_view scram_method = "SCRAM-SHA-256"; ///< as MQTT names it

/// Bounds of every part, tested on both sides.
struct ScramLimits {
    static constexpr std::uint32_t iterations_min = 4'096; ///< RFC 7677 section 4
    static constexpr std::uint32_t iterations_max = 1'000'000;
    static constexpr std::size_t message_bytes_max = 2'048;
    static constexpr std::size_t name_bytes_max = 256; ///< as principal.h
    static constexpr std::size_t password_bytes_max = 1'024;
    static constexpr std::size_t salt_bytes_min = 8;
    static constexpr std::size_t salt_bytes_max = 64;
    static constexpr std::size_t nonce_bytes_min = 8; ///< of either side's own part
    static constexpr std::size_t nonce_bytes_max = 128;
};

/// True when SASLprep would leave `text` as it is: 1 byte or more of printable ASCII and of assigned, NFKC
/// characters, left to right, that join with no neighbour: Latin, Greek, Cyrillic, Armenian, Georgian
/// letters, kana, bopomofo, CJK ideographs, Hangul syllables and their common punctuation. Anything else is
/// false, also what SASLprep would map (a no-break space, full-width letters, a letter with a combining
/// accent) and what it would take but this table does not have (right-to-left and Indic scripts).
bool is_prepared(std::string_view text) noexcept;

/// What the server keeps of a password.
struct ScramVerifier {
    std::uint32_t iterations = 0;
    Bytes salt;
    Bytes stored_key; ///< 32 bytes
    Bytes server_key; ///< 32 bytes
    /// Of nobody: the exchange runs to its end and fails there.
    bool is_stand_in = false;
};

/// Salts and hashes; as slow as `iterations` (about 1 ms for 4,096): many of them belong on a worker. `salt`
/// is 16 random bytes as a rule. Errc::malformed for a password that is not prepared, Errc::too_large for one
/// over the limit, Errc::invalid for salt or iterations outside theirs.
Result<ScramVerifier> make_scram_verifier(std::string_view password, ByteView salt, std::uint32_t iterations);

/// "SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>", base64 with padding: the form PostgreSQL keeps too.
std::string scram_verifier_text(const ScramVerifier& verifier);
/// Strict: Errc::malformed names the part that is wrong, never its value.
Result<ScramVerifier> parse_scram_verifier(std::string_view text);

/// The verifier of a name nobody has: always the same for one name and secret, so that asking twice tells
/// nothing. `iterations` and the salt's 16 bytes should be what real verifiers have, else they tell.
/// `server_secret` is 32 random bytes the server keeps.
ScramVerifier stand_in_verifier(ByteView server_secret, std::string_view user, std::uint32_t iterations);

/// The server's side of one exchange: begin(), challenge(), finish(), each once and in this order.
class ScramServer {
public:
    /// Reads client-first. Errc::unsupported: channel binding, an authorisation identity, a mandatory
    /// extension. Errc::malformed, Errc::too_large: anything else.
    static Result<ScramServer> begin(ByteView client_first);

    const std::string& user() const { return user_; }

    /// Makes server-first for the verifier of user(), or a stand-in for one. `nonce` is this server's part:
    /// at least 18 random bytes in printable ASCII without a comma (base64 will do).
    Bytes challenge(ScramVerifier verifier, std::string_view nonce);
    /// Judges client-final; server-final when the client knows the password. Errc::unauthenticated for a
    /// wrong proof or a stand-in, Errc::malformed for anything that does not fit the exchange.
    Result<Bytes> finish(ByteView client_final);

private:
    ScramServer() = default;

    std::string user_;
    Bytes gs2_header_;
    Bytes client_first_bare_;
    Bytes server_first_;
    std::string nonce_; ///< the client's, then both
    ScramVerifier verifier_;
    bool is_finished_ = false;
};

/// The client's side of one exchange: first(), answer(), verify() in this order.
class ScramClient {
public:
    /// `nonce` as for the server. Errc::malformed for a name or password that is not prepared,
    /// Errc::too_large.
    static Result<ScramClient> make(std::string_view user, std::string_view password, std::string_view nonce);

    const Bytes& first() const { return first_; }

    /// client-final for server-first; as slow as the server's iterations. Errc::malformed, Errc::unsupported
    /// (a mandatory extension), Errc::invalid (iterations or salt outside the limits: a server must not make
    /// a client hash weakly, nor for minutes).
    Result<Bytes> answer(ByteView server_first);
    /// True when server-final proves that the server has the verifier. Only then is it the server meant.
    Result<void> verify(ByteView server_final) const;

private:
    ScramClient() = default;

    std::string password_; ///< until answer()
    std::string nonce_;
    Bytes first_;
    Bytes server_signature_; ///< expected; empty before answer()
};

} // namespace brim::broker
