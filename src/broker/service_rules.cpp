// Rules that change while the broker runs, and proofs that end.

#include "broker/service.h"

#include <algorithm>
#include <optional>

namespace brim::broker {

using mqtt::ReasonCode;

namespace {

constexpr std::size_t sessions_per_look = 10'000;

/// The user a session or a message of it belongs to; empty for anonymous ones.
std::string_view user_of(std::string_view session_key) {
    const std::size_t separator = session_key.find('\x1f');
    return separator == session_key.npos ? std::string_view{} : session_key.substr(0, separator);
}

} // namespace

void Service::refresh() {
    look_at_rules(true);
    for (const auto& each : tls_)
        each->refresh();
}

void Service::look_at_rules(bool is_asked) {
    look_.start(look_every, [this] { look_at_rules(false); });
    if (is_reading_)
        return;
    is_reading_ = true;

    // Shared by the job and its end, which run one after the other.
    struct Job {
        Rules in_force;
        std::optional<Rules> read;
    };

    auto job = std::make_shared<Job>(Job{policy_.rules(), std::nullopt});
    files_->run(
        [this, job, is_asked] {
            if (rule_stamps_.look(env().disk()) || is_asked)
                job->read = read_rules(env().disk(), settings_.policy, &job->in_force);
        },
        [this, job] {
            is_reading_ = false;
            if (job->read && job->read->seen != policy_.rules().seen)
                take_rules(std::move(*job->read));
        }
    );
}

void Service::take_rules(Rules fresh) {
    tell_problems(fresh);
    if (fresh.problems.empty())
        env().log().info("broker", "users, permissions and keys read again", {});
    const auto before = policy_.rules().users;
    policy_.replace(std::move(fresh));
    if (before && policy_.rules().users)
        end_changed_passwords(*before, *policy_.rules().users);
    review();
}

void Service::tell_problems(const Rules& rules) {
    rules_refused_.set(static_cast<double>(rules.problems.size()));
    for (const Error& problem : rules.problems) {
        env().log().error(
            "broker",
            "rules cannot be used as they are",
            {{"object", problem.object}, {"cause", problem.cause}, {"fix", problem.fix}}
        );
    }
}

/// Who is in by a password that is no longer its own has to log in again; the session stays.
void Service::end_changed_passwords(const UserFile& before, const UserFile& after) {
    std::vector<std::string> keys;
    std::uint32_t place = 0;
    do {
        place = broker().visit_sessions(place, sessions_per_look, [&](const mqtt::SessionView& session) {
            const Principal who = principal_of(session.who.principal, {});
            if (session.is_online && who.proof == Proof::password &&
                before.find(who.name).hash != after.find(who.name).hash)
                keys.emplace_back(session.who.session_key);
        });
    } while (place != 0);
    for (const std::string& key : keys)
        broker().kick(key, ReasonCode::not_authorized, false, now());
}

/// Ends and forgets the sessions of those who are nobody any more, and takes their retained messages away.
/// What the others may no longer do is asked at each delivery.
void Service::review() {
    std::vector<std::string> keys;
    std::uint32_t place = 0;
    do {
        place = broker().visit_sessions(place, sessions_per_look, [&](const mqtt::SessionView& session) {
            if (!policy_.is_known(principal_of(session.who.principal, session.who.client_id)))
                keys.emplace_back(session.who.session_key);
        });
    } while (place != 0);
    for (const std::string& key : keys) {
        env().log().warn("broker", "session ended: its user is gone", {{"user", user_of(key)}});
        broker().kick(key, ReasonCode::not_authorized, true, now());
    }
    const auto is_unwanted = [this](const Message& message) { return is_orphan(message); };
    const std::size_t withheld = broker().drop_retained(is_unwanted, now());
    if (withheld != 0) {
        env().log().warn(
            "broker", "retained messages of users who are gone were removed", {{"count", withheld}}
        );
    }
}

/// Whether a will still counts: not that of somebody who is let in no more.
bool Service::is_heard(const mqtt::ConnView& who, const Principal& from) const {
    return policy_.is_known(from) && (revoked_.empty() || who.session_key != revoked_);
}

/// Its certificate was revoked: its session goes with it, and its will is not heard.
void Service::on_refused(mqtt::ConnId conn) {
    broker().visit_connection(conn, [this](const mqtt::SessionView& session) {
        revoked_ = session.who.session_key;
    });
    if (revoked_.empty())
        return;
    env().log().warn("broker", "session ended: its certificate is refused", {{"user", user_of(revoked_)}});
    broker().kick(revoked_, ReasonCode::not_authorized, true, now());
    revoked_.clear();
}

/// Left by a user who is no longer in the password file. Where tokens or certificates name users too, nobody
/// can tell who is gone.
bool Service::is_orphan(const Message& message) const {
    const std::string_view name = user_of(message.origin);
    if (name.empty() || policy_.rules().tokens || has_certificates_)
        return false;
    return !policy_.is_known({Proof::password, std::string(name), {}, {}});
}

void Service::each_second() {
    second_.start(std::chrono::seconds{1}, [this] { each_second(); });
    traces_.expire(now());
    const std::int64_t now_ms = wall().ms;
    std::vector<std::string> overdue;
    for (const auto& [conn, end] : ends_) {
        if (end.wall_ms <= now_ms)
            overdue.push_back(end.session_key);
    }
    for (const std::string& key : overdue) {
        env().log().info("broker", "session ended: its token is no longer valid", {{"user", user_of(key)}});
        broker().kick(key, ReasonCode::not_authorized, false, now());
    }
}

} // namespace brim::broker
