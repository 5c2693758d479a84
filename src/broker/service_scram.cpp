// Enhanced authentication (MQTT 5 section 4.12) with SCRAM-SHA-256: the password never comes, the client
// learns that the broker had its verifier, and a connection may prove itself again without ending.

#include "broker/service.h"

namespace brim::broker {

using mqtt::ConnId;
using mqtt::ReasonCode;

namespace {

constexpr std::uint32_t usual_iterations = 10'000; ///< of `brim mqtt user add --scram`
constexpr std::size_t nonce_characters = 32;

} // namespace

bool Service::offers_auth(ConnId conn, std::string_view method) const {
    return method == scram_method && settings_.listeners[listener_tag(conn)].auth == ListenerAuth::users;
}

void Service::begin_scram(ConnId conn, Claim claim, ByteView first, bool is_again) {
    auto server = ScramServer::begin(first);
    if (!server)
        return turn_away(conn, claim, ReasonCode::not_authorized, "scram", server.error());
    if (logins_.is_held(server->user(), host_of(claim.address))) {
        const Error why{
            Errc::busy,
            "user \"" + server->user() + "\"",
            "too many wrong logins before it",
            "try again later"
        };
        return turn_away(conn, claim, ReasonCode::server_busy, "busy", why);
    }
    const auto& users = policy_.rules().users;
    const std::string* kept = users ? users->scram(server->user()) : nullptr;
    auto verifier = kept == nullptr ? stand_in_verifier(scram_secret_, server->user(), usual_iterations)
                                    : parse_scram_verifier(*kept);
    if (!verifier)
        return turn_away(conn, claim, ReasonCode::not_authorized, "scram", verifier.error());
    claim.who.proof = Proof::scram;
    claim.who.name = server->user();
    const Bytes challenge = server->challenge(std::move(*verifier), env().random().alnum(nonce_characters));
    exchanges_.insert_or_assign(conn, Exchange{std::move(*server), std::move(claim), is_again});
    broker().continue_auth(conn, challenge, {}, now());
}

void Service::on_auth(ConnId conn, const mqtt::Auth& auth) {
    if (auth.reason == ReasonCode::re_authenticate) {
        Claim claim;
        const auto from = peer(conn);
        claim.address = from ? from->address : std::string{};
        return begin_scram(conn, std::move(claim), auth.auth_data, true);
    }
    auto found = exchanges_.extract(conn);
    if (!found) {
        const Error why{Errc::unauthenticated, "AUTH", "no exchange is under way", "begin with CONNECT"};
        return turn_away(conn, {}, ReasonCode::not_authorized, "scram", why);
    }
    end_scram(conn, std::move(found.mapped()), auth.auth_data);
}

void Service::end_scram(ConnId conn, Exchange exchange, ByteView last) {
    auto answer = exchange.server.finish(last);
    if (!answer) {
        logins_.note_wrong(exchange.claim.who.name, host_of(exchange.claim.address));
        return turn_away(conn, exchange.claim, ReasonCode::not_authorized, "scram", answer.error());
    }
    logins_.note_right(exchange.claim.who.name, host_of(exchange.claim.address));
    if (!policy_.is_known(exchange.claim.who)) {
        const Error why{Errc::unauthenticated, "SCRAM", "the user went while it logged in", ""};
        return turn_away(conn, exchange.claim, ReasonCode::not_authorized, "scram", why);
    }
    if (!exchange.is_again)
        return admit(conn, exchange.claim, std::move(*answer));
    // A connection stays its user's: the session is kept under that name.
    std::string principal;
    broker().visit_connection(conn, [&](const mqtt::SessionView& session) {
        principal = session.who.principal;
    });
    if (principal != principal_text(exchange.claim.who)) {
        const Error why{
            Errc::denied, "re-authentication", "it is another user than before", "connect anew as that user"
        };
        return turn_away(conn, exchange.claim, ReasonCode::not_authorized, "scram", why);
    }
    broker().reauthenticated(conn, principal, 0, *answer, now());
}

} // namespace brim::broker
