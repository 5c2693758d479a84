// Requests that are done once, and changes that are made only to what was read.

#include "api_rig.h"
#include "hub/api/answer_book.h"
#include "hub/api/conditional.h"
#include "store/sqlite.h"

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* product_body =
    R"({"name":"Pump","nodeType":"device","model":{"properties":[{"identifier":"level","name":"Level","accessMode":"rw",
"dataType":{"type":"int","specs":{"min":"0","max":"9"}}}]}})";
constexpr const char* other_model = R"({"properties":[],"events":[],"services":[]})";

ApiRig::Headers key(const std::string& value) {
    return {{"Idempotency-Key", value}};
}

struct BookRig {
    explicit BookRig(AnswerLimits given = {}) : limits(given) {
        REQUIRE(world.machine("hub").disk().make_dir("/data"));
        open();
    }

    void open() {
        book.reset();
        db.reset();
        io::Env& env = world.machine("hub").env();
        auto made = MetaDb::open(env, "/data/hub.db");
        REQUIRE(made);
        db = std::move(*made);
        auto opened = AnswerBook::open(env, *db, limits);
        REQUIRE(opened);
        book = std::move(*opened);
    }

    Result<AnswerBook::Found> begin(const std::string& name, const std::string& body = "body") {
        std::optional<Result<AnswerBook::Found>> outcome;
        book->begin("scope", name, body, [&outcome](Result<AnswerBook::Found> found) {
            outcome.emplace(std::move(found));
        });
        REQUIRE(world.run_until([&outcome] { return outcome.has_value(); }, 10s));
        return std::move(*outcome);
    }

    void answer(const std::string& name, const std::string& text) {
        const auto found = begin(name);
        REQUIRE(found);
        REQUIRE(found->state == AnswerBook::State::fresh);
        bool done = false;
        book->finish(found->id, name, {201, "text/plain", text}, [&done] { done = true; });
        REQUIRE(world.run_until([&done] { return done; }, 10s));
    }

    io::SimWorld world{1};
    AnswerLimits limits;
    std::unique_ptr<MetaDb> db;
    std::unique_ptr<AnswerBook> book;
};

std::string numbered(int number) {
    return "key-0000-0000-" + std::to_string(1'000 + number);
}

} // namespace

TEST_CASE("[once-1] the same key and body is done once and answered the same, also after a power cut") {
    ApiRig rig;
    const auto first = rig.call("POST", "/api/v1/products", product_body, key("0123456789abcdef"));
    REQUIRE(first.status == 201);
    CHECK(first.header("idempotency-replayed").empty());
    for (const bool cut : {false, true}) {
        if (cut)
            rig.restart(true);
        const auto again = rig.call("POST", "/api/v1/products", product_body, key("0123456789abcdef"));
        CHECK(again.status == 201);
        CHECK(again.body == first.body);
        CHECK(again.header("idempotency-replayed") == "true");
        CHECK(rig.hub->registry().products().size() == 1);
        const auto other = rig.call(
            "POST", "/api/v1/products", R"({"name":"Fan","nodeType":"device"})", key("0123456789abcdef")
        );
        CHECK(other.status == 422);
        CHECK(other.json()["object"].as_string() == "Idempotency-Key");
    }
    // Another path, another thing.
    const std::string pk(first.json()["productKey"].as_string());
    const auto device =
        rig.call("POST", "/api/v1/devices", R"({"productKey":")" + pk + "\"}", key("0123456789abcdef"));
    CHECK(device.status == 201);
    CHECK(rig.call("POST", "/api/v1/products", product_body).status == 201);
    CHECK(rig.hub->registry().products().size() == 2);
    // An error is an answer as well.
    const std::string named = R"({"productKey":")" + pk + R"(","deviceName":"d"})";
    REQUIRE(rig.call("POST", "/api/v1/devices", named).status == 201);
    CHECK(rig.call("POST", "/api/v1/devices", named, key("fedcba9876543210")).status == 409);
    REQUIRE(rig.call("DELETE", "/api/v1/devices/" + pk + "/d").status == 204);
    CHECK(rig.call("POST", "/api/v1/devices", named, key("fedcba9876543210")).status == 409);
    for (const std::string& bad :
         {std::string(15, 'x'), std::string(129, 'x'), std::string("0123456789 abcdef")})
        CHECK(rig.call("POST", "/api/v1/devices", named, key(bad)).status == 422);
    CHECK(rig.call("POST", "/api/v1/devices", named, key(std::string(16, 'x'))).status == 201);
    CHECK(rig.call("POST", "/api/v1/devices", named, key(std::string(128, 'x'))).status == 409);
}

TEST_CASE(
    "[once-2] while the first is under way the second is told so; cut short, nobody repeats it by accident"
) {
    ApiRig rig;
    io::DiskFault slow;
    slow.kind = io::DiskFault::Kind::slow;
    slow.path_part = "/hub/hub.db";
    slow.times = 1'000'000;
    slow.delay = 1s;
    rig.world.run_for(5s);
    rig.machine().disk().add_fault(slow);
    const auto first = rig.send("POST", "/api/v1/products", product_body, key("0123456789abcdef"));
    rig.world.run_for(500ms);
    const auto second = rig.call("POST", "/api/v1/products", product_body, key("0123456789abcdef"));
    CHECK(second.status == 409);
    CHECK_FALSE(first->done());
    REQUIRE(rig.world.run_until([&rig] { return !rig.hub->registry().products().empty(); }, 60s));
    rig.restart();
    rig.machine().disk().clear_faults();
    const auto later = rig.call("POST", "/api/v1/products", product_body, key("0123456789abcdef"));
    CHECK(later.status == 409);
    CHECK(later.json()["fix"].as_string().find("look") != std::string_view::npos);
    CHECK(rig.hub->registry().products().size() <= 1);
}

TEST_CASE(
    "[once-3] what was not done may be tried again with the same key, and a client that left is served later"
) {
    ApiRig rig;
    const std::string pk(rig.call("POST", "/api/v1/products", product_body).json()["productKey"].as_string());
    io::DiskFault full;
    full.kind = io::DiskFault::Kind::no_space;
    full.path_part = "/hub/hub.db";
    full.times = 1'000'000;
    rig.machine().disk().add_fault(full);
    const std::string body = R"({"productKey":")" + pk + "\"}";
    CHECK(rig.call("POST", "/api/v1/devices", body, key("0123456789abcdef")).status == 507);
    rig.machine().disk().clear_faults();
    CHECK(rig.call("POST", "/api/v1/devices", body, key("0123456789abcdef")).status == 201);
    const auto left = rig.send("POST", "/api/v1/devices", body, key("fedcba9876543210"));
    rig.world.run_until([&rig] { return rig.hub->registry().devices().size() == 2; }, 10s);
    left->leave();
    rig.world.run_for(1s);
    CHECK(
        rig.call("POST", "/api/v1/devices", body, key("fedcba9876543210")).header("idempotency-replayed") ==
        "true"
    );
    CHECK(rig.hub->registry().devices().size() == 2);
}

TEST_CASE("[once-4] a token in a kept answer cannot be read from the database") {
    ApiRig rig;
    const auto made =
        rig.call("POST", "/api/v1/tokens", R"({"name":"t","role":"viewer"})", key("0123456789abcdef"));
    REQUIRE(made.status == 201);
    const std::string token(made.json()["token"].as_string());
    CHECK(
        rig.call("POST", "/api/v1/tokens", R"({"name":"t","role":"viewer"})", key("0123456789abcdef")).body ==
        made.body
    );
    rig.world.run_for(2s);
    for (const std::string& path : rig.machine().disk().paths())
        CHECK_MESSAGE(rig.machine().disk().content(path).find(token) == std::string::npos, path);
}

TEST_CASE("[once-5] kept answers are bounded in number, bytes and time") {
    AnswerLimits limits;
    limits.keys_max = 3;
    limits.bytes_max = 2'000;
    BookRig rig(limits);
    using State = AnswerBook::State;
    for (int at = 0; at < 3; ++at)
        rig.answer(numbered(at), "a");
    CHECK(rig.book->size() == 3);
    CHECK(rig.begin(numbered(1))->state == State::answered);
    rig.answer(numbered(3), std::string(1'900, 'b'));
    CHECK(rig.book->size() <= 3);
    CHECK(rig.begin(numbered(3))->answer.body == std::string(1'900, 'b'));
    rig.open();
    CHECK(rig.begin(numbered(3))->answer.type == "text/plain");
    rig.answer(numbered(4), std::string(1'900, 'c'));
    CHECK(rig.begin(numbered(4))->state == State::answered);
    CHECK(rig.begin(numbered(5))->state == State::fresh); // makes room: both together are too much
    CHECK(rig.begin(numbered(5))->state == State::running);
    rig.world.run_for(24h - 1min);
    CHECK(rig.begin(numbered(5))->state == State::running);
    rig.open();
    CHECK(rig.begin(numbered(5))->state == State::unknown);
    rig.world.run_for(2min);
    CHECK(rig.begin(numbered(5))->state == State::fresh);
    CHECK(rig.begin(numbered(6))->state == State::fresh);
    CHECK(rig.begin(numbered(7))->state == State::fresh);
    CHECK(rig.begin(numbered(8)).error().code == Errc::busy); // none of the three has ended
}

TEST_CASE("[match-1] a model is replaced only when it is the one that was read") {
    ApiRig rig;
    const std::string pk(rig.call("POST", "/api/v1/products", product_body).json()["productKey"].as_string());
    const std::string path = "/api/v1/products/" + pk + "/model";
    const std::string tag = rig.call("GET", path).header("etag");
    CHECK(tag.size() == 26);
    CHECK(rig.call("GET", path, {}, {{"If-None-Match", "\"x\", W/" + tag}}).status == 304);
    CHECK(rig.call("GET", path, {}, {{"If-None-Match", "\"x\""}}).status == 200);
    const auto refused = rig.call("PUT", path, other_model, {{"If-Match", "\"x\""}});
    CHECK(refused.status == 412);
    CHECK(refused.json()["code"].as_string() == "conflict");
    CHECK(refused.json()["status"].as_int() == 412);
    CHECK(rig.call("PUT", path, other_model, {{"If-Match", "W/" + tag}}).status == 412);
    CHECK(rig.call("GET", path).header("etag") == tag);
    const auto changed = rig.call("PUT", path, other_model, {{"If-Match", "\"x\", " + tag}});
    CHECK(changed.status == 200);
    CHECK(changed.header("etag") != tag);
    CHECK(rig.call("GET", path).header("etag") == changed.header("etag"));
    CHECK(rig.call("PUT", path, product_body, {{"If-Match", tag}}).status == 412);
    CHECK(rig.call("PUT", path, other_model, {{"If-Match", "*"}}).status == 200);
    CHECK(rig.call("PUT", path, other_model).status == 200);
}

TEST_CASE(
    "[match-2] a property set may be bound to the desired values that were read; reports do not disturb it"
) {
    ApiRig rig;
    const std::string pk(rig.call("POST", "/api/v1/products", product_body).json()["productKey"].as_string());
    REQUIRE(
        rig.call("POST", "/api/v1/devices", R"({"productKey":")" + pk + R"(","deviceName":"d"})").status ==
        201
    );
    const std::string path = "/api/v1/devices/" + pk + "/d/properties";
    const std::string tag = rig.call("GET", path).header("etag");
    Device& device = *rig.hub->registry().device(pk, "d");
    bool stored = false;
    rig.hub->ingest().report(device, {{0, {std::int64_t{3}}, 5}}, std::nullopt, [&stored](Result<void> done) {
        stored = done.has_value();
    });
    REQUIRE(rig.world.run_until([&stored] { return stored; }, 10s));
    CHECK(rig.call("GET", path).header("etag") == tag);
    const auto set = rig.call("PUT", path, R"({"values":{"level":4}})", {{"If-Match", tag}});
    CHECK(set.status == 202);
    CHECK(set.header("etag") != tag);
    CHECK(rig.call("PUT", path, R"({"values":{"level":5}})", {{"If-Match", tag}}).status == 412);
    CHECK(device.desired_value(0)->version == 1);
    CHECK(
        rig.call("PUT", path, R"({"values":{"level":5}})", {{"If-Match", set.header("etag")}}).status == 202
    );
    CHECK(device.desired_value(0)->version == 2);
}

TEST_CASE("[token-1] the last use of a token outlives a restart, to the minute") {
    ApiRig rig;
    const auto used = [&rig] {
        return std::string(
            rig.call("GET", "/api/v1/tokens").json()["items"].items()[0]["lastUsed"].as_string()
        );
    };
    rig.world.run_for(10min);
    const std::string before = used();
    rig.world.run_for(3s);
    rig.restart(true);
    rig.token.swap(rig.config.public_url); // nobody uses it
    rig.stop();
    auto db = store::Database::open(rig.machine().disk(), "/hub/hub.db", store::Durability::full);
    REQUIRE(db);
    auto select = (*db)->prepare("SELECT used_ms FROM token");
    REQUIRE(select);
    REQUIRE(*select->step());
    CHECK(to_rfc3339({select->integer(0)}) == before);
}
