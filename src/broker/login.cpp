#include "broker/login.h"

#include "base/hash.h"

#include <algorithm>

namespace brim::broker {

namespace {

/// An address with one name; an address alone is its own source.
std::string pair_of(const std::string& name, const std::string& address) {
    return address + '\n' + name;
}

} // namespace

std::string host_of(const std::string& address) {
    return address.substr(0, address.rfind(':'));
}

Logins::Logins(io::Env& env, LoginLimits limits)
    : env_(env), limits_(limits), key_(env.random().hex(32)), worker_(env.make_worker("logins")) {}

Logins::~Logins() = default;

Bytes Logins::mac_of(const std::string& name, const std::string& password) const {
    // The length keeps "a" + "bc" and "ab" + "c" apart.
    return hmac(Digest::sha256, key_, std::to_string(name.size()) + ":" + name + password);
}

bool Logins::must_wait(const std::string& source) const {
    const auto found = failures_.find(source);
    return found != failures_.end() && found->second.wait_until > env_.loop().now();
}

void Logins::note_failure(const std::string& source, std::uint32_t free) {
    if (failures_.size() >= limits_.remembered_max && !failures_.contains(source))
        failures_.erase(failures_.begin());
    Failures& failures = failures_[source];
    ++failures.count;
    if (failures.count <= free)
        return;
    // Attempts that are refused meanwhile do not come here: they never lengthen the wait.
    constexpr std::uint32_t doublings_max = 16;
    const std::uint32_t doublings = std::min(failures.count - free - 1, doublings_max);
    const Duration wait = std::chrono::seconds{std::int64_t{1} << doublings};
    failures.wait_until = env_.loop().now() + std::min<Duration>(wait, limits_.delay_max);
}

bool Logins::is_held(const std::string& name, const std::string& address) const {
    return must_wait(address) || must_wait(pair_of(name, address));
}

void Logins::note_wrong(const std::string& name, const std::string& address) {
    note_failure(pair_of(name, address), limits_.free_failures);
    note_failure(address, limits_.free_failures_of_address);
}

void Logins::note_right(const std::string& name, const std::string& address) {
    failures_.erase(pair_of(name, address));
}

void Logins::check(
    const std::string& name,
    PasswordRecord record,
    std::string password,
    const std::string& address,
    Done done
) {
    const auto known = remembered_.find(name);
    if (record.known && known != remembered_.end() && known->second.hash == record.hash &&
        equal_constant_time(known->second.mac, mac_of(name, password)))
        return done(Verdict::right);
    if (is_held(name, address))
        return done(Verdict::busy);
    if (worker_->queued() >= limits_.checks_waiting_max)
        return done(Verdict::busy);

    struct Check {
        std::string name, password, address;
        PasswordRecord record;
        bool matches = false;
        Done done;
    };

    // Shared by the job and its end, which run one after the other.
    auto job = std::make_shared<Check>(
        Check{name, std::move(password), address, std::move(record), false, std::move(done)}
    );
    worker_->run(
        [job] { job->matches = password_matches_record(job->record, job->password); },
        [this, job] { settle(job->name, job->record, job->password, job->address, job->matches, job->done); }
    );
}

void Logins::settle(
    const std::string& name,
    const PasswordRecord& record,
    const std::string& password,
    const std::string& address,
    bool matches,
    Done& done
) {
    if (!matches) {
        note_wrong(name, address);
        return done(Verdict::wrong);
    }
    note_right(name, address);
    if (remembered_.size() >= limits_.remembered_max && !remembered_.contains(name))
        remembered_.erase(remembered_.begin());
    remembered_[name] = {record.hash, mac_of(name, password)};
    done(Verdict::right);
}

} // namespace brim::broker
