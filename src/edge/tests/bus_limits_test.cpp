// What a driver can make the local bus hold.

#include "edge/bus.h"
#include "mqtt/tests/broker_bench.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

/// The fixed header of a PUBLISH of so many bytes in all.
Bytes publish_header(std::uint32_t whole_bytes) {
    std::uint32_t body = whole_bytes - 4; // three bytes of length
    Bytes bytes(1, '\x30');
    for (int i = 0; i < 3; ++i, body >>= 7)
        bytes.push_back(static_cast<char>((body & 0x7f) | (i < 2 ? 0x80 : 0)));
    return bytes;
}

} // namespace

TEST_CASE("[B-11] a packet whose end a driver never sends costs less than 1 MiB") {
    const BrokerLimits limits = edge::Bus::limits();
    CHECK(limits.packet_bytes_max + limits.connect_backlog_bytes_max < 1'048'576);
    Bench bench(limits);
    Peer patient(bench);
    patient.join("patient");
    patient.raw(publish_header(limits.packet_bytes_max));
    const Bytes piece(60'000, '\0');
    for (std::uint32_t sent = 4; sent < limits.packet_bytes_max - 1;) {
        const auto count = std::min<std::uint32_t>(60'000, limits.packet_bytes_max - 1 - sent);
        patient.raw(ByteView(piece).substr(0, count));
        sent += count;
    }
    CHECK_FALSE(patient.is_closed());
    CHECK(bench.host.published.empty());
    Peer greedy(bench);
    greedy.join("greedy");
    greedy.raw(publish_header(limits.packet_bytes_max + 1)); // judged by the header alone
    CHECK(greedy.is_closed());
    CHECK(greedy.goodbye() == ReasonCode::packet_too_large);
}

TEST_CASE("a configuration may be longer than what a driver may send") {
    Bench bench(edge::Bus::limits());
    Peer driver(bench);
    driver.join("driver");
    const std::string models(4'000'000, 'm');
    bench.broker.publish(message("bus/driver/driver/config", models, 1, true), bench.host.now);
    CHECK(driver.subscribe("bus/driver/driver/#", 1) == ReasonCode::granted_qos1);
    bench.advance(std::chrono::seconds{1});
    CHECK(driver.message().payload == models);
}
