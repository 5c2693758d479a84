#include "mqtt/client.h"

#include "mqtt/tests/client_bench.h"
#include "mqtt/tests/packets.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

constexpr ProtocolVersion client_versions[] = {ProtocolVersion::v311, ProtocolVersion::v5};

} // namespace

TEST_CASE("a publish is settled once by its acknowledgement, with its reason") {
    Line line;
    line.up();
    CHECK(line.client.publish(to("a"), 1, line.now).has_value());
    CHECK(line.client.publish(to("a"), 2, line.now).has_value());
    CHECK(line.client.publish(to("a", 0), 3, line.now).has_value());
    CHECK(line.client.inflight() == 2);
    const std::uint16_t first = line.take_publish().packet_id;
    const std::uint16_t second = line.take_publish().packet_id;
    line.ack(PacketType::puback, second, ReasonCode::not_authorized);
    line.ack(PacketType::puback, first);
    line.ack(PacketType::puback, first);
    CHECK(line.host.settled == std::map<PublishTag, int>{{1, 1}, {2, 1}});
    CHECK(line.host.reasons[2] == ReasonCode::not_authorized);
    CHECK(line.client.inflight() == 0);
}

TEST_CASE("QoS 2 is settled by PUBCOMP and resumes in each half") {
    for (const ProtocolVersion version : client_versions) {
        for (const bool has_pubrec : {false, true}) {
            Line line(version);
            line.up();
            CHECK(line.client.publish(to("a", 2), 7, line.now).has_value());
            const std::uint16_t id = line.take_publish().packet_id;
            if (has_pubrec) {
                line.ack(PacketType::pubrec, id);
                CHECK(line.take_ack(PacketType::pubrel).packet_id == id);
            }
            line.client.closed(line.now);
            line.up(true);
            if (!has_pubrec) {
                const Publish again = line.take_publish();
                CHECK(again.packet_id == id);
                CHECK(again.dup);
                line.ack(PacketType::pubrec, id);
            }
            CHECK(line.take_ack(PacketType::pubrel).packet_id == id);
            CHECK(line.host.settled.empty());
            line.ack(PacketType::pubcomp, id);
            CHECK(line.host.settled[7] == 1);
        }
    }
}

TEST_CASE("a server that forgot the session gets in-flight messages as new ones") {
    Line line;
    line.up();
    CHECK(line.client.publish(to("a"), 1, line.now).has_value());
    CHECK(line.client.publish(to("a", 2), 2, line.now).has_value());
    line.take();
    const std::uint16_t id = line.take_publish().packet_id;
    line.ack(PacketType::pubrec, id);
    line.take();
    line.client.closed(line.now);
    CHECK(line.client.inflight() == 2);
    CHECK_FALSE(line.client.publish(to("a"), 3, line.now).has_value());
    line.up(false);
    CHECK(line.host.settled == std::map<PublishTag, int>{{2, 1}}); // PUBREC had come: it is delivered
    const Publish again = line.take_publish();
    CHECK_FALSE(again.dup);
    line.ack(PacketType::puback, again.packet_id);
    CHECK(line.host.settled[1] == 1);
}

TEST_CASE("the quota is the smaller of both sides' limits, and busy beyond it") {
    ClientOptions options;
    options.inflight_max = 10;
    Line line(ProtocolVersion::v5, options);
    CHECK(line.client.quota() == 0);
    Connack connack;
    connack.receive_maximum = 3;
    line.up(false, connack);
    CHECK(line.client.quota() == 3);
    for (PublishTag tag = 1; tag <= 3; ++tag)
        CHECK(line.client.publish(to("a"), tag, line.now).has_value());
    const auto busy = line.client.publish(to("a"), 4, line.now);
    REQUIRE_FALSE(busy.has_value());
    CHECK(busy.error().code == Errc::busy);
    CHECK(line.client.publish(to("a", 0), 5, line.now).has_value());
    for (std::uint32_t id = 4; id < 65'536; ++id)
        line.ack(PacketType::puback, static_cast<std::uint16_t>(id));
    CHECK(line.client.quota() == 0); // [B-27] strays do not open it
    line.ack(PacketType::puback, 1);
    CHECK(line.client.quota() == 1);
}

TEST_CASE("what the server does not take is refused at home") {
    Line line;
    Connack connack;
    connack.qos_max = 1;
    connack.retain_available = false;
    connack.packet_bytes_max = 20;
    line.up(false, connack);
    CHECK(line.client.publish(to("a", 2), 1, line.now).error().code == Errc::unsupported);
    Message retained = to("a");
    retained.retain = true;
    CHECK(line.client.publish(retained, 1, line.now).error().code == Errc::unsupported);
    Message big = to("a");
    big.payload = Bytes(12, 'x'); // 2 + 2 + 1 + 2 + 1 + 12
    CHECK(line.client.publish(big, 1, line.now).has_value());
    big.payload += 'x';
    CHECK(line.client.publish(big, 2, line.now).error().code == Errc::too_large);
    CHECK(line.client.publish(to("a/#"), 2, line.now).error().code == Errc::invalid);
}

TEST_CASE("abandon forgets without settling, and late acknowledgements hit nothing") {
    Line line;
    line.up();
    CHECK(line.client.publish(to("a"), 1, line.now).has_value());
    const std::uint16_t old = line.take_publish().packet_id;
    line.client.abandon();
    CHECK(line.client.inflight() == 0);
    CHECK(line.client.publish(to("a"), 2, line.now).has_value());
    line.ack(PacketType::puback, old);
    CHECK(line.host.settled.empty());
    line.ack(PacketType::puback, line.take_publish().packet_id);
    CHECK(line.host.settled == std::map<PublishTag, int>{{2, 1}});
}

TEST_CASE("messages are acknowledged in their order, when the host says so") {
    Line line;
    line.up();
    line.host.acknowledges = false;
    line.publish(1, 11);
    line.publish(2, 12);
    line.client.acknowledge(12, line.now);
    CHECK(line.host.out.empty());
    line.client.acknowledge(11, line.now);
    CHECK(line.take_ack(PacketType::puback).packet_id == 11);
    CHECK(line.take_ack(PacketType::pubrec).packet_id == 12);
    line.publish(2, 12);
    CHECK(line.host.messages.size() == 2);
    CHECK(line.take_ack(PacketType::pubrec).packet_id == 12);
    line.ack(PacketType::pubrel, 12);
    CHECK(line.take_ack(PacketType::pubcomp).packet_id == 12);
    line.publish(2, 12);
    CHECK(line.host.messages.size() == 3);
}

TEST_CASE("a server over our Receive Maximum is left") {
    ClientOptions options;
    options.receive_maximum = 2;
    Line line(ProtocolVersion::v5, options);
    line.up();
    line.host.acknowledges = false;
    line.publish(1, 1);
    line.publish(1, 2);
    CHECK(line.host.closes.empty());
    line.publish(1, 3);
    CHECK(line.host.closes.size() == 1);
    CHECK_FALSE(line.client.connected());
}

TEST_CASE("QoS 2 messages of an earlier connection do not count for our Receive Maximum") {
    ClientOptions options;
    options.receive_maximum = 2;
    Line line(ProtocolVersion::v5, options);
    line.up();
    line.publish(2, 3);
    line.publish(2, 4);
    line.client.closed(line.now);
    line.host.out.clear();
    line.up(true);
    // Our acknowledgements of these were lost with the server's process: it begins again before 3 and 4.
    line.publish(1, 1);
    line.publish(1, 2);
    CHECK(line.take_ack(PacketType::puback).packet_id == 1);
    CHECK(line.take_ack(PacketType::puback).packet_id == 2);
    line.publish(2, 3);
    line.publish(2, 4);
    CHECK(line.take_ack(PacketType::pubrec).packet_id == 3);
    CHECK(line.take_ack(PacketType::pubrec).packet_id == 4);
    CHECK(line.host.messages.size() == 4);
    CHECK(line.host.closes.empty());
    line.publish(1, 5);
    CHECK(line.host.closes.size() == 1);
}

TEST_CASE("[B-57] a QoS 2 message that comes again before its PUBREC is the same message") {
    Line line;
    line.up();
    line.host.acknowledges = false;
    line.publish(2, 3);
    line.publish(2, 3);
    CHECK(line.host.messages.size() == 1);
    CHECK(line.host.out.empty());
    line.client.acknowledge(3, line.now);
    CHECK(line.take_ack(PacketType::pubrec).packet_id == 3);
    CHECK(line.host.out.empty());
    line.ack(PacketType::pubrel, 3);
    CHECK(line.take_ack(PacketType::pubcomp).packet_id == 3);
    line.publish(2, 3);
    CHECK(line.host.messages.size() == 2);
}

TEST_CASE("[B-57] a server that releases what has no PUBREC yet is left") {
    Line line;
    line.up();
    line.host.acknowledges = false;
    line.publish(2, 3);
    line.ack(PacketType::pubrel, 3);
    REQUIRE(line.host.closes.size() == 1);
    CHECK(line.host.closes[0].code == Errc::malformed);
}

TEST_CASE("a QoS 2 message that waits for one before it counts once for our Receive Maximum") {
    ClientOptions options;
    options.receive_maximum = 4;
    Line line(ProtocolVersion::v5, options);
    line.up();
    line.host.acknowledges = false;
    line.publish(1, 1); // the host takes its time
    line.host.acknowledges = true;
    line.publish(2, 2);
    line.publish(2, 3);
    line.publish(2, 4);
    CHECK(line.host.closes.empty());
    CHECK(line.host.messages.size() == 4);
    line.publish(2, 5);
    CHECK(line.host.closes.size() == 1);
}

TEST_CASE("a clean start forgets what was received even when its CONNACK is lost") {
    ClientOptions options;
    options.session_expiry_s = 100;
    options.client_id = "c";
    options.clean_start = true;
    Line line(options);
    line.up_as_is();
    line.publish(2, 7);
    line.client.closed(line.now);
    line.client.connect(line.now); // a new session begins, and nobody says so
    line.client.closed(line.now);
    line.host.out.clear();
    options.clean_start = false;
    line.client.set_options(options);
    line.up(true);
    line.publish(2, 7);
    CHECK(line.host.messages.size() == 2);
}

TEST_CASE("keep-alive: PINGREQ when due, timeout when it is not answered") {
    ClientOptions options;
    options.keepalive_s = 10;
    Line line(ProtocolVersion::v311, options);
    line.up();
    CHECK(line.client.tick(line.now) == line.now + std::chrono::seconds{10});
    line.now += std::chrono::seconds{10};
    CHECK(line.client.tick(line.now) == line.now + std::chrono::seconds{5});
    CHECK(line.take().type == PacketType::pingreq);
    line.client.data(ByteView("\xD0\x00", 2), line.now);
    line.now += std::chrono::seconds{10};
    line.client.tick(line.now);
    CHECK(line.take().type == PacketType::pingreq);
    line.now += std::chrono::milliseconds{4'999};
    line.client.tick(line.now);
    CHECK(line.host.closes.empty());
    line.now += std::chrono::milliseconds{1};
    line.client.tick(line.now);
    REQUIRE(line.host.closes.size() == 1);
    CHECK(line.host.closes[0].code == Errc::timeout);
}

TEST_CASE("[F-21] a silent server is asked after one keep-alive, also while publishes go out") {
    ClientOptions options;
    options.keepalive_s = 10;
    Line line(ProtocolVersion::v5, options);
    line.up();
    Message message;
    message.topic = "t";
    for (int second = 1; second < 10; ++second) {
        line.now += std::chrono::seconds{1};
        REQUIRE(line.client.publish(message, 0, line.now));
        CHECK(line.take().type == PacketType::publish);
        line.client.tick(line.now);
        CHECK(line.host.out.empty());
    }
    line.now += std::chrono::seconds{1};
    line.client.tick(line.now);
    CHECK(line.take().type == PacketType::pingreq);
    REQUIRE(line.client.publish(message, 0, line.now));
    line.now += std::chrono::seconds{5};
    line.client.tick(line.now);
    REQUIRE(line.host.closes.size() == 1);
    CHECK(line.host.closes[0].code == Errc::timeout);
}

TEST_CASE("no CONNACK in time is a timeout; a refusal tells why") {
    Line line;
    line.client.connect(line.now);
    line.now += std::chrono::milliseconds{9'999};
    line.client.tick(line.now);
    CHECK(line.host.closes.empty());
    line.now += std::chrono::milliseconds{1};
    line.client.tick(line.now);
    REQUIRE(line.host.closes.size() == 1);
    CHECK(line.host.closes[0].code == Errc::timeout);
    line.client.connect(line.now);
    Connack connack;
    connack.reason = ReasonCode::bad_user_name_or_password;
    connack.reason_text = "clock";
    Bytes bytes;
    encode_connack(bytes, connack, ProtocolVersion::v5);
    line.client.data(bytes, line.now);
    REQUIRE(line.host.closes.size() == 2);
    CHECK(line.host.closes[1].code == Errc::unauthenticated);
    CHECK(line.host.closes[1].cause.find("clock") != std::string::npos);
}

TEST_CASE("[B-57] SUBACK must answer what was asked: no fewer, no more, nothing unasked") {
    for (const ProtocolVersion version : client_versions) {
        for (const std::size_t answers : {0, 1, 2, 3}) {
            Line line(version);
            line.up();
            CHECK(line.client.subscribe({{"a", 1}, {"b", 0}}, line.now).has_value());
            const auto request = decode_subscribe(line.take(), version, {});
            REQUIRE(request.has_value());
            Suback suback;
            suback.packet_id = request->packet_id;
            suback.reasons.assign(answers, ReasonCode::granted_qos1);
            Bytes bytes;
            encode_suback(bytes, suback, version);
            line.client.data(bytes, line.now);
            CHECK(line.host.closes.size() == (answers == 2 ? 0u : 1u));
            CHECK(line.host.subscribed.size() == (answers == 2 ? 2u : 0u));
        }
        Line line(version);
        line.up();
        line.client.data(
            version == ProtocolVersion::v5 ? ByteView("\x90\x04\0\1\0\0", 6) : ByteView("\x90\x03\0\1\0", 5),
            line.now
        );
        CHECK(line.host.closes.size() == 1);
    }
}

TEST_CASE("[B-55] [B-57] each of the 16 packet types before and after CONNACK, and random ones, from a "
          "hostile server") {
    SeededRandom random(55);
    for (int round = 0; round < 4'000; ++round) {
        const ProtocolVersion version = client_versions[random.below(2)];
        Line line(version);
        const bool is_up = random.below(2) == 1;
        if (is_up) {
            line.up();
            CHECK(line.client.publish(to("a"), 1, line.now).has_value());
            CHECK(line.client.subscribe({{"a", 1}}, line.now).has_value());
        } else {
            line.client.connect(line.now);
        }
        const Sample sample = random_sample(random);
        Bytes bytes = sample.bytes;
        if (round < 32)
            bytes = Bytes{static_cast<char>(round % 16 << 4), '\0'};
        if (round % 3 == 0)
            bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
        for (const char byte : bytes)
            line.client.data(ByteView(&byte, 1), line.now);
        const auto type = static_cast<PacketType>(static_cast<unsigned char>(bytes[0]) >> 4);
        const bool is_only_client = type == PacketType::connect || type == PacketType::subscribe ||
                                    type == PacketType::unsubscribe || type == PacketType::pingreq;
        if (is_up && is_only_client && bytes.size() > 1 &&
            static_cast<unsigned char>(bytes[1]) + 2u == bytes.size()) {
            CHECK(line.host.closes.size() == 1);
        }
        CHECK(line.host.closes.size() <= 1);
        line.client.closed(line.now);
        line.client.connect(line.now);
    }
}

TEST_CASE("a packet over the client's limit ends the connection from its header") {
    ClientOptions options;
    options.packet_bytes_max = 1'000;
    Line line(ProtocolVersion::v5, options);
    line.up();
    line.client.data(ByteView("\x30\xE5\x07", 3), line.now); // 3 + 997
    CHECK(line.host.closes.empty());
    line.client.closed(line.now);
    line.up();
    line.client.data(ByteView("\x30\xE6\x07", 3), line.now);
    REQUIRE(line.host.closes.size() == 1);
    CHECK(line.host.closes[0].code == Errc::too_large);
}

TEST_CASE("a server may end the connection with a reason, and a client with DISCONNECT") {
    Line line;
    line.up();
    line.client.data(ByteView("\xE0\x01\x8B", 3), line.now);
    REQUIRE(line.host.closes.size() == 1);
    CHECK(line.host.closes[0].code == Errc::unavailable);
    line.up();
    line.client.disconnect(ReasonCode::normal_disconnection, line.now);
    CHECK(line.take().type == PacketType::disconnect);
    CHECK_FALSE(line.client.connected());
    line.client.data(ByteView("\xD0\x00", 2), line.now);
}

TEST_CASE("a client that changes version keeps its messages") {
    Line line(ProtocolVersion::v5);
    line.up();
    Message message = to("a");
    message.content_type = "text/plain";
    CHECK(line.client.publish(message, 1, line.now).has_value());
    line.take();
    line.client.closed(line.now);
    ClientOptions options;
    options.version = ProtocolVersion::v311;
    options.client_id = "c";
    options.clean_start = false;
    line.client.set_options(options);
    line.version_ = ProtocolVersion::v311;
    line.up(true);
    const Publish again = line.take_publish();
    CHECK(again.topic == "a");
    CHECK(again.payload == "x");
    CHECK(again.dup);
}
