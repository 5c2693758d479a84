// MQTT 5 section 4.12 (enhanced authentication) at our client.

#include "mqtt/tests/client_bench.h"
#include "mqtt/tests/conformance.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

using R = ReasonCode;

constexpr std::string_view auth_method = "SCRAM-X";

ClientOptions options_with_method() {
    ClientOptions options;
    options.client_id = "c";
    options.auth_method = auth_method;
    options.auth_data = "hello";
    return options;
}

/// A client that answers every question and trusts every success.
struct AuthLine : Line {
    explicit AuthLine(ClientOptions options = options_with_method()) : Line(std::move(options)) {
        host.auth_hook = [this](const Auth& auth) {
            if (auth.reason == R::continue_authentication && answers)
                CHECK(client.authenticate("right", now).has_value());
            return trusts;
        };
    }

    void say(R reason, ByteView data, std::string_view name = auth_method) {
        Auth packet;
        packet.reason = reason;
        packet.auth_method = name;
        packet.auth_data = data;
        Bytes bytes;
        encode_auth(bytes, packet);
        client.data(bytes, now);
    }

    void welcome(std::string_view name = auth_method, std::uint32_t packet_bytes_max = 0) {
        Connack packet;
        packet.has_auth_method = !name.empty();
        packet.auth_method = name;
        packet.auth_data = name.empty() ? ByteView() : ByteView("proof");
        packet.packet_bytes_max = packet_bytes_max;
        Bytes bytes;
        encode_connack(bytes, packet, version_);
        client.data(bytes, now);
    }

    void begin() {
        client.connect(now);
        const auto connect = decode_connect(take(), {});
        REQUIRE(connect.has_value());
        CHECK(connect->auth_method == auth_method);
        CHECK(connect->auth_data == "hello");
    }

    void check_said(R reason, ByteView data) {
        const auto packet = decode_auth(take(), version_, {});
        REQUIRE(packet.has_value());
        CHECK(packet->reason == reason);
        CHECK(packet->auth_method == auth_method);
        CHECK(packet->auth_data == data);
    }

    bool answers = true;
    bool trusts = true;
};

} // namespace

TEST_CASE(
    "[MQTT-4.12.0-3] [MQTT-4.12.0-5] our client answers AUTH 0x18 with 0x18, CONNECT's method and its data"
) {
    AuthLine line;
    line.begin();
    for (int round = 0; round < 8; ++round) {
        line.say(R::continue_authentication, "who?");
        line.check_said(R::continue_authentication, "right");
    }
    line.welcome();
    CHECK(line.client.connected());
    CHECK(line.host.connects == 1);
    CHECK(line.host.auths.size() == 9);
    CHECK(
        line.host.auths.back() == std::pair{R::success, Bytes("proof")}
    ); // CONNACK's data is the host's to judge
    CHECK(line.host.out.empty());

    AuthLine late; // the answer may come later, once
    late.answers = false;
    late.begin();
    late.say(R::continue_authentication, "who?");
    CHECK(late.host.out.empty());
    CHECK(late.client.authenticate("right", late.now).has_value());
    late.check_said(R::continue_authentication, "right");
    CHECK(late.client.authenticate("right", late.now).error().code == Errc::conflict);

    AuthLine endless;
    endless.begin();
    for (int round = 0; round < 9; ++round)
        endless.say(R::continue_authentication, "who?");
    CHECK(endless.host.closes.size() == 1);
}

TEST_CASE("our client leaves when its host does not go on: Errc::unauthenticated, and DISCONNECT before it") {
    for (const bool is_question : {true, false}) {
        AuthLine line;
        line.trusts = false;
        line.answers = false;
        line.begin();
        if (is_question)
            line.say(R::continue_authentication, "who?");
        else
            line.welcome();
        REQUIRE(line.host.closes.size() == 1);
        CHECK(line.host.closes[0].code == Errc::unauthenticated);
        CHECK(line.host.out == ByteView("\xE0\x01\x80", 3));
        CHECK(line.host.connects == 0); // also when the server had said yes
        CHECK_FALSE(line.client.connected());
    }
}

TEST_CASE(
    "[MQTT-4.12.0-5] [MQTT-4.12.0-6] our client leaves a server that changes, drops or invents the method"
) {
    for (const std::string_view name : {std::string_view("SCRAM-Y"), std::string_view()}) {
        AuthLine connack;
        connack.begin();
        connack.welcome(name);
        CHECK(connack.host.closes.size() == 1);
        CHECK(connack.host.connects == 0);
        AuthLine auth;
        auth.begin();
        auth.say(R::continue_authentication, "who?", name);
        CHECK(auth.host.closes.size() == 1);
        CHECK(auth.host.auths.empty());
    }
    ClientOptions plain;
    plain.client_id = "c";
    AuthLine invented(plain);
    invented.client.connect(invented.now);
    invented.take();
    invented.welcome();
    CHECK(invented.host.closes.size() == 1);
    CHECK(invented.host.connects == 0);
}

TEST_CASE("our client leaves a server that says AUTH or CONNACK out of turn") {
    for (const R reason : {R::success, R::re_authenticate}) {
        AuthLine line;
        line.begin();
        line.say(reason, "x");
        CHECK(line.host.closes.size() == 1);
        AuthLine up;
        up.begin();
        up.welcome();
        up.say(reason, "x");
        CHECK(up.host.closes.size() == 1);
    }
    AuthLine twice;
    twice.answers = false;
    twice.begin();
    twice.say(R::continue_authentication, "who?");
    twice.say(R::continue_authentication, "who?");
    CHECK(twice.host.closes.size() == 1);
    AuthLine hasty;
    hasty.answers = false;
    hasty.begin();
    hasty.say(R::continue_authentication, "who?");
    hasty.welcome();
    CHECK(hasty.host.closes.size() == 1);
    CHECK(hasty.host.connects == 0);
}

TEST_CASE("[MQTT-4.12.1-1] [MQTT-4.12.0-7] our client authenticates anew with CONNECT's method, only when it "
          "named one") {
    AuthLine line;
    CHECK(line.client.reauthenticate("again", line.now).error().code == Errc::closed);
    CHECK(line.client.authenticate("x", line.now).error().code == Errc::closed);
    line.begin();
    CHECK(line.client.reauthenticate("again", line.now).error().code == Errc::closed);
    line.welcome(auth_method, 40);
    for (int round = 0; round < 2; ++round) {
        CHECK(line.client.reauthenticate("again", line.now).has_value());
        line.check_said(R::re_authenticate, "again");
        CHECK(line.client.reauthenticate("again", line.now).error().code == Errc::busy);
        line.say(R::continue_authentication, "who?");
        line.check_said(R::continue_authentication, "right");
        CHECK(line.client.publish(to("t"), 1, line.now).has_value()); // goes on meanwhile
        CHECK(line.take().type == PacketType::publish);
        line.say(R::success, "proof");
        CHECK(line.host.auths.back().first == R::success);
    }
    CHECK(line.client.reauthenticate(Bytes(40, 'x'), line.now).error().code == Errc::too_large);
    CHECK(line.client.reauthenticate(Bytes(65'536, 'x'), line.now).error().code == Errc::too_large);
    CHECK(line.host.out.empty());
    CHECK(line.client.connected());

    Line plain;
    plain.up();
    CHECK(plain.client.reauthenticate("again", plain.now).error().code == Errc::unsupported);
    CHECK(plain.host.out.empty());
}

TEST_CASE("our client leaves a server that does not answer AUTH in time") {
    AuthLine line;
    line.begin();
    line.welcome();
    CHECK(line.client.reauthenticate("again", line.now).has_value());
    line.take();
    line.now += std::chrono::milliseconds{9'900};
    CHECK(line.client.tick(line.now) <= line.now + std::chrono::milliseconds{100});
    CHECK(line.host.closes.empty());
    line.now += std::chrono::milliseconds{200};
    line.client.tick(line.now);
    REQUIRE(line.host.closes.size() == 1);
    CHECK(line.host.closes[0].code == Errc::timeout);
}
