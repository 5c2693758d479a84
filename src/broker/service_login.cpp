// CONNECT: which proof a client brings, and whether it holds.

#include "broker/service.h"

#include <algorithm>

namespace brim::broker {

using mqtt::ConnId;
using mqtt::ReasonCode;

namespace {

/// Three parts between dots, the first of them the beginning of a JSON object: no password looks so by
/// accident.
bool is_token(ByteView password) {
    return password.starts_with("eyJ") && std::count(password.begin(), password.end(), '.') == 2;
}

Error refused(const std::string& client_id, std::string cause, std::string fix) {
    return {Errc::unauthenticated, "client \"" + client_id + "\"", std::move(cause), std::move(fix)};
}

} // namespace

void Service::on_connect(ConnId conn, const mqtt::Connect& connect) {
    Claim claim;
    const auto from = peer(conn);
    claim.address = from ? from->address : std::string{};
    claim.who.client_id = connect.client_id;
    if (connect.client_id.empty()) {
        claim.assigned_client_id = "auto-" + env().random().alnum(20);
        claim.who.client_id = claim.assigned_client_id;
    }
    if (connect.client_id.find('\x1f') != std::string_view::npos) {
        const Error why = refused(claim.who.client_id, "has a U+001F in it", "choose another client id");
        return turn_away(conn, claim, ReasonCode::client_identifier_not_valid, "client_id", why);
    }
    switch (settings_.listeners[listener_tag(conn)].auth) {
    case ListenerAuth::unsafe_anonymous:
        claim.who.proof = Proof::unsafe;
        return admit(conn, claim);
    case ListenerAuth::anonymous:
        return admit(conn, claim);
    case ListenerAuth::users:
        break;
    }
    if (connect.has_auth_method)
        return begin_scram(conn, std::move(claim), connect.auth_data, false);
    if (from && !from->certificate_name.empty() && !connect.has_password)
        return judge_certificate(conn, std::move(claim), *from, connect.username);
    if (!connect.has_password) {
        const Error why = refused(claim.who.client_id, "shows no proof", "log in with user and password");
        return turn_away(conn, claim, ReasonCode::bad_user_name_or_password, "no_proof", why);
    }
    if (policy_.rules().tokens && is_token(connect.password))
        return judge_token(conn, std::move(claim), connect.username, connect.password);
    check_password(conn, std::move(claim), std::string(connect.username), std::string(connect.password));
}

void Service::judge_certificate(ConnId conn, Claim claim, const io::Peer& from, std::string_view username) {
    claim.who.proof = Proof::certificate;
    claim.who.name = from.certificate_name;
    const bool is_other = !username.empty() && username != from.certificate_name;
    if (is_other || !is_plain_name(from.certificate_name)) {
        const Error why = refused(
            claim.who.client_id,
            is_other ? "its user name is not the common name of its certificate"
                     : "the common name of its certificate cannot be a user",
            "log in as \"" + from.certificate_name + "\", or with a password"
        );
        return turn_away(conn, claim, ReasonCode::not_authorized, "certificate", why);
    }
    admit(conn, claim);
}

void Service::judge_token(ConnId conn, Claim claim, std::string_view username, std::string_view token) {
    auto judged = policy_.rules().tokens->judge(token, wall());
    if (!judged)
        return turn_away(conn, claim, ReasonCode::not_authorized, "token", judged.error());
    if (!username.empty() && username != judged->name) {
        const Error why = refused(
            claim.who.client_id, "its user name is not the one in its token", "leave the user name out"
        );
        return turn_away(conn, claim, ReasonCode::not_authorized, "token", why);
    }
    claim.who.proof = Proof::token;
    claim.who.name = judged->name;
    claim.who.valid_until = judged->valid_until;
    admit(conn, claim);
}

void Service::check_password(ConnId conn, Claim claim, std::string name, std::string password) {
    const auto& listed = policy_.rules().users;
    PasswordRecord record = listed ? listed->find(name) : UserFile{}.find(name);
    const std::string hash = record.hash;
    const std::string address = host_of(claim.address);
    auto checked = [this, conn, claim = std::move(claim), name, hash, alive = alive_](Logins::Verdict verdict
                   ) mutable {
        if (!*alive)
            return;
        using Verdict = Logins::Verdict;
        // Not when the password changed, or the user went, while it was checked.
        const auto& users = policy_.rules().users;
        const bool is_current = users && users->find(name).known && users->find(name).hash == hash;
        if (verdict == Verdict::busy) {
            const Error why = refused(
                claim.who.client_id, "too many logins, or too many wrong ones before it", "try again later"
            );
            return turn_away(conn, claim, ReasonCode::server_busy, "busy", why);
        }
        if (verdict == Verdict::wrong || !is_current) {
            const Error why =
                refused(claim.who.client_id, "user \"" + name + "\" or its password is wrong", "check both");
            return turn_away(conn, claim, ReasonCode::not_authorized, "password", why);
        }
        claim.who.proof = Proof::password;
        claim.who.name = name;
        admit(conn, claim);
    };
    logins_.check(name, std::move(record), std::move(password), address, std::move(checked));
}

void Service::admit(ConnId conn, const Claim& claim, Bytes auth_data) {
    mqtt::Admission admission;
    admission.session_key = session_key(claim.who);
    admission.principal = principal_text(claim.who);
    admission.assigned_client_id = claim.assigned_client_id;
    admission.auth_data = std::move(auth_data);
    limit_rates(conn, admission);
    broker().accept(conn, admission, now());
    if (claim.who.valid_until.ms != 0 && broker().online(admission.session_key))
        ends_[conn] = {claim.who.valid_until.ms, admission.session_key};
}

void Service::turn_away(
    ConnId conn, const Claim& claim, ReasonCode reason, std::string_view label, const Error& why
) {
    refused_.of(label).add();
    env().log().warn(
        "broker",
        "login refused",
        {{"object", why.object}, {"cause", why.cause}, {"fix", why.fix}, {"peer", claim.address}}
    );
    if (traces_.wants(claim.who.client_id)) {
        show_later(
            claim.who.client_id,
            Json::object({{"event", "refused"}, {"cause", why.cause}, {"peer", claim.address}})
        );
    }
    // The peer learns the code only: an unknown user and a wrong password look the same from outside.
    broker().refuse(conn, reason, {}, now());
}

} // namespace brim::broker
