#include "hub/api/accounts.h"
#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::hub;
using namespace std::chrono_literals;

namespace {

const std::string good = "correct horse battery";

struct Rig {
    Rig() {
        REQUIRE(machine().disk().make_dir("/data"));
        open();
    }

    io::SimMachine& machine() { return world.machine("hub"); }

    void open() {
        accounts.reset();
        db.reset();
        auto made = MetaDb::open(machine().env(), "/data/hub.db");
        REQUIRE(made);
        db = std::move(*made);
        auto loaded = Accounts::open(machine().env(), *db);
        REQUIRE(loaded);
        accounts = std::move(*loaded);
    }

    template <class T, class Act> Result<T> wait(Act act) {
        std::optional<Result<T>> outcome;
        act([&outcome](Result<T> result) { outcome.emplace(std::move(result)); });
        REQUIRE(world.run_until([&outcome] { return outcome.has_value(); }, 60s));
        return std::move(*outcome);
    }

    Result<void> set_up(const std::string& token) {
        return wait<void>([&](auto done) { accounts->setup(token, "root", good, std::move(done)); });
    }

    Result<std::string> login(const std::string& name, const std::string& password) {
        return wait<std::string>([&](auto done) {
            accounts->login(name, password, "10.0.0.1:7", std::move(done));
        });
    }

    Result<std::pair<std::string, std::string>> token(const Caller& owner, Role role, int days) {
        return wait<std::pair<std::string, std::string>>([&](auto done) {
            accounts->create_token(owner, "t", role, days, std::move(done));
        });
    }

    Result<void> change(const std::string& name, std::optional<Role> role) {
        return wait<void>([&](auto done) { accounts->change_account(name, role, {}, std::move(done)); });
    }

    io::SimWorld world{1};
    std::unique_ptr<MetaDb> db;
    std::unique_ptr<Accounts> accounts;
};

} // namespace

TEST_CASE("the setup token makes one administrator, and only the right one does") {
    Rig rig;
    const std::string token = rig.accounts->setup_token();
    REQUIRE(token.size() == 32);
    CHECK(rig.set_up("").error().code == Errc::denied);
    CHECK(rig.set_up(token + "x").error().code == Errc::denied);
    // Two at a time, while the first password is being hashed.
    std::vector<Result<void>> ended;
    for (const char* name : {"one", "two"}) {
        rig.accounts->setup(token, name, good, [&ended](Result<void> result) {
            ended.push_back(std::move(result));
        });
    }
    REQUIRE(rig.world.run_until([&ended] { return ended.size() == 2; }, 60s));
    CHECK(rig.accounts->accounts().size() == 1);
    CHECK(rig.set_up(token).error().code == Errc::conflict);
    rig.open();
    CHECK(rig.accounts->setup_token().empty());
    CHECK(rig.accounts->accounts().contains("one"));
}

TEST_CASE("a session and a token live as long as they should, also over a restart") {
    Rig rig;
    REQUIRE(rig.set_up(rig.accounts->setup_token()));
    const auto cookie = rig.login("root", good);
    REQUIRE(cookie);
    CHECK(rig.accounts->by_cookie(*cookie).role == Role::admin);
    CHECK(rig.accounts->by_cookie(*cookie + "x").role == Role::none);
    CHECK(rig.accounts->by_cookie("").role == Role::none);
    const Caller root = rig.accounts->by_cookie(*cookie);
    const auto made = rig.token(root, Role::operator_, 1);
    REQUIRE(made);
    rig.open();
    CHECK(rig.accounts->by_cookie(*cookie).role == Role::admin);
    CHECK(rig.accounts->by_token(made->second).role == Role::operator_);
    CHECK_FALSE(rig.accounts->by_token(made->second).by_cookie);
    rig.machine().jump_wall(std::chrono::hours{24} - 10s);
    CHECK(rig.accounts->by_token(made->second).role == Role::operator_);
    rig.machine().jump_wall(20s);
    CHECK(rig.accounts->by_token(made->second).role == Role::none);
    rig.machine().jump_wall(std::chrono::hours{24 * 7});
    CHECK(rig.accounts->by_cookie(*cookie).role == Role::none);
}

TEST_CASE("the third wrong password is answered, after the fourth there is a wait that ends") {
    Rig rig;
    REQUIRE(rig.set_up(rig.accounts->setup_token()));
    for (int i = 0; i < 4; ++i)
        CHECK(rig.login("root", "wrong").error().code == Errc::unauthenticated);
    CHECK(rig.login("root", good).error().code == Errc::busy);
    rig.world.run_for(61s);
    CHECK(rig.login("root", good));
    CHECK(rig.login("root", "wrong").error().code == Errc::unauthenticated); // counted anew
}

TEST_CASE("there is always an administrator, and nobody gives more than he has") {
    Rig rig;
    REQUIRE(rig.set_up(rig.accounts->setup_token()));
    CHECK(rig.change("root", Role::viewer).error().code == Errc::conflict);
    const auto remove = [&rig](const std::string& name) {
        return rig.wait<void>([&](auto done) { rig.accounts->delete_account(name, std::move(done)); });
    };
    CHECK(remove("root").error().code == Errc::conflict);
    REQUIRE(rig.wait<void>([&](auto done) {
        rig.accounts->create_account("second", Role::admin, good, std::move(done));
    }));
    const std::uint64_t changes = rig.accounts->changes();
    CHECK(rig.change("root", Role::viewer));
    CHECK(rig.accounts->changes() > changes);
    const Caller root{"root", Role::viewer, false};
    CHECK(rig.token(root, Role::operator_, 0).error().code == Errc::denied);
    const auto own = rig.token(root, Role::viewer, 0);
    REQUIRE(own);
    CHECK(rig.accounts->by_token(own->second).role == Role::viewer);
    CHECK(remove("second").error().code == Errc::conflict);
    io::DiskFault fault;
    fault.kind = io::DiskFault::Kind::no_space;
    fault.times = 1'000;
    rig.machine().disk().add_fault(fault);
    CHECK_FALSE(remove("root"));
    CHECK(rig.accounts->by_token(own->second).role == Role::viewer); // undone, with its tokens
    rig.machine().disk().clear_faults();
    CHECK(remove("root"));
    CHECK(rig.accounts->by_token(own->second).role == Role::none);
}
