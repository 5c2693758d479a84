// Passwords: right, wrong, remembered, and how long guessing has to wait.

#include "broker/login.h"

#include "base/hash.h"
#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"

#include <doctest/doctest.h>

#include <optional>

using namespace brim;
using namespace brim::broker;

namespace {

struct LoginRig {
    io::Env& env() { return world.machine("hub").env(); }

    Logins::Verdict
    check(const std::string& name, const std::string& password, const std::string& address = "192.0.2.1") {
        std::optional<Logins::Verdict> verdict;
        logins.check(name, users.find(name), password, address, [&](Logins::Verdict said) {
            verdict = said;
        });
        REQUIRE(world.run_until([&] { return verdict.has_value(); }, 60s));
        return *verdict;
    }

    /// Whether an answer comes without any work.
    bool is_at_once(const std::string& name, const std::string& password) {
        bool answered = false;
        logins.check(name, users.find(name), password, "192.0.2.1", [&](Logins::Verdict) {
            answered = true;
        });
        const bool at_once = answered;
        world.run_for(5s);
        return at_once;
    }

    void set(const std::string& name, const std::string& password) {
        const auto text = set_user(file, name, password, "0123456789abcdef");
        REQUIRE(text);
        file = *text;
        auto parsed = UserFile::parse(file, "users");
        REQUIRE(parsed);
        users = std::move(*parsed);
    }

    io::SimWorld world{1};
    std::string file;
    UserFile users;
    Logins logins{env()};
};

using enum Logins::Verdict;

} // namespace

TEST_CASE("a right password is known again without the work, until the file says another") {
    LoginRig rig;
    rig.set("ann", "one");
    CHECK(rig.check("ann", "two") == wrong);
    CHECK_FALSE(rig.is_at_once("ann", "one"));
    CHECK(rig.is_at_once("ann", "one"));
    CHECK_FALSE(rig.is_at_once("ann", "two"));
    CHECK(rig.check("bob", "one") == wrong);
    CHECK(rig.check("bob", "") == wrong);
    rig.set("ann", "two");
    CHECK(rig.check("ann", "one") == wrong);
    CHECK(rig.check("ann", "two") == right);
}

TEST_CASE("[F-63] who guesses waits, twice as long each time, and shuts nobody else out") {
    LoginRig rig;
    rig.set("ann", "one");
    for (int i = 0; i < 9; ++i)
        CHECK(rig.check("ann", "guess") == wrong);
    CHECK(rig.check("ann", "guess") == busy);
    CHECK(rig.check("ann", "one") == busy);
    CHECK(rig.check("ann", "one", "192.0.2.9") == right); // from elsewhere
    CHECK(rig.check("ann", "one") == right);              // and known now, so the wait is no lock-out
    CHECK(rig.check("bob", "guess") == wrong);            // another name of the same address
    rig.world.run_for(1'100ms);
    CHECK(rig.check("ann", "guess") == wrong);
    rig.world.run_for(1'100ms);
    CHECK(rig.check("ann", "guess") == busy); // attempts that are refused do not lengthen the wait
    rig.world.run_for(1'000ms);
    CHECK(rig.check("ann", "guess") == wrong);
}

TEST_CASE("[F-63] one address that guesses with many names waits with all of them") {
    LoginRig rig;
    rig.set("ann", "one");
    for (int i = 0; i < 65; ++i)
        CHECK(rig.check("user" + std::to_string(i), "guess") == wrong);
    CHECK(rig.check("ann", "one") == busy);
    CHECK(rig.check("ann", "one", "192.0.2.2") == right);
}
