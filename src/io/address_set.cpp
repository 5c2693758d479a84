#include "io/address_set.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>

namespace brim::io {

namespace {

constexpr std::array<std::uint8_t, 12> v4_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
constexpr unsigned v4_prefix_bits = 96;

/// The bytes of an address, those behind the first `bits` made 0.
std::array<std::uint8_t, 16> cut(std::array<std::uint8_t, 16> bytes, unsigned bits) {
    for (unsigned i = 0; i < bytes.size(); ++i) {
        const unsigned kept = bits > i * 8 ? std::min(bits - i * 8, 8u) : 0;
        bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xFF00u >> kept));
    }
    return bytes;
}

} // namespace

IpAddress IpAddress::v4(const std::array<std::uint8_t, 4>& bytes) {
    IpAddress address;
    std::ranges::copy(v4_prefix, address.bytes_.begin());
    std::ranges::copy(bytes, address.bytes_.begin() + v4_prefix.size());
    return address;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes) {
    IpAddress address;
    address.bytes_ = bytes;
    return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    char terminated[INET6_ADDRSTRLEN] = {};
    if (text.empty() || text.size() >= sizeof terminated || text.find('\0') != std::string_view::npos)
        return std::nullopt;
    std::memcpy(terminated, text.data(), text.size());
    std::array<std::uint8_t, 4> four{};
    if (::inet_pton(AF_INET, terminated, four.data()) == 1)
        return v4(four);
    std::array<std::uint8_t, 16> sixteen{};
    if (::inet_pton(AF_INET6, terminated, sixteen.data()) == 1)
        return v6(sixteen);
    return std::nullopt;
}

std::optional<IpAddress> IpAddress::of_peer(std::string_view address) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    std::string_view host = address.substr(0, colon);
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    return parse(host);
}

bool IpAddress::is_v4() const noexcept {
    return std::equal(v4_prefix.begin(), v4_prefix.end(), bytes_.begin());
}

std::string IpAddress::text() const {
    char text[INET6_ADDRSTRLEN] = {};
    if (is_v4())
        ::inet_ntop(AF_INET, bytes_.data() + v4_prefix.size(), text, sizeof text);
    else
        ::inet_ntop(AF_INET6, bytes_.data(), text, sizeof text);
    return text;
}

std::string IpAddress::text_with(std::uint16_t port) const {
    return (is_v4() ? text() : "[" + text() + "]") + ":" + std::to_string(port);
}

std::uint64_t IpAddress::network() const noexcept {
    // 0::/8 is nobody's (RFC 4291 section 2.5), so IPv4 addresses find room there: 0:ffff:a.b.c.d::/64.
    std::uint64_t number = 0;
    for (unsigned i = 0; i < 8; ++i)
        number = number << 8 | bytes_[is_v4() ? i + 8 : i];
    return number;
}

bool AddressSet::Block::holds(bool address_is_v4, const std::array<std::uint8_t, 16>& address)
    const noexcept {
    return is_v4 == address_is_v4 && cut(address, bits) == first;
}

Result<AddressSet::Block> AddressSet::parse_block(const std::string& entry) {
    const std::string object = "network \"" + entry.substr(0, 64) + "\"";
    const std::size_t slash = entry.find('/');
    const auto address = IpAddress::parse(std::string_view(entry).substr(0, slash));
    if (!address)
        return fail(
            Errc::malformed,
            object,
            "it does not begin with an IP address",
            "write an address (192.0.2.7) or a network (192.0.2.0/24, 2001:db8::/32)"
        );
    // "::ffff:10.0.0.0/104" is counted in the bits of IPv6, as it is written.
    const bool is_written_v4 = entry.find(':') == std::string::npos;
    Block block{address->is_v4(), address->bytes(), 128};
    if (slash == std::string::npos)
        return block;
    const std::string_view digits = std::string_view(entry).substr(slash + 1);
    const unsigned bits_max = is_written_v4 ? 32 : 128;
    unsigned bits = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    const bool is_plain = digits.size() == 1 || (!digits.empty() && digits.front() != '0');
    if (error != std::errc{} || end != digits.data() + digits.size() || !is_plain || bits > bits_max)
        return fail(
            Errc::malformed,
            object,
            "behind the slash there is no number from 0 to " + std::to_string(bits_max),
            "write the number of leading bits the network's addresses share"
        );
    block.bits = is_written_v4 ? bits + v4_prefix_bits : bits;
    if (const auto first = cut(block.first, block.bits); first != block.first) {
        const IpAddress meant = IpAddress::v6(first);
        return fail(
            Errc::invalid,
            object,
            "bits are set behind the first " + std::to_string(bits),
            "write " + meant.text() + "/" + std::to_string(bits) + ", or the address alone"
        );
    }
    return block;
}

Result<AddressSet> AddressSet::parse(const std::vector<std::string>& entries) {
    if (entries.size() > entries_max)
        return fail(
            Errc::too_large,
            "list of networks",
            std::to_string(entries.size()) + " entries, more than " + std::to_string(entries_max),
            "write larger networks"
        );
    AddressSet set;
    for (const std::string& entry : entries) {
        auto block = parse_block(entry);
        if (!block)
            return fail(std::move(block).error());
        set.blocks_.push_back(*block);
    }
    // Networks are one inside the other or apart, and of two that begin alike the larger comes first: what is
    // inside one follows it.
    std::ranges::sort(set.blocks_);
    std::vector<Block> apart;
    for (const Block& block : set.blocks_) {
        if (apart.empty() || !apart.back().holds(block.is_v4, block.first))
            apart.push_back(block);
    }
    set.blocks_ = std::move(apart);
    return set;
}

bool AddressSet::contains(const IpAddress& address) const {
    const Block wanted{address.is_v4(), address.bytes(), 128};
    const auto after = std::ranges::upper_bound(blocks_, wanted);
    return after != blocks_.begin() && std::prev(after)->holds(wanted.is_v4, wanted.first);
}

} // namespace brim::io
