#include "registers.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <limits>

using namespace brim;
using namespace brim::modbus;
using Registers = std::vector<std::uint16_t>;

namespace {

Encoding of(RawType type, bool swap = false, bool reverse = false, double scaling = 1) {
    return {type, register_count_of(type), swap, reverse, scaling};
}

Encoding bytes(RawType type, std::uint16_t count) {
    return {type, count, false, false, 1};
}

Registers encoded(const Encoding& encoding, const Value& value) {
    auto out = encode(encoding, value);
    REQUIRE_MESSAGE(out.has_value(), (out ? std::string() : out.error().text()));
    return *std::move(out);
}

Value decoded(const Encoding& encoding, const Registers& registers) {
    auto out = decode(encoding, registers);
    REQUIRE(out.has_value());
    return *std::move(out);
}

bool refused(const Encoding& encoding, const Value& value) {
    const auto out = encode(encoding, value);
    return !out && out.error().code == Errc::invalid;
}

constexpr std::int64_t whole(std::int64_t value) {
    return value;
}

} // namespace

TEST_CASE("[modbus-1] the interface's vectors: byte swap, register order, scaling") {
    CHECK(encoded(of(RawType::int16), whole(12345)) == Registers{0x3039});
    CHECK(encoded(of(RawType::int16, true), whole(12345)) == Registers{0x3930});
    CHECK(decoded(of(RawType::int16, true), {0x3930}) == Value(whole(12345)));
    const std::int64_t number = 0x1234567890ABCDEF;
    CHECK(encoded(of(RawType::int64), number) == Registers{0x1234, 0x5678, 0x90AB, 0xCDEF});
    CHECK(encoded(of(RawType::int64, false, true), number) == Registers{0xCDEF, 0x90AB, 0x5678, 0x1234});
    CHECK(decoded(of(RawType::int64, false, true), {0xCDEF, 0x90AB, 0x5678, 0x1234}) == Value(number));
    CHECK(decoded(of(RawType::int64, true, true), {0xEFCD, 0xAB90, 0x7856, 0x3412}) == Value(number));
    const Encoding hundredth = of(RawType::int16, false, false, 0.01);
    CHECK(decoded(hundredth, {1234}) == Value(12.34));
    CHECK(encoded(hundredth, Value(12.34)) == Registers{1234});
    CHECK(decoded(of(RawType::int16, false, false, 0.1), {0xffff}) == Value(-0.1));
}

TEST_CASE("[modbus-2] every type fits its registers on both sides of its limits") {
    struct Row {
        RawType type;
        std::int64_t low, high;
    };

    for (const Row& row : {
             Row{RawType::int16, -32'768, 32'767},
             Row{RawType::uint16, 0, 65'535},
             Row{RawType::int32, -2'147'483'648, 2'147'483'647},
             Row{RawType::uint32, 0, 4'294'967'295},
         }) {
        CAPTURE(static_cast<int>(row.type));
        CHECK(decoded(of(row.type), encoded(of(row.type), row.low)) == Value(row.low));
        CHECK(decoded(of(row.type), encoded(of(row.type), row.high)) == Value(row.high));
        CHECK(refused(of(row.type), whole(row.low - 1)));
        CHECK(refused(of(row.type), whole(row.high + 1)));
        CHECK(refused(of(row.type), Value(std::string("1"))));
        CHECK(refused(of(row.type), Value(static_cast<double>(row.high) + 0.6)));
    }
    using Limits = std::numeric_limits<std::int64_t>;
    CHECK(decoded(of(RawType::int64), encoded(of(RawType::int64), Limits::min())) == Value(Limits::min()));
    CHECK(decoded(of(RawType::int64), encoded(of(RawType::int64), Limits::max())) == Value(Limits::max()));
    CHECK(refused(of(RawType::int64), Value(9.3e18)));
    CHECK(refused(of(RawType::uint64), whole(-1)));
    CHECK(refused(of(RawType::uint64), Value(1.9e19)));
    CHECK(decoded(of(RawType::uint64), {0xffff, 0xffff, 0xffff, 0xffff}) == Value(1.8446744073709552e19));
    CHECK(encoded(of(RawType::boolean), whole(1)) == Registers{1});
    CHECK(refused(of(RawType::boolean), whole(2)));
    CHECK(decoded(of(RawType::boolean), {0}) == Value(whole(0)));
}

TEST_CASE("[modbus-3] floats are read as people wrote them, and what is no number is no value") {
    CHECK(decoded(of(RawType::float32), {0x41AA, 0x6666}) == Value(21.3));
    CHECK(encoded(of(RawType::float32), Value(21.3)) == Registers{0x41AA, 0x6666});
    CHECK(decoded(of(RawType::float32, false, true), {0x6666, 0x41AA}) == Value(21.3));
    CHECK(decoded(of(RawType::float64), encoded(of(RawType::float64), Value(-1e300))) == Value(-1e300));
    CHECK_FALSE(decode(of(RawType::float32), Registers{0x7FC0, 0}).has_value());
    CHECK_FALSE(decode(of(RawType::float32), Registers{0x7F80, 0}).has_value());
    CHECK(refused(of(RawType::float32), Value(1e39)));
    CHECK(refused(of(RawType::float32), Value(std::numeric_limits<double>::infinity())));
}

TEST_CASE("[modbus-4] texts end at a zero and fit their registers; custom bytes are hex") {
    CHECK(decoded(bytes(RawType::text, 3), {0x4142, 0x4300, 0x5858}) == Value(std::string("ABC")));
    CHECK(encoded(bytes(RawType::text, 2), Value(std::string("abc"))) == Registers{0x6162, 0x6300});
    CHECK(refused(bytes(RawType::text, 2), Value(std::string("abcde"))));
    CHECK_FALSE(decode(bytes(RawType::text, 1), Registers{0xff41}).has_value());
    CHECK(decoded(bytes(RawType::custom, 2), {0xDEAD, 0x0001}) == Value(std::string("dead0001")));
    CHECK(encoded(bytes(RawType::custom, 2), Value(std::string("DEAD00"))) == Registers{0xDEAD, 0x0000});
    CHECK(refused(bytes(RawType::custom, 2), Value(std::string("xyz"))));
    CHECK(refused(bytes(RawType::custom, 1), Value(std::string("deadbe"))));
}

TEST_CASE("[modbus-6] bits of a register are a value of their own") {
    Encoding range = of(RawType::uint16);
    range.bit_offset = 4;
    range.bit_count = 6;
    CHECK(mask_of(range) == 0x03f0);
    CHECK(decoded(range, {0xfeaf}) == Value(whole(0x2a)));
    CHECK(encoded(range, whole(63)) == Registers{0x03f0});
    CHECK(refused(range, whole(64)));
    CHECK(refused(range, whole(-1)));
    range.swap_bytes = true;
    CHECK(mask_of(range) == 0xf003);
    CHECK(decoded(range, {0xaffe}) == Value(whole(0x2a)));
    CHECK(encoded(range, whole(63)) == Registers{0xf003});
    range = of(RawType::uint16, false, false, 0.5);
    range.bit_count = 16;
    CHECK(mask_of(range) == 0xffff);
    CHECK(decoded(range, {0xffff}) == Value(32'767.5));
    CHECK(encoded(range, Value(32'767.5)) == Registers{0xffff});
    Encoding top = of(RawType::boolean);
    top.bit_offset = 15;
    top.bit_count = 1;
    CHECK(decoded(top, {0x7fff}) == Value(whole(0)));
    CHECK(decoded(top, {0x8000}) == Value(whole(1)));
    CHECK(encoded(top, whole(1)) == Registers{0x8000});
    CHECK(refused(top, whole(2)));
}

TEST_CASE("[modbus-5] any number comes back through any arrangement") {
    const bool held = rc::check("round trip", [](std::int32_t number, bool swap, bool reverse) {
        const Encoding encoding = of(RawType::int32, swap, reverse);
        const auto registers = encode(encoding, Value(std::int64_t{number}));
        RC_ASSERT(registers.has_value());
        RC_ASSERT(*decode(encoding, *registers) == Value(std::int64_t{number}));
        const Encoding scaled = of(RawType::int32, swap, reverse, 0.001);
        const auto value = decode(scaled, *registers);
        RC_ASSERT(*encode(scaled, *value) == *registers);
    });
    CHECK(held);
}
