#include "io/address_set.h"

#include <algorithm>
#include <doctest/doctest.h>
#include <rapidcheck.h>

using namespace brim;
using namespace brim::io;

namespace {

bool is_prefix(const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b, unsigned bits) {
    for (unsigned i = 0; i < bits; ++i) {
        const unsigned mask = 0x80u >> (i % 8);
        if ((a[i / 8] & mask) != (b[i / 8] & mask))
            return false;
    }
    return true;
}

/// A network as a test sees it, bit by bit.
struct Network {
    bool is_v4 = false;
    std::array<std::uint8_t, 16> first{};
    unsigned bits = 0; ///< counted in IPv6

    bool holds(const IpAddress& address) const {
        return address.is_v4() == is_v4 && is_prefix(first, address.bytes(), bits);
    }

    std::string text() const {
        return IpAddress::v6(first).text() + "/" + std::to_string(is_v4 ? bits - 96 : bits);
    }
};

/// Few bits differ, so that networks lie inside each other and addresses inside networks.
IpAddress some_address(bool is_v4) {
    const auto few = rc::gen::element<std::uint8_t>(0, 1, 0x80, 0xC0, 0xFF);
    if (is_v4)
        return IpAddress::v4({*few, 0, *few, *few});
    std::array<std::uint8_t, 16> bytes{};
    bytes[0] = 0x20;
    bytes[3] = *few;
    bytes[8] = *few;
    bytes[15] = *few;
    return IpAddress::v6(bytes);
}

Network some_network() {
    Network network{*rc::gen::arbitrary<bool>(), {}, 0};
    network.bits = network.is_v4 ? *rc::gen::inRange(96u, 129u) : *rc::gen::inRange(0u, 129u);
    network.first = some_address(network.is_v4).bytes();
    for (unsigned i = network.bits; i < 128; ++i)
        network.first[i / 8] = static_cast<std::uint8_t>(network.first[i / 8] & ~(0x80u >> (i % 8)));
    return network;
}

Errc refusal(const std::string& entry) {
    const auto set = AddressSet::parse({entry});
    REQUIRE_FALSE(set);
    CHECK(set.error().object.find(entry.substr(0, 64)) != std::string::npos);
    CHECK_FALSE(set.error().fix.empty());
    return set.error().code;
}

} // namespace

TEST_CASE("an address is read and written in its usual form, and nothing else is one") {
    CHECK(IpAddress::parse("192.0.2.7")->text() == "192.0.2.7");
    CHECK(IpAddress::parse("2001:DB8:0::1")->text() == "2001:db8::1");
    CHECK(IpAddress::parse("::ffff:192.0.2.7") == IpAddress::parse("192.0.2.7"));
    CHECK(IpAddress::parse("::ffff:c000:207")->is_v4());
    CHECK_FALSE(IpAddress::parse("::1")->is_v4());
    CHECK(IpAddress::parse("192.0.2.7")->text_with(80) == "192.0.2.7:80");
    CHECK(IpAddress::parse("2001:db8::1")->text_with(443) == "[2001:db8::1]:443");
    for (const char* wrong :
         {"",
          "hub",
          "192.0.2",
          "192.0.2.256",
          "192.0.02.7",
          " 192.0.2.7",
          "192.0.2.7 ",
          "192.0.2.7:80",
          "[::1]",
          "fe80::1%eth0",
          "::1::",
          "2001:db8::12345"})
        CHECK_FALSE(IpAddress::parse(wrong));
    CHECK_FALSE(IpAddress::parse(std::string("192.0.2.7\0", 10)));
    CHECK_FALSE(IpAddress::parse(std::string(1'000, '1')));
}

TEST_CASE("the address of a peer is found in its text") {
    CHECK(IpAddress::of_peer("192.0.2.7:51234") == IpAddress::parse("192.0.2.7"));
    CHECK(IpAddress::of_peer("[2001:db8::1]:443") == IpAddress::parse("2001:db8::1"));
    CHECK_FALSE(IpAddress::of_peer("unix:pid=12,uid=0"));
    CHECK_FALSE(IpAddress::of_peer("unix:"));
    CHECK_FALSE(IpAddress::of_peer("192.0.2.7"));
    CHECK_FALSE(IpAddress::of_peer(""));
}

TEST_CASE("addresses of one IPv6 network of 64 bits count as one, IPv4 addresses each for itself") {
    const auto network = [](const char* text) { return IpAddress::parse(text)->network(); };
    CHECK(network("2001:db8:0:1::1") == network("2001:db8:0:1:ffff::2"));
    CHECK(network("2001:db8:0:1::1") != network("2001:db8:0:2::1"));
    CHECK(network("192.0.2.7") != network("192.0.2.8"));
    CHECK(network("192.0.2.7") == network("::ffff:192.0.2.7"));
    CHECK(network("::1") != network("0.0.0.1"));
}

TEST_CASE("a list of networks holds exactly the addresses of its entries") {
    CHECK(rc::check([] {
        const auto count = *rc::gen::inRange(0, 12);
        std::vector<Network> networks;
        std::vector<std::string> entries;
        for (int i = 0; i < count; ++i) {
            networks.push_back(some_network());
            entries.push_back(networks.back().text());
        }
        const auto set = AddressSet::parse(entries);
        RC_ASSERT(set.has_value());
        for (int i = 0; i < 20; ++i) {
            const IpAddress address = some_address(*rc::gen::arbitrary<bool>());
            const bool wanted =
                std::ranges::any_of(networks, [&](const Network& each) { return each.holds(address); });
            RC_ASSERT(set->contains(address) == wanted);
        }
    }));
}

TEST_CASE("the largest and the smallest networks keep to their family") {
    const auto holds = [](const std::string& entry, const char* address) {
        return AddressSet::parse({entry})->contains(*IpAddress::parse(address));
    };
    CHECK(holds("0.0.0.0/0", "255.255.255.255"));
    CHECK_FALSE(holds("0.0.0.0/0", "::1"));
    CHECK(holds("::/0", "::1"));
    CHECK_FALSE(holds("::/0", "192.0.2.7"));
    CHECK(holds("10.0.0.0/8", "10.255.0.1"));
    CHECK_FALSE(holds("10.0.0.0/8", "11.0.0.0"));
    CHECK(holds("10.1.2.3/32", "10.1.2.3"));
    CHECK(holds("10.1.2.3", "::ffff:10.1.2.3"));
    CHECK_FALSE(holds("10.1.2.3", "10.1.2.2"));
    CHECK(holds("::ffff:10.0.0.0/104", "10.255.0.1"));
    CHECK(holds("2001:db8::/127", "2001:db8::1"));
    CHECK_FALSE(holds("2001:db8::/127", "2001:db8::2"));
    CHECK_FALSE(AddressSet{}.contains(*IpAddress::parse("127.0.0.1")));
    CHECK(AddressSet{}.empty());
}

TEST_CASE("a wrong entry is refused by name, and so are too many") {
    for (const char* wrong :
         {"",
          "/8",
          "hub",
          "10.0.0.0/",
          "10.0.0.0/33",
          "10.0.0.0/08",
          "10.0.0.0/-1",
          "10.0.0.0/+8",
          "10.0.0.0/8 ",
          "10.0.0.0/8/8",
          "::/129",
          "10.0.0.0/0x8",
          "10.0.0.0/4294967304"})
        CHECK(refusal(wrong) == Errc::malformed);
    CHECK(refusal("10.0.0.1/8") == Errc::invalid);
    CHECK(refusal("2001:db8::1/64") == Errc::invalid);
    CHECK(refusal("0.0.0.1/0") == Errc::invalid);
    CHECK(AddressSet::parse({"10.0.0.1/8"}).error().fix.find("10.0.0.0/8") != std::string::npos);
    CHECK(AddressSet::parse(std::vector<std::string>(AddressSet::entries_max, "10.0.0.0/8")));
    const auto many = AddressSet::parse(std::vector<std::string>(AddressSet::entries_max + 1, "10.0.0.0/8"));
    REQUIRE_FALSE(many);
    CHECK(many.error().code == Errc::too_large);
}
