#include "io/proxy_protocol.h"

#include "base/hash.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

namespace brim::io {

namespace {

using namespace std::string_view_literals;

constexpr ByteView line_signature = "PROXY "sv;
constexpr ByteView binary_signature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t binary_start = 16; ///< signature, command, family and length

// Families with their transports, section 2.2. Datagrams (low half 2) cannot come on a stream.
constexpr std::uint8_t unspecified = 0x00;
constexpr std::uint8_t tcp4 = 0x11;
constexpr std::uint8_t tcp6 = 0x21;
constexpr std::uint8_t unix_stream = 0x31;
constexpr std::size_t path_bytes = 108;

// Extensions, sections 2.2.3 and 2.2.6.
constexpr std::uint8_t extension_crc32c = 0x03;
constexpr std::uint8_t extension_tls = 0x20;
constexpr std::uint8_t tls_common_name = 0x22;
constexpr unsigned client_is_tls = 1;
constexpr unsigned client_has_certificate = 2 | 4; ///< on this connection, or earlier in its session

constexpr unsigned line_fields = 5; ///< family, two addresses, two ports
constexpr unsigned rest_of_line = line_fields;

std::uint8_t at(ByteView bytes, std::size_t place) {
    return static_cast<std::uint8_t>(bytes[place]);
}

std::size_t u16_at(ByteView bytes, std::size_t place) {
    return std::size_t{at(bytes, place)} << 8 | at(bytes, place + 1);
}

std::uint32_t u32_at(ByteView bytes, std::size_t place) {
    return static_cast<std::uint32_t>(u16_at(bytes, place) << 16 | u16_at(bytes, place + 2));
}

template <std::size_t size> std::array<std::uint8_t, size> bytes_at(ByteView bytes, std::size_t place) {
    std::array<std::uint8_t, size> taken{};
    std::ranges::copy(bytes.substr(place, size), taken.begin());
    return taken;
}

std::size_t address_bytes(std::uint8_t family) {
    switch (family) {
    case tcp4:
        return 12;
    case tcp6:
        return 36;
    case unix_stream:
        return 2 * path_bytes;
    default:
        return 0;
    }
}

/// Text that may be shown and logged.
bool is_showable(ByteView text) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
    return is_utf8(text) && std::ranges::none_of(text, is_control);
}

bool is_prefix_of_family(ByteView text) {
    return "TCP4"sv.starts_with(text) || "TCP6"sv.starts_with(text) || "UNKNOWN"sv.starts_with(text);
}

std::optional<std::uint16_t> port_of(ByteView text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    const bool is_plain = text.size() == 1 || (!text.empty() && text.front() != '0');
    if (error != std::errc{} || end != text.data() + text.size() || !is_plain)
        return std::nullopt;
    return port;
}

} // namespace

std::string ProxyHeader::text() const {
    if (source == Source::address)
        return address.text_with(port);
    return source == Source::path ? "unix:" + path : std::string();
}

bool ProxyHeaderReader::refuse(Errc code, const char* cause) {
    error_ = Error{
        code,
        "PROXY protocol header",
        cause + (" (byte " + std::to_string(held_.size()) + ")"),
        "let the load balancer send the PROXY protocol to this port, and nobody else connect to it"
    };
    return false;
}

Result<bool> ProxyHeaderReader::take(ByteView& bytes) {
    while (!is_done_ && !error_ && !bytes.empty()) {
        const char byte = bytes.front();
        bytes.remove_prefix(1);
        held_.push_back(byte);
        is_done_ = take_byte(byte);
    }
    if (error_)
        return fail(*error_);
    return is_done_;
}

bool ProxyHeaderReader::take_byte(char byte) {
    switch (form_) {
    case Form::line:
        return take_line(byte);
    case Form::binary:
        return take_binary(byte);
    default:
        return take_signature(byte);
    }
}

bool ProxyHeaderReader::take_signature(char byte) {
    const bool is_line = held_.front() == line_signature.front();
    const ByteView signature = is_line ? line_signature : binary_signature;
    if (byte != signature[held_.size() - 1])
        return refuse(Errc::malformed, "the connection begins with something else");
    if (held_.size() == signature.size()) {
        form_ = is_line ? Form::line : Form::binary;
        field_from_ = held_.size();
    }
    return false;
}

bool ProxyHeaderReader::take_line(char byte) {
    if (held_[held_.size() - 2] == '\r')
        return byte == '\n' || refuse(Errc::malformed, "a CR without its LF");
    if (held_.size() == ProxyHeaderLimits::line_bytes_max)
        return refuse(Errc::too_large, "the line is longer than 107 bytes");
    // What follows UNKNOWN means nothing (section 2.1).
    return field_ == rest_of_line ? false : take_line_field(byte);
}

bool ProxyHeaderReader::take_line_field(char byte) {
    const ByteView before = ByteView(held_).substr(field_from_, held_.size() - 1 - field_from_);
    const bool is_last = field_ == line_fields - 1 || before == "UNKNOWN";
    if ((byte == ' ' && field_ != line_fields - 1) || (byte == '\r' && is_last))
        return end_line_field();
    bool fits = false;
    if (field_ == 0)
        fits = is_prefix_of_family(ByteView(held_).substr(field_from_));
    else if (byte >= '0' && byte <= '9')
        fits = true;
    else if (field_ <= 2 && held_[line_signature.size() + 3] == '4')
        fits = byte == '.';
    else if (field_ <= 2)
        fits = byte == ':' || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
    return fits ? false : refuse(Errc::malformed, "the line has a byte that does not belong there");
}

bool ProxyHeaderReader::end_line_field() {
    const ByteView text = ByteView(held_).substr(field_from_, held_.size() - 1 - field_from_);
    field_from_ = held_.size();
    if (field_ == 0) {
        if (text == "UNKNOWN") {
            header_.source = ProxyHeader::Source::unknown;
            field_ = rest_of_line;
            return false;
        }
        if (text != "TCP4" && text != "TCP6")
            return refuse(Errc::malformed, "neither TCP4, TCP6 nor UNKNOWN");
        header_.source = ProxyHeader::Source::address;
    } else if (field_ <= 2) {
        const auto address = IpAddress::parse(text);
        if (!address)
            return refuse(Errc::malformed, "the line has no good address there");
        if (field_ == 1)
            header_.address = *address;
    } else {
        const auto port = port_of(text);
        if (!port)
            return refuse(Errc::malformed, "the line has no good port there");
        if (field_ == 3)
            header_.port = *port;
    }
    ++field_;
    return false;
}

bool ProxyHeaderReader::take_binary(char) {
    if (held_.size() <= binary_start && !check_binary_start())
        return false;
    return held_.size() >= binary_start && held_.size() == wanted_ && read_binary();
}

/// Judges the last byte of the fixed part. False when it is refused.
bool ProxyHeaderReader::check_binary_start() {
    const bool is_local = (at(held_, 12) & 0x0F) == 0;
    if (held_.size() == 13 && at(held_, 12) != 0x20 && at(held_, 12) != 0x21)
        return refuse(Errc::malformed, "neither LOCAL nor PROXY of version 2");
    if (held_.size() == 14 && !is_local) {
        const std::uint8_t family = at(held_, 13);
        if (family == 0x12 || family == 0x22 || family == 0x32)
            return refuse(Errc::unsupported, "it describes datagrams");
        if (family != unspecified && address_bytes(family) == 0)
            return refuse(Errc::malformed, "a family the protocol does not know");
    }
    if (held_.size() < binary_start)
        return true;
    wanted_ = binary_start + u16_at(held_, 14);
    if (wanted_ > ProxyHeaderLimits::binary_bytes_max)
        return refuse(Errc::too_large, "it is longer than 2,584 bytes");
    if (!is_local && wanted_ < binary_start + address_bytes(at(held_, 13)))
        return refuse(Errc::malformed, "it is too short for its addresses");
    return true;
}

bool ProxyHeaderReader::read_binary() {
    const std::uint8_t family = at(held_, 13);
    if ((at(held_, 12) & 0x0F) == 0)
        return true; // LOCAL; whatever else it has is not for us
    if (family == unspecified) {
        header_.source = ProxyHeader::Source::unknown;
        return true;
    }
    header_.source = ProxyHeader::Source::address;
    if (family == tcp4) {
        header_.address = IpAddress::v4(bytes_at<4>(held_, binary_start));
        header_.port = static_cast<std::uint16_t>(u16_at(held_, binary_start + 8));
    } else if (family == tcp6) {
        header_.address = IpAddress::v6(bytes_at<16>(held_, binary_start));
        header_.port = static_cast<std::uint16_t>(u16_at(held_, binary_start + 32));
    } else {
        header_.source = ProxyHeader::Source::path;
        const ByteView path = ByteView(held_).substr(binary_start, path_bytes);
        header_.path = path.substr(0, path.find('\0'));
        if (!is_showable(header_.path))
            return refuse(Errc::malformed, "the path of its unix socket is not text");
    }
    return read_extensions(binary_start + address_bytes(family));
}

bool ProxyHeaderReader::read_extensions(std::size_t place) {
    bool has_sum = false;
    bool has_tls = false;
    while (place < held_.size()) {
        if (held_.size() - place < 3 || held_.size() - place - 3 < u16_at(held_, place + 1))
            return refuse(Errc::malformed, "an extension ends behind the header");
        const std::uint8_t type = at(held_, place);
        const ByteView value = ByteView(held_).substr(place + 3, u16_at(held_, place + 1));
        place += 3;
        bool* const seen = type == extension_crc32c ? &has_sum : type == extension_tls ? &has_tls : nullptr;
        if (seen != nullptr && std::exchange(*seen, true))
            return refuse(Errc::malformed, "an extension comes twice");
        if (type == extension_crc32c && !check_sum(value, place))
            return false;
        if (type == extension_tls && !read_tls(value))
            return false;
        place += value.size();
    }
    return true;
}

bool ProxyHeaderReader::check_sum(ByteView value, std::size_t place) {
    if (value.size() != 4)
        return refuse(Errc::malformed, "its checksum has not four bytes");
    Bytes summed = held_; // with the sum itself as 0, section 2.2.4
    std::fill_n(summed.begin() + static_cast<std::ptrdiff_t>(place), 4, '\0');
    return crc32c(summed) == u32_at(value, 0) || refuse(Errc::corrupt, "its checksum is wrong");
}

bool ProxyHeaderReader::read_tls(ByteView value) {
    if (value.size() < 5)
        return refuse(Errc::malformed, "its TLS extension is too short");
    const unsigned client = at(value, 0);
    const bool is_verified =
        (client & client_is_tls) != 0 && (client & client_has_certificate) != 0 && u32_at(value, 1) == 0;
    bool has_name = false;
    for (value.remove_prefix(5); !value.empty();) {
        if (value.size() < 3 || value.size() - 3 < u16_at(value, 1))
            return refuse(Errc::malformed, "a part of its TLS extension ends behind it");
        const ByteView part = value.substr(3, u16_at(value, 1));
        if (at(value, 0) == tls_common_name) {
            if (std::exchange(has_name, true))
                return refuse(Errc::malformed, "it has two common names");
            if (part.size() > ProxyHeaderLimits::name_bytes_max || !is_showable(part))
                return refuse(Errc::malformed, "its common name is too long, or not text");
            if (is_verified)
                header_.certificate_name = part;
        }
        value.remove_prefix(3 + part.size());
    }
    return true;
}

} // namespace brim::io
