// MQTT 5 section 4.12 (enhanced authentication) at the broker.

#include "mqtt/tests/conformance.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

using R = ReasonCode;

constexpr std::string_view method = "SCRAM-X";

Bytes auth_packet(R reason, ByteView data = {}, std::string_view name = method) {
    Auth packet;
    packet.reason = reason;
    packet.auth_method = name;
    packet.auth_data = data;
    Bytes out;
    encode_auth(out, packet);
    return out;
}

Connect with_method(std::string_view client_id = "p") {
    Connect packet;
    packet.client_id = client_id;
    packet.has_auth_method = true;
    packet.auth_method = method;
    packet.auth_data = "hello";
    return packet;
}

Bytes connect_bytes(const Connect& packet) {
    Bytes out;
    encode_connect(out, packet);
    return out;
}

/// A bench whose host asks each client once, and takes it when it answers "right"; again when it is up.
struct AuthBench : Bench {
    explicit AuthBench(BrokerLimits limits = {}) : Bench(limits) {
        host.auth_method = method;
        host.connect_hook = [this](ConnId conn, const Connect& connect) {
            CHECK(connect.has_auth_method);
            if (!is_slow)
                broker.continue_auth(conn, "who?", "go on", host.now);
        };
        host.auth_hook = [this](ConnId conn, const Auth& auth) {
            if (is_slow)
                return;
            if (auth.reason == R::re_authenticate)
                broker.continue_auth(conn, "again?", {}, host.now);
            else if (auth.auth_data == "more")
                broker.continue_auth(conn, "more?", {}, host.now);
            else if (auth.auth_data != "right")
                broker.refuse(conn, R::bad_user_name_or_password, "no", host.now);
            else if (is_up)
                broker.reauthenticated(conn, "second", 7, "bye", host.now);
            else
                admit(conn);
        };
        host.up_hook = [this](const ConnView&) { is_up = true; };
    }

    void admit(ConnId conn) {
        Admission admission;
        admission.session_key = "p";
        admission.principal = "first";
        admission.auth_data = "welcome";
        broker.accept(conn, admission, host.now);
    }

    bool is_slow = false; ///< the host answers later
    bool is_up = false;
};

/// The next packet, which must be an AUTH of the method.
Received take_auth(Peer& peer, R reason, ByteView data) {
    Received received = peer.take(PacketType::auth);
    const auto packet = decode_auth(received.frame(), ProtocolVersion::v5, {});
    REQUIRE(packet.has_value());
    CHECK(packet->reason == reason);
    CHECK(packet->auth_method == method);
    CHECK(packet->auth_data == data);
    CHECK(packet->user_properties.empty());
    return received;
}

/// A peer that is up after one round.
void join(Peer& peer) {
    peer.connect(with_method());
    take_auth(peer, R::continue_authentication, "who?");
    peer.raw(auth_packet(R::continue_authentication, "right"));
    CHECK(peer.connack().reason == R::success);
}

} // namespace

TEST_CASE(
    "[MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-3.2.0-1] an exchange is AUTH 0x18 to and fro, "
    "then CONNACK, all with the method"
) {
    AuthBench bench;
    Peer peer(bench);
    peer.connect(with_method());
    take_auth(peer, R::continue_authentication, "who?");
    peer.raw(auth_packet(R::continue_authentication, "more"));
    take_auth(peer, R::continue_authentication, "more?");
    CHECK(bench.host.ups.empty());
    peer.raw(auth_packet(R::continue_authentication, "right"));
    const Connack connack = peer.connack();
    CHECK(connack.reason == R::success);
    CHECK(connack.has_auth_method);
    CHECK(connack.auth_method == method);
    CHECK(connack.auth_data == "welcome");
    CHECK(bench.host.ups.size() == 1);
    CHECK(bench.host.auths.size() == 2);
    CHECK(bench.host.auths_over.empty());
    peer.publish("t", "x", 1, 1);
    peer.acked(PacketType::puback);
}

TEST_CASE("an exchange reads the same at every split, all at once, and from a host that answers later") {
    const Bytes all = connect_bytes(with_method()) + auth_packet(R::continue_authentication, "more") +
                      auth_packet(R::continue_authentication, "right");
    for (std::size_t cut = 0; cut <= all.size(); ++cut) {
        AuthBench bench;
        Peer peer(bench);
        peer.raw(ByteView(all).substr(0, cut)).raw(ByteView(all).substr(cut));
        take_auth(peer, R::continue_authentication, "who?");
        take_auth(peer, R::continue_authentication, "more?");
        CHECK(peer.connack().reason == R::success);
        CHECK(peer.is_quiet());
    }
    AuthBench bench;
    bench.is_slow = true;
    Peer peer(bench);
    peer.raw(all);
    CHECK(peer.is_quiet());
    CHECK(bench.host.paused.contains(peer.id()));
    bench.broker.continue_auth(peer.id(), "1", {}, bench.host.now);
    CHECK(bench.host.auths.size() == 1);
    bench.broker.continue_auth(peer.id(), "2", {}, bench.host.now);
    CHECK(bench.host.auths.size() == 2);
    bench.admit(peer.id());
    take_auth(peer, R::continue_authentication, "1");
    take_auth(peer, R::continue_authentication, "2");
    CHECK(peer.connack().reason == R::success);
    CHECK_FALSE(bench.host.paused.contains(peer.id()));
}

TEST_CASE("[MQTT-4.12.0-4] a rejected authentication is told in CONNACK and ends the connection") {
    for (const bool is_first : {true, false}) {
        AuthBench bench;
        bench.is_slow = is_first;
        Peer peer(bench);
        peer.connect(with_method());
        if (is_first) {
            bench.broker.refuse(peer.id(), R::bad_authentication_method, {}, bench.host.now);
            CHECK(peer.connack().reason == R::bad_authentication_method);
        } else {
            take_auth(peer, R::continue_authentication, "who?");
            peer.raw(auth_packet(R::continue_authentication, "wrong"));
            const Connack connack = peer.connack();
            CHECK(connack.reason == R::bad_user_name_or_password);
            CHECK(connack.auth_data.empty());
        }
        CHECK(peer.is_closed());
        CHECK(peer.is_quiet());
        CHECK(bench.host.ups.empty());
        CHECK(bench.host.auths_over.empty()); // the host knows
    }
}

TEST_CASE("[MQTT-3.1.2-30] before CONNACK a client with a method may send AUTH and DISCONNECT only") {
    Publish publish;
    publish.topic = "t";
    Bytes early[3];
    encode_publish(early[0], publish, ProtocolVersion::v5);
    encode_pingreq(early[1]);
    early[2] = connect_bytes(with_method());
    for (const Bytes& packet : early) {
        AuthBench bench;
        Peer asked(bench); // it is the client's turn
        asked.connect(with_method());
        take_auth(asked, R::continue_authentication, "who?");
        asked.raw(packet);
        CHECK(asked.connack().reason == R::protocol_error);
        CHECK(asked.is_closed());
        CHECK(bench.host.auths_over == std::vector{asked.id()});

        Peer hasty(bench); // with the bytes of the right answer
        hasty.connect(with_method());
        take_auth(hasty, R::continue_authentication, "who?");
        hasty.raw(auth_packet(R::continue_authentication, "right") + packet);
        CHECK(hasty.is_closed());

        AuthBench slow; // while the host thinks
        slow.is_slow = true;
        Peer waiting(slow);
        waiting.connect(with_method()).raw(packet);
        slow.admit(waiting.id());
        CHECK(waiting.connack().reason == R::protocol_error);
        CHECK(waiting.is_closed());
        CHECK(slow.host.published.empty());
        CHECK(bench.host.published.empty());
    }
    AuthBench bench;
    Peer leaving(bench);
    leaving.connect(with_method());
    take_auth(leaving, R::continue_authentication, "who?");
    leaving.disconnect();
    CHECK(leaving.is_closed());
    CHECK(leaving.is_quiet());
    CHECK(bench.host.auths_over == std::vector{leaving.id()});
}

TEST_CASE("[MQTT-4.12.0-5] AUTH with another method, another code or out of turn ends the exchange") {
    const Bytes wrong[] = {
        auth_packet(R::continue_authentication, "right", "SCRAM-Y"),
        auth_packet(R::continue_authentication, "right", ""),
        auth_packet(R::re_authenticate, "right"),
        auth_packet(R::success, "right"),
        Bytes("\xF0\x00", 2),
    };
    for (const Bytes& packet : wrong) {
        AuthBench bench;
        Peer peer(bench);
        peer.connect(with_method());
        take_auth(peer, R::continue_authentication, "who?");
        peer.raw(packet);
        CHECK(peer.connack().reason == R::protocol_error);
        CHECK(peer.is_closed());
        CHECK(bench.host.auths.empty());
    }
    AuthBench bench; // malformed is told as such
    Peer peer(bench);
    peer.connect(with_method());
    take_auth(peer, R::continue_authentication, "who?");
    Bytes flags = auth_packet(R::continue_authentication, "right");
    flags[0] = '\xF1';
    peer.raw(flags);
    CHECK(peer.connack().reason == R::malformed_packet);
}

TEST_CASE("an exchange has at most so many rounds and bytes") {
    BrokerLimits limits;
    limits.auth_rounds_max = 3;
    limits.auth_bytes_max = 100;
    for (const unsigned rounds : {2u, 3u}) {
        AuthBench bench(limits);
        Peer peer(bench);
        peer.connect(with_method());
        for (unsigned i = 0; i < rounds; ++i)
            peer.raw(auth_packet(R::continue_authentication, "more"));
        peer.raw(auth_packet(R::continue_authentication, "right"));
        Received last = peer.next();
        while (last.type == PacketType::auth)
            last = peer.next();
        const auto connack = decode_connack(last.frame(), ProtocolVersion::v5, {});
        REQUIRE(connack.has_value());
        CHECK(connack->reason == (rounds == 2 ? R::success : R::quota_exceeded));
        CHECK(peer.is_closed() == (rounds == 3));
    }
    for (const std::size_t more : {0u, 1u}) { // CONNECT had 5 of the 100
        AuthBench bench(limits);
        bench.is_slow = true;
        Peer peer(bench);
        peer.connect(with_method());
        bench.broker.continue_auth(peer.id(), {}, {}, bench.host.now);
        peer.raw(auth_packet(R::continue_authentication, Bytes(95 + more, 'x')));
        CHECK(peer.is_closed() == (more == 1));
        CHECK(bench.host.auths.size() == 1 - more);
    }
    for (const std::size_t more : {0u, 1u}) {
        AuthBench bench(limits);
        Connect packet = with_method();
        const Bytes data(100 + more, 'x');
        packet.auth_data = data;
        Peer peer(bench);
        peer.connect(packet);
        CHECK(peer.is_closed() == (more == 1));
        CHECK(bench.host.connects == 1 - more);
    }
}

TEST_CASE("CONNECT's deadline covers the exchange; what the host takes does not count") {
    AuthBench bench;
    Peer silent(bench);
    silent.connect(with_method());
    take_auth(silent, R::continue_authentication, "who?");
    bench.advance(std::chrono::milliseconds{4'900});
    CHECK_FALSE(silent.is_closed());
    bench.advance(std::chrono::milliseconds{200});
    CHECK(silent.is_closed());
    CHECK(bench.host.auths_over == std::vector{silent.id()});

    AuthBench slow;
    slow.is_slow = true;
    Peer peer(slow);
    peer.connect(with_method());
    slow.advance(std::chrono::seconds{30});
    CHECK_FALSE(peer.is_closed());
    slow.admit(peer.id());
    CHECK(peer.connack().reason == R::success);
}

TEST_CASE(
    "[MQTT-3.15.2-2] [MQTT-3.15.2-3] AUTH leaves out a reason string that has no room or is not wanted, and "
    "has no user properties"
) {
    struct Row {
        std::uint32_t bytes_max;
        bool wants_text;
        std::string_view expected;
    };

    const std::size_t whole = [] {
        AuthBench bench;
        Peer peer(bench);
        peer.connect(with_method());
        return bench.host.out[peer.id()].size();
    }();
    const auto bytes = static_cast<std::uint32_t>(whole);
    for (const Row& row :
         {Row{0, true, "go on"}, Row{bytes, true, "go on"}, Row{bytes - 1, true, ""}, Row{0, false, ""}}) {
        AuthBench bench;
        Peer peer(bench);
        Connect packet = with_method();
        packet.packet_bytes_max = row.bytes_max;
        packet.request_problem_information = row.wants_text;
        peer.connect(packet);
        const Received received = take_auth(peer, R::continue_authentication, "who?");
        const auto auth = decode_auth(received.frame(), ProtocolVersion::v5, {});
        REQUIRE(auth.has_value());
        CHECK(auth->reason_text == row.expected);
    }
    AuthBench bench; // no room for AUTH at all [MQTT-3.1.2-24]
    Peer peer(bench);
    Connect packet = with_method();
    packet.packet_bytes_max = 20;
    peer.connect(packet);
    CHECK(peer.connack().reason == R::packet_too_large);
    CHECK(peer.is_closed());
    CHECK(bench.host.auths_over == std::vector{peer.id()});
}

TEST_CASE("[MQTT-4.12.1-1] [MQTT-4.12.0-5] a client that is up authenticates anew while messages flow on") {
    AuthBench bench;
    Peer peer(bench);
    join(peer);
    peer.subscribe("t", 1);
    for (int round = 0; round < 3; ++round) {
        peer.raw(auth_packet(R::re_authenticate, "hello"));
        take_auth(peer, R::continue_authentication, "again?");
        peer.publish("t", "x", 1, 1); // goes on meanwhile
        const std::uint16_t packet_id = peer.message().packet_id;
        peer.acked(PacketType::puback);
        peer.ack(PacketType::puback, packet_id);
        std::string principal;
        std::uint64_t user = 99;
        bench.host.judge = [&](const ConnView& who, const MessagePtr&, AckToken) {
            principal = who.principal;
            user = who.user;
            return Verdict::consumed;
        };
        peer.publish("u", "x");
        CHECK(principal == (round == 0 ? "first" : "second"));
        peer.raw(auth_packet(R::continue_authentication, "right"));
        take_auth(peer, R::success, "bye");
        peer.publish("u", "x");
        CHECK(principal == "second");
        CHECK(user == 7);
        bench.host.judge = nullptr;
    }
    CHECK(bench.broker.online("p"));
    bench.advance(std::chrono::seconds{30}); // their deadlines are over with them
    CHECK_FALSE(peer.is_closed());
    CHECK(bench.host.auths_over.empty());
}

TEST_CASE("[MQTT-4.12.1-2] a new authentication that fails ends the connection with DISCONNECT") {
    AuthBench bench;
    Peer wrong(bench);
    join(wrong);
    wrong.raw(auth_packet(R::re_authenticate));
    wrong.raw(auth_packet(R::continue_authentication, "wrong"));
    CHECK(wrong.goodbye() == R::not_authorized); // 0x86 is not in DISCONNECT's table
    CHECK(bench.host.downs.size() == 1);
    CHECK(bench.host.auths_over.empty());

    AuthBench full;
    Peer busy(full);
    join(busy);
    full.is_slow = true;
    busy.raw(auth_packet(R::re_authenticate));
    full.broker.refuse(busy.id(), R::quota_exceeded, "text", full.host.now);
    CHECK(busy.goodbye() == R::quota_exceeded);

    AuthBench none; // nothing is under way: nothing is refused
    Peer calm(none);
    join(calm);
    none.broker.refuse(calm.id(), R::not_authorized, {}, none.host.now);
    CHECK_FALSE(calm.is_closed());
}

TEST_CASE(
    "[MQTT-4.12.1-1] a new authentication with another method, a second one, or an answer to nothing ends "
    "the connection"
) {
    const Bytes anew = auth_packet(R::re_authenticate);
    const Bytes wrong[] = {
        auth_packet(R::re_authenticate, {}, "SCRAM-Y"),
        auth_packet(R::continue_authentication, "right"),
        auth_packet(R::success),
        anew + anew,
        anew + auth_packet(R::continue_authentication, "right", "SCRAM-Y"),
        anew + auth_packet(R::success, "right"),
    };
    for (const Bytes& packets : wrong) {
        AuthBench bench;
        Peer peer(bench);
        join(peer);
        peer.raw(packets);
        CHECK(peer.goodbye() == R::protocol_error);
        const bool is_under_way = packets.starts_with(anew);
        CHECK(bench.host.auths_over.size() == (is_under_way ? 1 : 0));
        CHECK(bench.host.downs.size() == 1);
    }
    AuthBench bench; // the host's turn is not the client's
    Peer peer(bench);
    join(peer);
    bench.is_slow = true;
    peer.raw(anew);
    CHECK_FALSE(peer.is_closed());
    peer.raw(auth_packet(R::continue_authentication, "right"));
    CHECK(peer.goodbye() == R::protocol_error);
}

TEST_CASE("a new authentication has its deadline and bounds, the host's time aside") {
    AuthBench bench;
    Peer peer(bench);
    join(peer);
    for (int i = 0; i < 3; ++i) { // a sooner one's deadline does not end a later one
        bench.advance(std::chrono::seconds{3});
        peer.raw(auth_packet(R::re_authenticate));
        take_auth(peer, R::continue_authentication, "again?");
        if (i < 2) {
            peer.raw(auth_packet(R::continue_authentication, "right"));
            take_auth(peer, R::success, "bye");
        }
    }
    bench.advance(std::chrono::milliseconds{4'900});
    CHECK_FALSE(peer.is_closed());
    bench.advance(std::chrono::milliseconds{1'200});
    CHECK(peer.goodbye() == R::not_authorized);
    CHECK(bench.host.auths_over == std::vector{peer.id()});

    AuthBench slow;
    Peer patient(slow);
    join(patient);
    slow.is_slow = true;
    patient.raw(auth_packet(R::re_authenticate));
    slow.advance(std::chrono::seconds{20});
    CHECK_FALSE(patient.is_closed());
    slow.broker.reauthenticated(patient.id(), "first", 1, {}, slow.host.now);
    take_auth(patient, R::success, {});
    slow.advance(std::chrono::seconds{20});
    CHECK_FALSE(patient.is_closed());

    AuthBench endless;
    Peer talker(endless);
    join(talker);
    talker.raw(auth_packet(R::re_authenticate));
    for (std::uint32_t i = 1; i < BrokerLimits{}.auth_rounds_max; ++i)
        talker.raw(auth_packet(R::continue_authentication, "more"));
    CHECK_FALSE(talker.is_closed());
    talker.raw(auth_packet(R::continue_authentication, "more"));
    CHECK(talker.goodbye() == R::quota_exceeded);

    AuthBench large; // too large to begin with: the host never hears of it, so it is not told of the end
    Peer shouting(large);
    join(shouting);
    shouting.raw(auth_packet(R::re_authenticate, Bytes(BrokerLimits{}.auth_bytes_max + 1, 'x')));
    CHECK(shouting.goodbye() == R::quota_exceeded);
    CHECK(large.host.auths.size() == 1);
    CHECK(large.host.auths_over.empty());
}

TEST_CASE("what the host says out of turn is not heard") {
    AuthBench bench;
    Peer peer(bench);
    const ConnId id = peer.id();
    bench.broker.continue_auth(id, "x", {}, bench.host.now); // before CONNECT
    peer.connect(with_method());
    take_auth(peer, R::continue_authentication, "who?");
    bench.broker.continue_auth(id, "x", {}, bench.host.now);
    bench.admit(id); // not proved
    bench.broker.reauthenticated(id, "x", 1, {}, bench.host.now);
    CHECK(peer.is_quiet());
    peer.raw(auth_packet(R::continue_authentication, "right"));
    CHECK(peer.connack().reason == R::success);
    bench.broker.continue_auth(id, "x", {}, bench.host.now);
    bench.broker.reauthenticated(id, "x", 1, {}, bench.host.now);
    CHECK(peer.is_quiet());
    peer.cut();
    bench.broker.continue_auth(id, "x", {}, bench.host.now);
    CHECK(bench.host.auths_over.empty());
}

TEST_CASE("[MQTT-4.12.0-6] [MQTT-4.12.0-7] a host with a method takes clients without one, and their AUTH is "
          "an error") {
    Bench bench;
    bench.host.auth_method = method;
    for (const R code : {R::success, R::continue_authentication, R::re_authenticate}) {
        Peer peer(bench);
        CHECK_FALSE(peer.join("p").has_auth_method);
        bench.broker.continue_auth(peer.id(), "x", {}, bench.host.now);
        CHECK(peer.is_quiet());
        peer.raw(auth_packet(code));
        CHECK(peer.goodbye() == R::protocol_error);
    }
    bench.host.answer_later = true;
    Peer waiting(bench);
    waiting.connect({});
    bench.broker.continue_auth(waiting.id(), "x", {}, bench.host.now);
    CHECK(waiting.is_quiet());
    CHECK(bench.host.auths.empty());
}

TEST_CASE("an exchange that a cut, a shutdown or a takeover ends is told to the host, once") {
    AuthBench bench;
    Peer cut(bench);
    cut.connect(with_method());
    cut.cut();
    CHECK(bench.host.auths_over == std::vector{cut.id()});

    Peer old(bench);
    join(old);
    old.raw(auth_packet(R::re_authenticate));
    bench.is_up = false;
    Peer young(bench);
    join(young);
    CHECK(old.is_closed());
    CHECK(bench.host.auths_over == std::vector{cut.id(), old.id()});
    young.raw(auth_packet(R::re_authenticate));
    bench.broker.shutdown(bench.host.now);
    CHECK(bench.host.auths_over == std::vector{cut.id(), old.id(), young.id()});
    CHECK(bench.broker.stats().connections == 0);
}
