#include "mqtt/codec.h"
#include "mqtt/tests/packets.h"

#include <doctest/doctest.h>

#include <string>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

Frame frame_of(ByteView bytes) {
    Framer framer(packet_bytes_format_max);
    ByteView rest = bytes;
    const auto frame = framer.next(rest);
    REQUIRE(frame.has_value());
    REQUIRE(frame->has_value());
    REQUIRE(rest.empty());
    return **frame;
}

} // namespace

TEST_CASE("what is encoded decodes to itself: every packet, every version, thousands of random values") {
    SeededRandom random(1);
    for (int round = 0; round < 20'000; ++round) {
        const Sample sample = random_sample(random);
        const auto again = reencode(frame_of(sample.bytes), sample.version, sample.from);
        if (!again)
            FAIL("round ", round, " type ", static_cast<int>(sample.type), ": ", again.error().cause);
        if (*again != sample.bytes)
            FAIL("round ", round, " type ", static_cast<int>(sample.type), " differs");
    }
}

TEST_CASE("[B-54] every truncated packet is refused") {
    SeededRandom random(2);
    std::size_t cuts = 0;
    for (int round = 0; round < 1'500; ++round) {
        const Sample sample = random_sample(random);
        const Frame whole = frame_of(sample.bytes);
        // The end of the payload, of a list or of an optional tail cannot be told from the packet's end: skip
        // those.
        for (std::size_t size = 0; size < whole.body.size(); ++size) {
            const Frame cut{whole.type, whole.flags, whole.body.substr(0, size)};
            const auto packet = reencode(cut, sample.version, sample.from);
            if (packet) {
                // Only what is a whole packet of its own may pass, and then it says exactly these bytes.
                const Frame seen = frame_of(*packet);
                const bool is_own = seen.body == cut.body || may_be_shorter(sample.type, sample.version);
                if (!is_own)
                    FAIL("type ", static_cast<int>(sample.type), " cut at ", size);
            }
            ++cuts;
        }
    }
    CHECK(cuts > 20'000);
}

TEST_CASE("no change of a single byte makes a decoder read outside or accept two spellings") {
    SeededRandom random(3);
    for (int round = 0; round < 30'000; ++round) {
        Sample sample = random_sample(random);
        const std::size_t at = random.below(sample.bytes.size());
        sample.bytes[at] = static_cast<char>(random.below(256));
        Framer framer(packet_bytes_format_max);
        ByteView rest = sample.bytes;
        const auto frame = framer.next(rest);
        if (!frame || !*frame)
            continue;
        const auto first = reencode(**frame, sample.version, sample.from);
        if (!first)
            continue;
        const auto second = reencode(frame_of(*first), sample.version, sample.from);
        REQUIRE(second.has_value());
        if (*first != *second)
            FAIL("unstable type ", static_cast<int>((*frame)->type));
    }
}

TEST_CASE("[B-54] a stream cut at any place gives the same packets") {
    SeededRandom random(4);
    for (int round = 0; round < 300; ++round) {
        Bytes stream;
        for (int i = 0; i < 6; ++i)
            stream += random_sample(random).bytes;
        const auto whole = packets_of(stream, {});
        CHECK(whole.size() == 6);
        for (std::size_t cut = 1; cut < stream.size(); ++cut) {
            if (packets_of(stream, {cut}) != whole)
                FAIL("cut at ", cut);
        }
        std::vector<std::size_t> single(stream.size() - 1);
        for (std::size_t i = 0; i < single.size(); ++i)
            single[i] = i + 1;
        CHECK(packets_of(stream, single) == whole);
    }
}

TEST_CASE("[B-53] lengths of every size are read at every split, five bytes never") {
    for (std::uint64_t bit = 0; bit <= 40; ++bit) {
        for (const std::int64_t near : {-1, 0, 1}) {
            const std::uint64_t value = (std::uint64_t{1} << bit) + static_cast<std::uint64_t>(near);
            Bytes bytes(1, '\x30');
            for (std::uint64_t rest = value;;) {
                const auto low = static_cast<unsigned char>(rest & 0x7F);
                rest >>= 7;
                bytes += static_cast<char>(rest != 0 ? low | 0x80 : low);
                if (rest == 0)
                    break;
            }
            for (std::size_t split = 0; split <= bytes.size(); ++split) {
                Framer framer(packet_bytes_format_max);
                ByteView first = ByteView(bytes).substr(0, split);
                ByteView second = ByteView(bytes).substr(split);
                auto result = framer.next(first);
                if (result && !*result)
                    result = framer.next(second);
                if (value == 0) {
                    CHECK(result.has_value());
                } else if (value <= 268'435'455) {
                    REQUIRE(result.has_value());
                    CHECK_FALSE(result->has_value());
                } else {
                    REQUIRE_FALSE(result.has_value());
                    CHECK(result.error().reason == ReasonCode::malformed_packet);
                }
            }
        }
    }
    const ByteView overlong[] = {
        ByteView("\xC0\x80\x00", 3), ByteView("\xC0\x80\x80\x00", 4), ByteView("\xC0\x81\x80\x80\x00", 5)
    };
    for (ByteView bytes : overlong) {
        Framer framer(1'000);
        const auto result = framer.next(bytes);
        REQUIRE_FALSE(result.has_value());
        CHECK(result.error().reason == ReasonCode::malformed_packet);
    }
}

TEST_CASE("[B-02] the size limit is judged from the header, on both sides, at every split") {
    for (const std::uint32_t body : {0u, 1u, 126u, 127u, 128u, 200u, 16'383u, 16'384u}) {
        Bytes bytes;
        put_u8(bytes, 0x30);
        put_varint(bytes, body);
        const auto whole = static_cast<std::uint32_t>(bytes.size() + body);
        for (std::size_t split = 0; split <= bytes.size(); ++split) {
            Framer tight(whole - 1);
            ByteView first = ByteView(bytes).substr(0, split);
            ByteView second = ByteView(bytes).substr(split);
            auto refused = tight.next(first);
            if (refused)
                refused = tight.next(second);
            REQUIRE_FALSE(refused.has_value());
            CHECK(refused.error().reason == ReasonCode::packet_too_large);

            Framer fits(whole);
            first = ByteView(bytes).substr(0, split);
            second = ByteView(bytes).substr(split);
            CHECK(fits.next(first).has_value());
            if (body != 0)
                CHECK(fits.next(second).has_value());
        }
    }
}

TEST_CASE("an idle framer holds nothing") {
    Framer framer(1'000);
    CHECK(framer.idle());
    ByteView bytes("\xC0", 1);
    CHECK(framer.next(bytes).has_value());
    CHECK_FALSE(framer.idle());
    bytes = ByteView("\x00", 1);
    const auto frame = framer.next(bytes);
    REQUIRE(frame.has_value());
    REQUIRE(frame->has_value());
    bytes = {};
    CHECK(framer.next(bytes).has_value());
    CHECK(framer.idle());
}

TEST_CASE("a packet id is patched where encode_publish says it is") {
    Publish packet;
    packet.topic = "a/b";
    packet.payload = "x";
    packet.qos = 1;
    packet.packet_id = 1;
    for (const ProtocolVersion version : {ProtocolVersion::v311, ProtocolVersion::v5}) {
        Bytes first;
        const std::size_t offset = encode_publish(first, packet, version);
        patch_packet_id(first, offset, 0xABCD);
        packet.packet_id = 0xABCD;
        Bytes second;
        encode_publish(second, packet, version);
        CHECK(first == second);
        packet.packet_id = 1;
    }
}

TEST_CASE("reason codes have names and go to 3.1.1 return codes and back") {
    CHECK(reason_text(ReasonCode::packet_too_large) == "packet too large");
    CHECK(reason_text(static_cast<ReasonCode>(0x7F)) == "unknown reason");
    for (std::uint8_t code = 0; code <= 5; ++code)
        CHECK(connack_return_code(reason_from_return_code(code)) == code);
    CHECK(connack_return_code(ReasonCode::banned) == 5);
    CHECK(connack_return_code(ReasonCode::server_busy) == 3);
}
