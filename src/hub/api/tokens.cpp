// Accounts: API tokens.

#include "base/hash.h"
#include "hub/api/accounts.h"
#include "store/sqlite.h"

namespace brim::hub {

namespace {

constexpr std::int64_t day_ms = 86'400'000;
constexpr std::int64_t used_every_ms = 60'000; ///< the last use of a token is saved at most this often

} // namespace

Caller Accounts::by_token(std::string_view token) {
    const auto found = token_of_.find(digest(Digest::sha256, token));
    if (found == token_of_.end())
        return {};
    ApiToken& known = tokens_.at(found->second);
    const std::int64_t now = env_.loop().clock().wall().ms;
    const auto account = accounts_.find(known.account);
    if (account == accounts_.end() || (known.expires_ms != 0 && known.expires_ms <= now))
        return {};
    known.used_ms = now;
    if (now - known.used_saved_ms >= used_every_ms || now < known.used_saved_ms) {
        known.used_saved_ms = now;
        used_.push_back(known.id);
        if (!used_timer_.running())
            used_timer_.start(std::chrono::seconds{1}, [this] { save_used(); });
    }
    // A token never has more than its owner has today.
    return {known.account, std::min(known.role, account->second.role), false};
}

void Accounts::save_used() {
    std::vector<std::pair<std::string, std::int64_t>> rows;
    for (const std::string& id : std::exchange(used_, {})) {
        if (const auto found = tokens_.find(id); found != tokens_.end())
            rows.emplace_back(id, found->second.used_ms);
    }
    auto job = [rows = std::move(rows)](store::Database& db) -> Result<void> {
        auto update = db.prepare("UPDATE token SET used_ms = ?2 WHERE id = ?1");
        if (!update)
            return fail(std::move(update).error());
        for (const auto& [id, used_ms] : rows)
            BRIM_TRY(update->bind(1, id).bind(2, used_ms).run());
        return {};
    };
    db_.write(std::move(job), [this](const Result<void>& saved) {
        if (!saved)
            env_.log().warn("accounts", "last use of tokens not saved", {{"cause", saved.error().text()}});
    });
}

void Accounts::create_token(
    const Caller& owner,
    std::string name,
    Role role,
    std::int64_t lifetime_days,
    std::move_only_function<void(Result<std::pair<std::string, std::string>>)> done
) {
    if (role > owner.role) {
        return done(fail(
            Errc::denied,
            "token \"" + name + "\"",
            "a token cannot have more rights than its owner (" + std::string(role_name(owner.role)) + ")",
            "ask for a lesser role"
        ));
    }
    if (tokens_.size() >= limits_.tokens_max) {
        return done(fail(
            Errc::full, "token \"" + name + "\"", "the hub has its maximum of tokens", "revoke unused ones"
        ));
    }
    ApiToken token;
    const std::string text = "brim_" + env_.random().alnum(40);
    token.id = env_.random().alnum(12);
    token.digest = digest(Digest::sha256, text);
    token.name = std::move(name);
    token.role = role;
    token.account = owner.account;
    token.created_ms = env_.loop().clock().wall().ms;
    token.expires_ms = lifetime_days == 0 ? 0 : token.created_ms + lifetime_days * day_ms;
    tokens_[token.id] = token;
    token_of_[token.digest] = token.id;
    auto job = [token](store::Database& db) -> Result<void> {
        auto insert =
            db.prepare("INSERT INTO token(id, digest, name, role, account, created_ms, expires_ms, used_ms)"
                       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)");
        if (!insert)
            return fail(std::move(insert).error());
        insert->bind(1, token.id)
            .bind_blob(2, token.digest)
            .bind(3, token.name)
            .bind(4, role_name(token.role));
        return insert->bind(5, token.account).bind(6, token.created_ms).bind(7, token.expires_ms).run();
    };
    db_.write(std::move(job), [this, token, text, done = std::move(done)](Result<void> saved) mutable {
        if (saved)
            return done(std::pair{token.id, text});
        tokens_.erase(token.id);
        token_of_.erase(token.digest);
        done(fail(std::move(saved).error()));
    });
}

void Accounts::delete_token(const std::string& id, Done done) {
    const auto found = tokens_.find(id);
    if (found == tokens_.end()) {
        return done(fail(Errc::not_found, "token " + id, "no such token", "see the list of tokens"));
    }
    ++changes_;
    token_of_.erase(found->second.digest);
    tokens_.erase(found);
    auto job = [id](store::Database& db) -> Result<void> {
        auto remove = db.prepare("DELETE FROM token WHERE id = ?1");
        if (!remove)
            return fail(std::move(remove).error());
        return remove->bind(1, id).run();
    };
    db_.write(std::move(job), std::move(done));
}

} // namespace brim::hub
