#pragma once
// PROXY protocol headers made by hand, for tests.

#include "base/bytes.h"
#include "base/hash.h"

#include <cstdint>

namespace brim::io::testing {

inline Bytes extension(int type, ByteView value) {
    Bytes out(1, static_cast<char>(type));
    put_u16(out, static_cast<std::uint16_t>(value.size()));
    return out + Bytes(value);
}

/// A version 2 header; `command` 0x20 is LOCAL, 0x21 PROXY.
inline Bytes binary_header(int command, int family, ByteView body) {
    Bytes out("\r\n\r\n\0\r\nQUIT\n", 12);
    out += static_cast<char>(command);
    out += static_cast<char>(family);
    put_u16(out, static_cast<std::uint16_t>(body.size()));
    return out + Bytes(body);
}

/// From 192.0.2.7:51234 to 198.51.100.1:1883.
inline const Bytes tcp4_body("\xC0\x00\x02\x07\xC6\x33\x64\x01\xC8\x22\x07\x5B", 12);

/// From [2001:db8::7]:51234 to [2001:db8::1]:1883.
inline const Bytes tcp6_body = Bytes("\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\7", 16) +
                               Bytes("\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\1", 16) +
                               Bytes("\xC8\x22\x07\x5B", 4);

inline Bytes unix_body(ByteView source) {
    Bytes body(source);
    body.resize(216, '\0');
    return body;
}

/// `body` with a CRC32C extension that fits, and `more` behind it.
inline Bytes summed_header(int family, Bytes body, ByteView more = {}) {
    body += extension(3, ByteView("\0\0\0\0", 4));
    const std::size_t from = 16 + body.size() - 4;
    Bytes header = binary_header(0x21, family, body + Bytes(more));
    Bytes sum;
    put_u32(sum, crc32c(header));
    return header.replace(from, 4, sum);
}

/// PP2_TYPE_SSL; `client` 1 TLS, 2 certificate on this connection, 4 earlier in the session.
inline Bytes tls_extension(int client, std::uint32_t verify, ByteView parts) {
    Bytes value(1, static_cast<char>(client));
    put_u32(value, verify);
    return extension(0x20, value + Bytes(parts));
}

inline Bytes name_part(ByteView name) {
    return extension(0x22, name);
}

} // namespace brim::io::testing
