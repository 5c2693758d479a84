// SCRAM-SHA-256 in MQTT's authentication data: our client core against our broker core, byte for byte what
// goes over the wire.

#include "broker/scram.h"

#include "mqtt/broker.h"
#include "mqtt/client.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

using namespace brim;
using namespace brim::broker;
using namespace brim::mqtt;

namespace {

constexpr std::string_view server_nonce = "abcdefghijklmnopqrst";
constexpr std::string_view client_nonce = "ABCDEFGHIJKLMNOPQRST";
constexpr Mono login_time{std::chrono::seconds{1'000}};

/// One connection between the two; bytes are carried by pass().
class Rig final : public BrokerHost, public ClientHost {
public:
    Rig(std::string user, std::string password)
        : broker(*this, {}), client(*this, {}), password_(std::move(password)) {
        scram_ = ScramClient::make(user, password_, client_nonce).value();
        ClientOptions options;
        options.client_id = "c";
        options.auth_method = scram_method;
        options.auth_data = scram_->first();
        client.set_options(options);
        user_ = std::move(user);
        conn_ = broker.open(login_time);
        client.connect(login_time);
        pass();
    }

    void pass() {
        while (!to_broker.empty() || !to_client.empty()) {
            broker.data(conn_, std::exchange(to_broker, {}), login_time);
            client.data(std::exchange(to_client, {}), login_time);
        }
    }

    void reauthenticate(std::string_view password) {
        scram_ = ScramClient::make(user_, password, client_nonce).value();
        CHECK(client.reauthenticate(scram_->first(), login_time).has_value());
        pass();
    }

    // BrokerHost
    void send(ConnId, ByteView bytes) override { to_client += bytes; }

    void close(ConnId) override { is_broker_closed = true; }

    void pause(ConnId, bool) override {}

    bool offers_auth(ConnId, std::string_view method) const override { return method == scram_method; }

    void on_connect(ConnId conn, const Connect& connect) override { challenge(conn, connect.auth_data); }

    void on_auth(ConnId conn, const Auth& auth) override {
        if (auth.reason == ReasonCode::re_authenticate)
            return challenge(conn, auth.auth_data);
        const auto last = server_->finish(auth.auth_data);
        if (!last)
            return broker.refuse(conn, ReasonCode::not_authorized, {}, login_time);
        const std::string principal = server_->user();
        server_.reset();
        if (broker.online("k"))
            return broker.reauthenticated(conn, principal, 0, *last, login_time);
        Admission admission;
        admission.session_key = "k";
        admission.principal = principal;
        admission.auth_data = *last;
        broker.accept(conn, admission, login_time);
    }

    void challenge(ConnId conn, ByteView first) {
        auto begun = ScramServer::begin(first);
        if (!begun)
            return broker.refuse(conn, ReasonCode::not_authorized, {}, login_time);
        server_ = std::move(*begun);
        const bool is_known = server_->user() == "ann";
        ScramVerifier verifier = is_known ? make_scram_verifier("secret", Bytes(16, 's'), 4'096).value()
                                          : stand_in_verifier("server secret", server_->user(), 4'096);
        broker.continue_auth(conn, server_->challenge(std::move(verifier), server_nonce), {}, login_time);
    }

    bool authorise(const ConnView&, Action, std::string_view) override { return true; }

    Verdict on_publish(const ConnView&, const MessagePtr&, AckToken) override { return Verdict::route; }

    void on_up(const ConnView& who) override { ups.emplace_back(who.principal); }

    void on_down(const ConnView&, Ended) override {}

    void on_dropped(std::string_view, std::string_view, std::uint64_t) override {}

    // ClientHost
    void send(ByteView bytes) override { to_broker += bytes; }

    void close(const Error& why) override { closed = why; }

    void on_connected(const Connack&) override { ++connects; }

    bool on_message(const MessagePtr&, std::uint16_t) override { return true; }

    void on_settled(PublishTag, ReasonCode) override {}

    void on_subscribed(std::string_view, ReasonCode) override {}

    bool on_auth(const Auth& auth) override {
        if (auth.reason == ReasonCode::success)
            return scram_->verify(is_forging ? ByteView("v=AAAA") : auth.auth_data).has_value();
        const auto answer = scram_->answer(auth.auth_data);
        return answer && client.authenticate(*answer, login_time).has_value();
    }

    Broker broker;
    Client client;
    Bytes to_broker;
    Bytes to_client;
    bool is_broker_closed = false;
    bool is_forging = false; ///< the server's last word is changed on its way
    std::optional<Error> closed;
    std::vector<std::string> ups;
    int connects = 0;

private:
    std::string user_;
    std::string password_;
    ConnId conn_ = 0;
    std::optional<ScramServer> server_;
    std::optional<ScramClient> scram_;
};

} // namespace

TEST_CASE("SCRAM over MQTT: the password's owner is up under its name, and may prove it again") {
    Rig rig("ann", "secret");
    CHECK(rig.ups == std::vector<std::string>{"ann"});
    CHECK(rig.connects == 1);
    CHECK(rig.client.connected());
    rig.reauthenticate("secret");
    CHECK_FALSE(rig.closed.has_value());
    CHECK(rig.broker.online("k"));
    rig.is_forging = true; // a server that cannot prove itself is left
    rig.reauthenticate("secret");
    REQUIRE(rig.closed.has_value());
    CHECK(rig.closed->code == Errc::unauthenticated);
    CHECK_FALSE(rig.broker.online("k"));
}

TEST_CASE("SCRAM over MQTT: wrong password, unknown name and a failed second proof end the same way") {
    Rig wrong("ann", "secreT");
    Rig unknown("eve", "secret");
    for (Rig* rig : {&wrong, &unknown}) {
        CHECK(rig->ups.empty());
        CHECK(rig->connects == 0);
        CHECK(rig->is_broker_closed);
        REQUIRE(rig->closed.has_value());
        CHECK(rig->closed->code == Errc::denied);
    }
    CHECK(wrong.closed->text() == unknown.closed->text());
    Rig again("ann", "secret");
    REQUIRE(again.client.connected());
    again.reauthenticate("guess");
    CHECK(again.is_broker_closed);
    CHECK_FALSE(again.broker.online("k"));
}
