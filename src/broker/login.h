#pragma once
// Whether a password is right: on a worker, so that the loop goes on, within bounds, so that guessing and
// reconnect storms do not take the machine.

#include "broker/principal.h"
#include "broker/user_file.h"
#include "io/env.h"

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

namespace brim::broker {

struct LoginLimits {
    std::size_t checks_waiting_max = 1'024; ///< more are refused as busy
    std::size_t remembered_max = 10'000;    ///< right passwords, and sources of wrong ones
    /// Wrong ones in a row before an address has to wait with one name, and with all: nobody can shut a user
    /// out from elsewhere by guessing.
    std::uint32_t free_failures = 8;
    std::uint32_t free_failures_of_address = 64;
    std::chrono::seconds delay_max{60}; ///< the wait doubles up to this
};

/// "192.0.2.7" of "192.0.2.7:4711": what attempts are counted by.
std::string host_of(const std::string& address);

/// Loop thread only; checks run on a worker of its own.
class Logins {
public:
    enum class Verdict : std::uint8_t { right, wrong, busy };
    using Done = std::move_only_function<void(Verdict)>;

    explicit Logins(io::Env& env, LoginLimits limits = {});
    ~Logins();
    Logins(const Logins&) = delete;
    Logins& operator=(const Logins&) = delete;

    /// `record` is of `name`, known or a stand-in. `address` is the peer's, without port. `done` comes later,
    /// or at once when there is nothing to compute. A password that was right is known again by its MAC under
    /// a key of this process, as long as the record is the same: ten thousand clients that come back after a
    /// cut cost one hash each user, not one each connection.
    void check(
        const std::string& name,
        PasswordRecord record,
        std::string password,
        const std::string& address,
        Done done
    );

    /// Whether `name` at `address` has to wait; and how an attempt elsewhere (SCRAM) came out.
    bool is_held(const std::string& name, const std::string& address) const;
    void note_wrong(const std::string& name, const std::string& address);
    void note_right(const std::string& name, const std::string& address);

private:
    struct Failures {
        std::uint32_t count = 0;
        Mono wait_until{};
    };

    struct Remembered {
        std::string hash; ///< the record it was checked against
        Bytes mac;
    };

    bool must_wait(const std::string& source) const;
    void note_failure(const std::string& source, std::uint32_t free);
    Bytes mac_of(const std::string& name, const std::string& password) const;
    void settle(
        const std::string& name,
        const PasswordRecord& record,
        const std::string& password,
        const std::string& address,
        bool matches,
        Done& done
    );

    io::Env& env_;
    LoginLimits limits_;
    std::string key_; ///< of the MACs
    std::unordered_map<std::string, Remembered> remembered_;
    std::unordered_map<std::string, Failures> failures_; ///< by address, and by name and address
    std::unique_ptr<io::Worker> worker_;                 ///< goes first: its jobs' ends find all alive
};

} // namespace brim::broker
