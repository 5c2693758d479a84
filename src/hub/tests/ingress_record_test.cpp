#include "hub/ingress_record.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

using namespace brim;
using namespace brim::hub;

namespace {

IngressRecord random_record() {
    IngressRecord record;
    record.kind = *rc::gen::element(RecordKind::values, RecordKind::event, RecordKind::settle);
    record.device = *rc::gen::inRange<DeviceId>(1, 1'000'000);
    record.received_ms = *rc::gen::arbitrary<std::int64_t>();
    record.replay = *rc::gen::arbitrary<bool>();
    record.history = *rc::gen::arbitrary<bool>();
    if (*rc::gen::arbitrary<bool>()) {
        record.gateway = *rc::gen::inRange<DeviceId>(1, 1'000);
        record.store = "0123456789abcdef0123456789abcdef";
        record.seq = *rc::gen::arbitrary<std::uint64_t>();
        record.low = *rc::gen::arbitrary<std::uint64_t>();
    }
    const int count = *rc::gen::inRange(0, 5);
    for (int i = 0; i < count; ++i) {
        IngressSample sample;
        sample.property = *rc::gen::inRange(0, 1'000);
        sample.time_ms = *rc::gen::arbitrary<std::int64_t>();
        switch (*rc::gen::inRange(0, 4)) {
        case 0:
            sample.value.data = *rc::gen::arbitrary<std::int64_t>();
            break;
        case 1:
            sample.value.data = 0.5 * *rc::gen::inRange(-1'000, 1'000);
            break;
        case 2:
            sample.value.data = *rc::gen::arbitrary<std::string>();
            break;
        default:
            sample.value.data = thing::Value::Composite{R"({"a":1})"};
        }
        record.samples.push_back(std::move(sample));
    }
    return record;
}

IngressRecord run_record() {
    IngressRecord record;
    record.kind = RecordKind::run;
    record.device = record.gateway = 7;
    record.received_ms = 1'700'000'000'000;
    record.store = "0123456789abcdef0123456789abcdef";
    record.seq = 4;
    record.low = 2;
    record.run = "fedcba9876543210";
    return record;
}

} // namespace

TEST_CASE("an ingress record comes back as it went in") {
    CHECK(rc::check("round trip", [] {
        const IngressRecord record = random_record();
        Bytes bytes;
        encode_record(record, bytes);
        const auto decoded = decode_record(bytes);
        RC_ASSERT(decoded.has_value());
        RC_ASSERT(*decoded == record);
    }));
}

TEST_CASE("every truncated ingress record is refused") {
    CHECK(rc::check("prefixes", [] {
        Bytes bytes;
        encode_record(random_record(), bytes);
        for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
            RC_ASSERT(!decode_record(ByteView(bytes).substr(0, cut)).has_value());
        }
        RC_ASSERT(!decode_record(bytes + "x").has_value());
    }));
}

TEST_CASE("a record of a newer form is refused as unsupported, not as corrupt") {
    Bytes bytes;
    encode_record({}, bytes);
    bytes[0] = 4;
    const auto decoded = decode_record(bytes);
    REQUIRE(!decoded.has_value());
    CHECK(decoded.error().code == Errc::unsupported);
}

TEST_CASE("a record without the history flag is of the first form, and that form knows no such flag") {
    Bytes bytes;
    encode_record({}, bytes);
    CHECK(bytes[0] == 1);
    IngressRecord told;
    told.history = true;
    bytes.clear();
    encode_record(told, bytes);
    CHECK(bytes[0] == 2);
    bytes[0] = 1;
    CHECK(decode_record(bytes).error().code == Errc::corrupt);
    bytes[0] = 2;
    bytes[2] = 8;
    CHECK(decode_record(bytes).error().code == Errc::corrupt);
}

TEST_CASE("a sample count the bytes do not pay for allocates nothing") {
    Bytes bytes;
    encode_record({}, bytes);
    bytes[bytes.size() - 4] = '\x7f';
    CHECK(!decode_record(bytes).has_value());
}

TEST_CASE("a run comes back as it went in, in a form of its own that has nothing else") {
    Bytes bytes;
    encode_record(run_record(), bytes);
    CHECK(bytes[0] == 3);
    const auto decoded = decode_record(bytes);
    REQUIRE(decoded.has_value());
    CHECK(*decoded == run_record());
    for (std::size_t cut = 0; cut < bytes.size(); ++cut)
        CHECK_FALSE(decode_record(ByteView(bytes).substr(0, cut)).has_value());
    CHECK_FALSE(decode_record(bytes + "x").has_value());
    const auto refused = [&bytes](std::size_t at, char value) {
        Bytes changed = bytes;
        changed[at] = value;
        const auto outcome = decode_record(changed);
        return !outcome.has_value() && outcome.error().code == Errc::corrupt;
    };
    CHECK(refused(0, 1)); // a run in a form that has none
    CHECK(refused(0, 2));
    CHECK(refused(1, 1)); // something else in the form of a run
    CHECK(refused(1, 3));
    CHECK(refused(1, 5)); // no such kind
    CHECK(refused(2, 0)); // no mark
    CHECK(refused(2, 6)); // told as history
    IngressRecord none = run_record();
    none.seq = 0;
    bytes.clear();
    encode_record(none, bytes);
    CHECK_FALSE(decode_record(bytes).has_value());
}
