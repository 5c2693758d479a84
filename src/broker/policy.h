#pragma once
// The rules in force: users, permissions and token keys out of their files, and the one place where they are
// asked. A file that cannot be read denies what it would have allowed; one that is malformed changes nothing
// while the broker runs, and denies at a start. Whatever changes counts at once.

#include "broker/acl.h"
#include "broker/jwt.h"
#include "broker/settings.h"
#include "broker/user_file.h"
#include "io/disk.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brim::broker {

struct PolicyLimits {
    static constexpr std::size_t users_bytes_max = 16 * 1024 * 1024;
    static constexpr std::size_t acl_bytes_max = 4 * 1024 * 1024;
    static constexpr std::size_t key_bytes_max = 1024 * 1024;
};

/// The files as they were at one moment.
struct Rules {
    std::shared_ptr<const UserFile> users; ///< null: nobody gets in by a password
    std::shared_ptr<const Acl> acl;        ///< null: nobody may do anything
    std::shared_ptr<const TokenJudge> tokens;
    std::vector<Error> problems;
    Bytes seen; ///< digest of what was read: the same when nothing changed
};

/// Reads all files. Blocking; any thread. What is malformed is taken from `before` instead, where that has
/// it (null: there is none), and named in `problems`.
Rules read_rules(io::Disk& disk, const PolicySettings& settings, const Rules* before);

/// Loop thread only.
class Policy {
public:
    explicit Policy(Rules rules) : rules_(std::move(rules)) {}

    const Rules& rules() const { return rules_; }

    void replace(Rules rules) { rules_ = std::move(rules); }

    /// The one question about everything that is published, subscribed to or delivered; `topic` is a filter
    /// for Action::subscribe.
    bool may(const Principal& who, mqtt::Action action, std::string_view topic) const;
    /// False for a user of the password file that is no longer in it; and for everybody of a kind that is no
    /// longer let in at all.
    bool is_known(const Principal& who) const;

private:
    Rules rules_;
};

} // namespace brim::broker
