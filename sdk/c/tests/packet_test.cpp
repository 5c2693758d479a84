extern "C" {
#include "packet.h"
}

#include <doctest/doctest.h>

#include <random>
#include <string>

namespace {

long read_text(std::string_view bytes, packet& out, std::size_t size_max = 1'000) {
    return packet_read(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), size_max, &out);
}

std::string taken(brim_bytes& bytes) {
    REQUIRE_FALSE(bytes.failed);
    std::string text(reinterpret_cast<const char*>(bytes.data), bytes.size);
    brim_bytes_free(&bytes);
    return text;
}

using namespace std::string_literals;

const std::string connack = "\x20\x06\x00\x00\x03\x21\x00\x14"s;
const std::string publish = "\x32\x0a\x00\x03"
                            "a/b\x00\x07\x00hi"s;

} // namespace

TEST_CASE("[sdk-packet-1] what is sent are the bytes of the standard") {
    brim_bytes out{};
    packet_connect(&out, "d", "pw", 30, 0x00040000);
    CHECK(
        taken(out) == "\x10\x1a\x00\x04MQTT\x05\xc2\x00\x1e\x05\x27\x00\x04\x00\x00\x00\x01"
                      "d\x00\x01"
                      "d\x00\x02pw"s
    );
    packet_connect(&out, "d", nullptr, 30, 0x00040000);
    CHECK(
        taken(out) == "\x10\x16\x00\x04MQTT\x05\x82\x00\x1e\x05\x27\x00\x04\x00\x00\x00\x01"
                      "d\x00\x01"
                      "d"s
    );
    const char* const filters[] = {"a/#", "b"};
    packet_subscribe(&out, 0x0102, filters, 2);
    CHECK(
        taken(out) == "\x82\x0d\x01\x02\x00\x00\x03"
                      "a/#\x05\x00\x01"
                      "b\x05"s
    );
    packet_publish(&out, 7, "a/b", "hi", 2);
    CHECK(taken(out) == publish);
    packet_publish(&out, 0, "a/b", "hi", 2);
    CHECK(
        taken(out) == "\x30\x08\x00\x03"
                      "a/b\x00hi"s
    );
    const std::string big(200, 'x');
    packet_publish(&out, 0, "t", big.data(), big.size());
    CHECK(taken(out).substr(0, 3) == "\x30\xcc\x01"s);
}

TEST_CASE("[sdk-packet-2] what a broker sends is read, and every truncated prefix asks for more") {
    packet in;
    CHECK(read_text(connack, in) == static_cast<long>(connack.size()));
    CHECK(in.type == PACKET_CONNACK);
    CHECK(in.receive_max == 20);
    CHECK(read_text(publish, in) == static_cast<long>(publish.size()));
    CHECK(in.packet_id == 7);
    CHECK(std::string(in.topic.text, in.topic.size) == "a/b");
    CHECK(std::string(in.payload.text, in.payload.size) == "hi");
    CHECK(read_text("\x40\x02\x00\x05"s, in) == 4);
    CHECK(in.reason == 0);
    CHECK(read_text("\x40\x03\x00\x05\x97"s, in) == 5);
    CHECK(in.reason == 0x97);
    CHECK(read_text("\x90\x06\x00\x05\x00\x01\x87\x01"s, in) == 8);
    CHECK(in.reason == 0x87);
    CHECK(read_text("\xd0\x00"s, in) == 2);
    CHECK(read_text("\xe0\x02\x8e\x00"s, in) == 4);
    CHECK(in.reason == 0x8e);
    for (const std::string& whole : {connack, publish}) {
        for (std::size_t size = 0; size < whole.size(); ++size)
            CHECK(read_text(whole.substr(0, size), in) == 0);
    }
}

TEST_CASE("[sdk-packet-3] what no broker may send is refused") {
    packet in;
    for (const std::string& bad : {
             "\x10\x00"s, // CONNECT
             "\xf0\x00"s, // AUTH
             "\x34\x0a\x00\x03"
             "a/b\x00\x07\x00hi"s, // QoS 2
             "\x32\x0a\x00\x03"
             "a/b\x00\x00\x00hi"s, // packet id 0
             "\x32\x0a\x00\x30"
             "a/b\x00\x07\x00hi"s,                // topic longer than the packet
             "\x20\x06\x00\x00\x03\x21\x00\x00"s, // Receive Maximum 0
             "\x20\x04\x00\x00\x01\x7f"s,         // no such property
             "\x20\x03\x00\x00\x05"s,             // properties behind the end
             "\x40\x01\x00"s,                     // half a packet id
             "\xd0\x01\x00"s,                     // bytes left over
             "\x30\xff\xff\xff\xff\x01"s,         // length of five digits
         }) {
        CAPTURE(bad);
        CHECK(read_text(bad, in) == -1);
    }
    CHECK(read_text(publish, in, publish.size()) > 0);
    CHECK(read_text(publish, in, publish.size() - 1) == -1);
}

TEST_CASE("[sdk-packet-4] random bytes never lead outside of the buffer") {
    std::mt19937 random(7); // run under the address sanitizer
    for (int i = 0; i < 20'000; ++i) {
        std::string bytes = i % 2 == 0 ? publish : connack;
        for (int k = 0; k < 3; ++k)
            bytes[random() % bytes.size()] = static_cast<char>(random());
        packet in;
        const long size = read_text(bytes, in);
        CHECK(size <= static_cast<long>(bytes.size()));
        if (size > 0 && in.type == PACKET_PUBLISH)
            CHECK(in.topic.size + in.payload.size <= bytes.size());
    }
}
