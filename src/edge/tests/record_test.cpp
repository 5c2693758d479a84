#include "edge/record.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::edge;

TEST_CASE("a stored report comes back as it was, with the device of its topic") {
    const auto bytes = encode_report(
        ReportKind::event,
        WallTime{1'763'690'000'123},
        "/sys/a1EXAMPLE01/pump-7/thing/event/alarm/post",
        "{\"x\":1}"
    );
    const auto report = decode_report(bytes);
    REQUIRE(report.has_value());
    CHECK(report->kind == ReportKind::event);
    CHECK(report->time.ms == 1'763'690'000'123);
    CHECK(report->topic == "/sys/a1EXAMPLE01/pump-7/thing/event/alarm/post");
    CHECK(report->payload == "{\"x\":1}");
    CHECK(report->device() == thing::DeviceKey{"a1EXAMPLE01", "pump-7"});
}

TEST_CASE("every truncated head of a stored report is refused") {
    const auto bytes =
        encode_report(ReportKind::property, WallTime{1}, "/sys/p/d/thing/event/property/post", "");
    REQUIRE(decode_report(bytes).has_value());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CHECK_FALSE(decode_report(ByteView(bytes).substr(0, size)).has_value());
    }
}

TEST_CASE("a stored report of a newer format is told apart from a damaged one") {
    auto bytes = encode_report(ReportKind::property, WallTime{1}, "/sys/p/d/thing/event/property/post", "{}");
    bytes[0] = 2;
    CHECK(decode_report(bytes).error().code == Errc::unsupported);
    bytes[0] = 1;
    bytes[1] = 9;
    CHECK(decode_report(bytes).error().code == Errc::malformed);
    const auto nobody = encode_report(ReportKind::property, WallTime{1}, "no/device/here", "{}");
    CHECK_FALSE(decode_report(nobody).has_value());
}
