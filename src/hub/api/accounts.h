#pragma once
// People and programs that use the API: accounts with Argon2id passwords, browser sessions, API tokens, and
// the one-time token of the setup link. Secrets are stored as digests only. Loop thread only; hashing runs on
// a worker.

#include "base/log.h"
#include "hub/meta_db.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace brim::hub {

/// In order of power.
enum class Role : std::uint8_t { none, viewer, operator_, admin };
std::string_view role_name(Role role) noexcept;
std::optional<Role> parse_role(std::string_view text) noexcept;

struct Account {
    std::string name;
    Role role = Role::viewer;
    std::string password_hash;
    std::int64_t created_ms = 0;
};

struct ApiToken {
    std::string id;
    std::string digest; ///< SHA-256 of the token
    std::string name;
    Role role = Role::viewer;
    std::string account;
    std::int64_t created_ms = 0;
    std::int64_t expires_ms = 0;    ///< 0 = never
    std::int64_t used_ms = 0;       ///< saved at most once a minute
    std::int64_t used_saved_ms = 0; ///< what was saved, or is about to be
};

/// Who makes a request.
struct Caller {
    std::string account;
    Role role = Role::none;
    bool by_cookie = false; ///< then writes need the X-Brim-Request header (CSRF)
};

struct AccountLimits {
    std::size_t accounts_max = 1'000;
    std::size_t tokens_max = 10'000;
    std::size_t sessions_max = 10'000;
    std::size_t hashes_waiting_max = 64;
    std::chrono::hours session_lifetime{24 * 7};
    std::chrono::seconds delay_max{60
    }; ///< between attempts after many wrong passwords, per account and per address
};

class Accounts {
public:
    using Done = std::move_only_function<void(Result<void>)>;

    static Result<std::unique_ptr<Accounts>> open(io::Env& env, MetaDb& db, AccountLimits limits = {});
    ~Accounts();

    bool setup_needed() const { return accounts_.empty(); }

    const std::string& setup_token() const { return setup_token_; }

    /// Makes the first administrator. Errc::denied for a wrong token, Errc::conflict when there is one
    /// already.
    void setup(std::string_view token, std::string name, std::string password, Done done);

    /// Checks the password; `done` gets the session's cookie value. Errc::unauthenticated for a wrong name or
    /// password (one message for both, after the same work), Errc::busy while an account or address has to
    /// wait.
    void login(
        std::string name,
        std::string password,
        std::string address,
        std::move_only_function<void(Result<std::string>)> done
    );
    void logout(std::string_view cookie, Done done);
    /// Nobody (Role::none) when neither is valid.
    Caller by_cookie(std::string_view cookie) const;
    Caller by_token(std::string_view token);

    void create_account(std::string name, Role role, std::string password, Done done);
    /// Ends its sessions. Errc::conflict when it would leave the hub without an administrator.
    void change_account(
        const std::string& name, std::optional<Role> role, std::optional<std::string> password, Done done
    );
    void delete_account(const std::string& name, Done done);
    /// `done` gets the id; `token` is the one time the text is known.
    void create_token(
        const Caller& owner,
        std::string name,
        Role role,
        std::int64_t lifetime_days,
        std::move_only_function<void(Result<std::pair<std::string, std::string>>)> done
    );
    void delete_token(const std::string& id, Done done);

    /// Grows whenever a right may have ended: a user or token changed or deleted, a session ended.
    std::uint64_t changes() const { return changes_; }

    const std::map<std::string, Account>& accounts() const { return accounts_; }

    const std::map<std::string, ApiToken>& tokens() const { return tokens_; }

private:
    struct Session {
        std::string account;
        std::int64_t expires_ms = 0;
    };

    struct Attempts {
        unsigned failures = 0;
        Mono next{};
    };

    Accounts(io::Env& env, MetaDb& db, AccountLimits limits);
    Result<void> load();
    void hash(std::string password, std::move_only_function<void(Result<std::string>)> done);
    void open_session(const std::string& account, std::move_only_function<void(Result<std::string>)> done);
    bool must_wait(const std::string& key) const;
    void note_attempt(const std::string& key, bool good);
    /// True when giving `name` that role (none = deleting it) leaves the hub without an administrator.
    bool takes_last_admin(const std::string& name, std::optional<Role> role) const;
    void end_sessions(const std::string& account);
    void save_used();

    io::Env& env_;
    MetaDb& db_;
    AccountLimits limits_;
    std::map<std::string, Account> accounts_;
    std::map<std::string, ApiToken> tokens_;                ///< by id
    std::unordered_map<std::string, std::string> token_of_; ///< digest -> id
    std::unordered_map<std::string, Session> sessions_;     ///< by digest of the cookie
    std::unordered_map<std::string, Attempts> attempts_;    ///< "account NAME" and "address IP"
    std::uint64_t changes_ = 0;
    std::string setup_token_;
    std::string nobody_hash_;       ///< checked for unknown names, so that they take as long
    std::vector<std::string> used_; ///< tokens whose last use is to be saved
    io::Timer used_timer_;
    std::unique_ptr<io::Worker> worker_;
};

} // namespace brim::hub
