#pragma once
// IP addresses as values, and lists of networks in CIDR notation (RFC 4632, RFC 4291 section 2.3). Pure.

#include "base/error.h"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brim::io {

/// An IPv4 or IPv6 address without a port. IPv4 written inside IPv6 ("::ffff:192.0.2.7") is IPv4.
class IpAddress {
public:
    /// "192.0.2.7", "2001:db8::1"; nothing else (no names, brackets, zones, ports).
    static std::optional<IpAddress> parse(std::string_view text);
    /// Of Peer::address: "192.0.2.7:51234", "[2001:db8::1]:443". Nothing for a unix socket.
    static std::optional<IpAddress> of_peer(std::string_view address);
    /// In network order.
    static IpAddress v4(const std::array<std::uint8_t, 4>& bytes);
    static IpAddress v6(const std::array<std::uint8_t, 16>& bytes);

    bool is_v4() const noexcept;

    /// In network order; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
    const std::array<std::uint8_t, 16>& bytes() const noexcept { return bytes_; }

    /// As RFC 5952 writes it.
    std::string text() const;
    /// "192.0.2.7:51234", "[2001:db8::1]:443": the form of Peer::address.
    std::string text_with(std::uint16_t port) const;
    /// What one subscriber of a network is given as a rule and is therefore counted as one: an IPv4 address,
    /// or an IPv6 network of 64 bits.
    std::uint64_t network() const noexcept;

    auto operator<=>(const IpAddress&) const = default;

private:
    std::array<std::uint8_t, 16> bytes_{};
};

/// Any number of networks up to entries_max. IPv6 networks hold no IPv4 address: "::/0" is all of IPv6.
class AddressSet {
public:
    static constexpr std::size_t entries_max = 1'024;

    /// Each entry is an address or a network ("10.0.0.0/8", "2001:db8::/32"). Errors name the entry:
    /// Errc::malformed, Errc::invalid (bits set behind the prefix: most likely a slip), Errc::too_large.
    static Result<AddressSet> parse(const std::vector<std::string>& entries);

    /// O(log n).
    bool contains(const IpAddress& address) const;

    bool empty() const noexcept { return blocks_.empty(); }

private:
    struct Block {
        bool is_v4 = false;
        std::array<std::uint8_t, 16> first{};
        unsigned bits = 128; ///< of the prefix, IPv4 counted from 96
        auto operator<=>(const Block&) const = default;

        bool holds(bool address_is_v4, const std::array<std::uint8_t, 16>& address) const noexcept;
    };

    static Result<Block> parse_block(const std::string& entry);

    std::vector<Block> blocks_; ///< in order, none inside another
};

} // namespace brim::io
