#include "hub/api/accounts.h"

#include "base/hash.h"
#include "store/sqlite.h"

#include <algorithm>
#include <array>

namespace brim::hub {

namespace {

constexpr std::size_t attempts_kept_max = 10'000;

Error wrong_login() {
    return {
        Errc::unauthenticated,
        "sign in",
        "wrong user name or password",
        "check both; an administrator can set a new password"
    };
}

Error only_admin(const std::string& name) {
    return {
        Errc::conflict,
        "user \"" + name + "\"",
        "is the only administrator",
        "make another administrator first"
    };
}

Result<void> save_account(store::Database& db, const Account& account) {
    auto put =
        db.prepare("INSERT INTO account(name, role, password, created_ms) VALUES(?1, ?2, ?3, ?4)"
                   " ON CONFLICT(name) DO UPDATE SET role = excluded.role, password = excluded.password");
    if (!put)
        return fail(std::move(put).error());
    put->bind(1, account.name).bind(2, role_name(account.role)).bind(3, account.password_hash);
    return put->bind(4, account.created_ms).run();
}

Result<void> run_with_text(store::Database& db, std::string_view literal, std::string_view text) {
    auto statement = db.prepare(literal);
    if (!statement)
        return fail(std::move(statement).error());
    return statement->bind(1, text).run();
}

Result<void> run_with_blob(store::Database& db, std::string_view literal, std::string_view blob) {
    auto statement = db.prepare(literal);
    if (!statement)
        return fail(std::move(statement).error());
    return statement->bind_blob(1, blob).run();
}

} // namespace

std::string_view role_name(Role role) noexcept {
    static constexpr std::array<std::string_view, 4> names{"none", "viewer", "operator", "admin"};
    return names[static_cast<std::size_t>(role)];
}

std::optional<Role> parse_role(std::string_view text) noexcept {
    if (text == "public")
        return Role::none;
    for (const Role role : {Role::viewer, Role::operator_, Role::admin}) {
        if (text == role_name(role))
            return role;
    }
    return std::nullopt;
}

Accounts::Accounts(io::Env& env, MetaDb& db, AccountLimits limits)
    : env_(env), db_(db), limits_(limits), used_timer_(env.loop()), worker_(env.make_worker("password")) {}

Accounts::~Accounts() = default;

Result<std::unique_ptr<Accounts>> Accounts::open(io::Env& env, MetaDb& db, AccountLimits limits) {
    std::unique_ptr<Accounts> accounts(new Accounts(env, db, limits));
    BRIM_TRY(accounts->load());
    return accounts;
}

Result<void> Accounts::load() {
    store::Database& db = db_.at_start();
    auto accounts = db.prepare("SELECT name, role, password, created_ms FROM account");
    if (!accounts)
        return fail(std::move(accounts).error());
    BRIM_TRY(store::each_row(*accounts, [this](const store::Statement& row) {
        const std::string name(row.text(0));
        // An unreadable role is the least one.
        const Role role = parse_role(row.text(1)).value_or(Role::viewer);
        accounts_[name] = {name, role, std::string(row.text(2)), row.integer(3)};
    }));
    auto tokens =
        db.prepare("SELECT id, digest, name, role, account, created_ms, expires_ms, used_ms FROM token");
    if (!tokens)
        return fail(std::move(tokens).error());
    BRIM_TRY(store::each_row(*tokens, [this](const store::Statement& row) {
        ApiToken token;
        token.id = row.text(0);
        token.digest = row.blob(1);
        token.name = row.text(2);
        token.role = parse_role(row.text(3)).value_or(Role::viewer);
        token.account = row.text(4);
        token.created_ms = row.integer(5);
        token.expires_ms = row.integer(6);
        token.used_ms = token.used_saved_ms = row.integer(7);
        token_of_[token.digest] = token.id;
        tokens_[token.id] = std::move(token);
    }));
    auto sessions = db.prepare("SELECT digest, account, expires_ms FROM session");
    if (!sessions)
        return fail(std::move(sessions).error());
    BRIM_TRY(store::each_row(*sessions, [this](const store::Statement& row) {
        sessions_[std::string(row.blob(0))] = {std::string(row.text(1)), row.integer(2)};
    }));
    if (accounts_.empty())
        setup_token_ = env_.random().alnum(32);
    auto nobody = password_hash(env_.random().alnum(16), env_.random().alnum(16));
    if (!nobody)
        return fail(std::move(nobody).error());
    nobody_hash_ = std::move(*nobody);
    return {};
}

void Accounts::hash(std::string password, std::move_only_function<void(Result<std::string>)> done) {
    if (worker_->queued() >= limits_.hashes_waiting_max) {
        return done(fail(Errc::busy, "sign in", "too many sign-ins at a time", "try again in a few seconds"));
    }
    auto outcome =
        std::make_shared<Result<std::string>>(std::string{}); // shared by the job and its completion
    auto job = [outcome, password = std::move(password), salt = env_.random().alnum(16)] {
        *outcome = password_hash(password, salt);
    };
    worker_->run(std::move(job), [outcome, done = std::move(done)]() mutable { done(std::move(*outcome)); });
}

void Accounts::setup(std::string_view token, std::string name, std::string password, Done done) {
    if (!setup_needed()) {
        return done(fail(Errc::conflict, "setup", "an administrator exists already", "sign in instead"));
    }
    if (setup_token_.empty() || !equal_constant_time(token, setup_token_)) {
        return done(fail(
            Errc::denied,
            "setup",
            "the link is not the one this start printed",
            "take the newest link from the hub's log"
        ));
    }
    // Taken now, given back on failure: the password is hashed meanwhile, and the link works once.
    create_account(
        std::move(name),
        Role::admin,
        std::move(password),
        [this, link = std::exchange(setup_token_, {}), done = std::move(done)](Result<void> made) mutable {
            if (!made)
                setup_token_ = std::move(link);
            done(std::move(made));
        }
    );
}

bool Accounts::must_wait(const std::string& key) const {
    const auto found = attempts_.find(key);
    return found != attempts_.end() && found->second.next > env_.loop().now();
}

void Accounts::note_attempt(const std::string& key, bool good) {
    if (good) {
        attempts_.erase(key);
        return;
    }
    if (attempts_.size() >= attempts_kept_max)
        attempts_.erase(attempts_.begin());
    Attempts& attempts = attempts_[key];
    ++attempts.failures;
    if (attempts.failures < 4)
        return;
    // The wait doubles from a second on; attempts refused meanwhile do not lengthen it.
    const Duration doubled = std::chrono::seconds{std::int64_t{1} << std::min(attempts.failures - 4, 16U)};
    attempts.next = env_.loop().now() + std::min<Duration>(doubled, limits_.delay_max);
}

void Accounts::login(
    std::string name,
    std::string password,
    std::string address,
    std::move_only_function<void(Result<std::string>)> done
) {
    const std::string by_account = "account " + name;
    const std::string by_address = "address " + address.substr(0, address.rfind(':'));
    if (must_wait(by_account) || must_wait(by_address)) {
        return done(fail(Errc::busy, "sign in", "too many wrong passwords", "wait a minute, then try again"));
    }
    if (worker_->queued() >= limits_.hashes_waiting_max) {
        return done(fail(Errc::busy, "sign in", "too many sign-ins at a time", "try again in a few seconds"));
    }
    const auto found = accounts_.find(name);
    const std::string stored = found == accounts_.end() ? nobody_hash_ : found->second.password_hash;
    auto matches = std::make_shared<bool>(false); // shared by the job and its completion
    auto job = [matches, password = std::move(password), stored] {
        *matches = password_matches(password, stored);
    };
    // Counted as wrong until it is known to be right: attempts in parallel must not all slip in before the
    // first ends.
    note_attempt(by_account, false);
    note_attempt(by_address, false);
    auto checked = [this, matches, name, by_account, by_address, stored, done = std::move(done)]() mutable {
        const auto account = accounts_.find(name);
        // Not when the password was changed, or the user deleted, while this one was checked.
        if (!*matches || account == accounts_.end() || account->second.password_hash != stored)
            return done(fail(wrong_login()));
        note_attempt(by_account, true);
        note_attempt(by_address, true);
        open_session(name, std::move(done));
    };
    worker_->run(std::move(job), std::move(checked));
}

void Accounts::open_session(
    const std::string& account, std::move_only_function<void(Result<std::string>)> done
) {
    const std::int64_t now = env_.loop().clock().wall().ms;
    std::erase_if(sessions_, [now](const auto& each) { return each.second.expires_ms <= now; });
    if (sessions_.size() >= limits_.sessions_max) {
        return done(fail(Errc::full, "sign in", "too many open sessions", "sign out elsewhere"));
    }
    const std::string cookie = env_.random().hex(32);
    const std::string key = digest(Digest::sha256, cookie);
    const std::int64_t expires =
        now + std::chrono::duration_cast<std::chrono::milliseconds>(limits_.session_lifetime).count();
    sessions_[key] = {account, expires};
    auto job = [key, account, now, expires](store::Database& db) -> Result<void> {
        auto clean = db.prepare("DELETE FROM session WHERE expires_ms <= ?1");
        if (!clean)
            return fail(std::move(clean).error());
        BRIM_TRY(clean->bind(1, now).run());
        auto insert =
            db.prepare("INSERT INTO session(digest, account, created_ms, expires_ms) VALUES(?1, ?2, ?3, ?4)");
        if (!insert)
            return fail(std::move(insert).error());
        return insert->bind_blob(1, key).bind(2, account).bind(3, now).bind(4, expires).run();
    };
    db_.write(std::move(job), [this, key, cookie, done = std::move(done)](Result<void> saved) mutable {
        if (saved)
            return done(cookie);
        sessions_.erase(key);
        done(fail(std::move(saved).error()));
    });
}

void Accounts::logout(std::string_view cookie, Done done) {
    ++changes_;
    const std::string key = digest(Digest::sha256, cookie);
    sessions_.erase(key);
    auto job = [key](store::Database& db) {
        return run_with_blob(db, "DELETE FROM session WHERE digest = ?1", key);
    };
    db_.write(std::move(job), std::move(done));
}

Caller Accounts::by_cookie(std::string_view cookie) const {
    const auto session = sessions_.find(digest(Digest::sha256, cookie));
    if (session == sessions_.end() || session->second.expires_ms <= env_.loop().clock().wall().ms)
        return {};
    const auto account = accounts_.find(session->second.account);
    if (account == accounts_.end())
        return {};
    return {account->first, account->second.role, true};
}

void Accounts::create_account(std::string name, Role role, std::string password, Done done) {
    if (accounts_.contains(name)) {
        return done(fail(Errc::exists, "user \"" + name + "\"", "exists already", "choose another name"));
    }
    if (accounts_.size() >= limits_.accounts_max) {
        return done(fail(
            Errc::full, "user \"" + name + "\"", "the hub has its maximum of users", "delete unused ones"
        ));
    }
    hash(std::move(password), [this, name, role, done = std::move(done)](Result<std::string> hashed) mutable {
        if (!hashed)
            return done(fail(std::move(hashed).error()));
        if (accounts_.contains(name)) {
            return done(fail(Errc::exists, "user \"" + name + "\"", "exists already", "choose another name"));
        }
        const Account account{name, role, std::move(*hashed), env_.loop().clock().wall().ms};
        accounts_[name] = account;
        auto job = [account](store::Database& db) { return save_account(db, account); };
        db_.write(std::move(job), [this, name, done = std::move(done)](Result<void> saved) mutable {
            if (!saved)
                accounts_.erase(name);
            done(std::move(saved));
        });
    });
}

bool Accounts::takes_last_admin(const std::string& name, std::optional<Role> role) const {
    const auto found = accounts_.find(name);
    if (found == accounts_.end() || found->second.role != Role::admin || !role || *role == Role::admin)
        return false;
    return std::none_of(accounts_.begin(), accounts_.end(), [&name](const auto& each) {
        return each.first != name && each.second.role == Role::admin;
    });
}

void Accounts::end_sessions(const std::string& account) {
    std::erase_if(sessions_, [&account](const auto& each) { return each.second.account == account; });
}

void Accounts::change_account(
    const std::string& name, std::optional<Role> role, std::optional<std::string> password, Done done
) {
    const auto found = accounts_.find(name);
    if (found == accounts_.end()) {
        return done(fail(Errc::not_found, "user \"" + name + "\"", "no such user", "see the list of users"));
    }
    if (takes_last_admin(name, role))
        return done(fail(only_admin(name)));
    auto store_it = [this, name, role, done = std::move(done)](Result<std::optional<std::string>> hashed
                    ) mutable {
        if (!hashed)
            return done(fail(std::move(hashed).error()));
        const auto still = accounts_.find(name);
        if (still == accounts_.end()) {
            return done(fail(Errc::not_found, "user \"" + name + "\"", "it was deleted meanwhile"));
        }
        if (takes_last_admin(name, role))
            return done(fail(only_admin(name))); // another change was faster while the password was hashed
        Account changed = still->second;
        if (role)
            changed.role = *role;
        if (*hashed)
            changed.password_hash = std::move(**hashed);
        const Account before = std::exchange(still->second, changed);
        ++changes_;
        end_sessions(name);
        auto job = [changed](store::Database& db) -> Result<void> {
            BRIM_TRY(save_account(db, changed));
            return run_with_text(db, "DELETE FROM session WHERE account = ?1", changed.name);
        };
        db_.write(std::move(job), [this, before, done = std::move(done)](Result<void> saved) mutable {
            if (!saved)
                accounts_[before.name] = before;
            done(std::move(saved));
        });
    };
    if (!password)
        return store_it(std::optional<std::string>{});
    hash(std::move(*password), [store_it = std::move(store_it)](Result<std::string> hashed) mutable {
        if (!hashed)
            return store_it(fail(std::move(hashed).error()));
        store_it(std::optional(std::move(*hashed)));
    });
}

void Accounts::delete_account(const std::string& name, Done done) {
    const auto found = accounts_.find(name);
    if (found == accounts_.end()) {
        return done(fail(Errc::not_found, "user \"" + name + "\"", "no such user", "see the list of users"));
    }
    if (takes_last_admin(name, Role::none))
        return done(fail(only_admin(name)));
    const Account before = found->second;
    accounts_.erase(found);
    ++changes_;
    end_sessions(name);
    std::vector<ApiToken> revoked;
    for (auto each = tokens_.begin(); each != tokens_.end();) {
        if (each->second.account != name) {
            ++each;
            continue;
        }
        token_of_.erase(each->second.digest);
        revoked.push_back(std::move(each->second));
        each = tokens_.erase(each);
    }
    auto job = [name](store::Database& db) {
        return run_with_text(db, "DELETE FROM account WHERE name = ?1", name);
    };
    auto undo = [this, before, revoked = std::move(revoked)]() mutable {
        accounts_[before.name] = before;
        for (ApiToken& token : revoked) {
            token_of_[token.digest] = token.id;
            tokens_[token.id] = std::move(token);
        }
    };
    db_.write(std::move(job), [undo = std::move(undo), done = std::move(done)](Result<void> saved) mutable {
        if (!saved)
            undo();
        done(std::move(saved));
    });
}

} // namespace brim::hub
