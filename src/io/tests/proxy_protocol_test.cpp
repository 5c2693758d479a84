#include "io/proxy_protocol.h"

#include "proxy_header_bytes.h"

#include <doctest/doctest.h>
#include <optional>

using namespace brim;
using namespace brim::io;
using namespace brim::io::testing;

namespace {

using Source = ProxyHeader::Source;

/// What came of some bytes: the header, what it left over, and at which byte it was refused.
struct Reading {
    bool is_whole = false;
    std::optional<Errc> refusal;
    std::string error;
    std::size_t taken = 0;
    ProxyHeader header;
};

Reading feed(ByteView wire, std::size_t piece) {
    Reading outcome;
    ProxyHeaderReader reader;
    for (std::size_t from = 0; from < wire.size(); from += piece) {
        ByteView bytes = wire.substr(from, piece);
        const std::size_t given = bytes.size();
        const auto is_whole = reader.take(bytes);
        outcome.taken += given - bytes.size();
        if (!is_whole) {
            outcome.refusal = is_whole.error().code;
            outcome.error = is_whole.error().text();
            return outcome;
        }
        if (*is_whole) {
            outcome.is_whole = true;
            outcome.header = reader.header();
            return outcome;
        }
    }
    return outcome;
}

/// The same whether the bytes come at once or in any pieces.
Reading read(ByteView wire) {
    const Reading whole = feed(wire, wire.size() + 1);
    for (const std::size_t piece : {1u, 2u, 3u, 5u, 11u, 100u}) {
        const Reading pieces = feed(wire, piece);
        CHECK(pieces.is_whole == whole.is_whole);
        CHECK(pieces.refusal == whole.refusal);
        CHECK(pieces.error == whole.error);
        CHECK(pieces.taken == whole.taken);
        CHECK(pieces.header.text() == whole.header.text());
        CHECK(pieces.header.certificate_name == whole.header.certificate_name);
    }
    return whole;
}

/// Taken whole, with nothing of what follows, and no prefix of it is.
ProxyHeader accept(const Bytes& wire) {
    const Reading outcome = read(wire + "MQTT");
    CHECK(outcome.error == "");
    CHECK(outcome.is_whole);
    CHECK(outcome.taken == wire.size());
    for (std::size_t cut = 0; cut < wire.size(); ++cut) {
        const Reading shorter = feed(wire.substr(0, cut), wire.size());
        CHECK_FALSE(shorter.is_whole);
        CHECK_FALSE(shorter.refusal);
    }
    return outcome.header;
}

Errc refuse(const Bytes& wire) {
    const Reading outcome = read(wire);
    CHECK_FALSE(outcome.is_whole);
    REQUIRE(outcome.refusal);
    return *outcome.refusal;
}

/// Refused at its last byte and not before.
Errc refuse_at_end(const Bytes& wire) {
    CHECK_FALSE(feed(wire.substr(0, wire.size() - 1), wire.size()).refusal);
    return refuse(wire + "anything");
}

} // namespace

TEST_CASE("a line names the client over IPv4, over IPv6, or nobody") {
    CHECK(accept("PROXY TCP4 192.0.2.7 198.51.100.1 51234 1883\r\n").text() == "192.0.2.7:51234");
    CHECK(accept("PROXY TCP6 2001:db8::7 2001:DB8::1 65535 0\r\n").text() == "[2001:db8::7]:65535");
    CHECK(accept("PROXY UNKNOWN\r\n").source == Source::unknown);
    CHECK(accept("PROXY UNKNOWN 192.0.2.7 and \x01 more\r\n").text() == "");
}

TEST_CASE("a line of 107 bytes is taken, one of 108 is not") {
    const Bytes start = "PROXY UNKNOWN ";
    CHECK(accept(start + Bytes(107 - 2 - start.size(), 'x') + "\r\n").source == Source::unknown);
    CHECK(refuse(start + Bytes(108 - 2 - start.size(), 'x') + "\r\n") == Errc::too_large);
    CHECK(read(start + Bytes(500, 'x')).taken == 107);
}

TEST_CASE("a line is refused at the first byte that does not belong") {
    for (const char* wire :
         {"G",
          "PROXy",
          "PROXY  ",
          "PROXY T4",
          "PROXY TCP5",
          "PROXY TCP ",
          "PROXY UNKN ",
          "PROXY UNKNOWNS",
          "PROXY TCP4\r",
          "PROXY TCP4 192.0.2.7:",
          "PROXY TCP4 a",
          "PROXY TCP4 192.0.2.256 ",
          "PROXY TCP4 192.0.2.07 ",
          "PROXY TCP4  ",
          "PROXY TCP4 2001:",
          "PROXY TCP6 ::1.",
          "PROXY TCP6 1 ",
          "PROXY TCP6 g",
          "PROXY TCP4 192.0.2.7 198.51.100 ",
          "PROXY TCP4 192.0.2.7 198.51.100.1 65536 ",
          "PROXY TCP4 192.0.2.7 198.51.100.1 01 ",
          "PROXY TCP4 192.0.2.7 198.51.100.1  ",
          "PROXY TCP4 192.0.2.7 198.51.100.1 -",
          "PROXY TCP4 192.0.2.7 198.51.100.1 1 \r",
          "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 ",
          "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
          "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\rx",
          "PROXY UNKNOWN\rx",
          "PROXY UNKNOWN\n"})
        CHECK(refuse_at_end(wire) == Errc::malformed);
    CHECK(refuse_at_end(Bytes("PROXY TCP4 1\0", 13)) == Errc::malformed);
}

TEST_CASE("a binary header names the client over IPv4, IPv6, a unix socket, or nobody") {
    CHECK(accept(binary_header(0x21, 0x11, tcp4_body)).text() == "192.0.2.7:51234");
    CHECK(accept(binary_header(0x21, 0x21, tcp6_body)).text() == "[2001:db8::7]:51234");
    CHECK(accept(binary_header(0x21, 0x31, unix_body("/run/client.sock"))).text() == "unix:/run/client.sock");
    CHECK(accept(binary_header(0x21, 0x31, unix_body(""))).text() == "unix:");
    CHECK(accept(binary_header(0x21, 0x31, unix_body(Bytes(108, 'x')))).path == Bytes(108, 'x'));
    CHECK(refuse(binary_header(0x21, 0x31, unix_body("/run/\n"))) == Errc::malformed);
    CHECK(refuse(binary_header(0x21, 0x31, unix_body("\xFF"))) == Errc::malformed);
    CHECK(accept(binary_header(0x21, 0x00, "")).source == Source::unknown);
    CHECK(accept(binary_header(0x21, 0x00, "not looked at")).source == Source::unknown);
}

TEST_CASE("a LOCAL header is skipped whatever it holds") {
    CHECK(accept(binary_header(0x20, 0x00, "")).source == Source::own);
    CHECK(accept(binary_header(0x20, 0x11, tcp4_body)).text() == "");
    CHECK(accept(binary_header(0x20, 0xFF, "anything")).source == Source::own);
    CHECK(
        refuse(binary_header(0x20, 0x00, Bytes(ProxyHeaderLimits::binary_bytes_max - 15, 'x'))) ==
        Errc::too_large
    );
}

TEST_CASE("a binary header is refused at the byte that is wrong") {
    CHECK(refuse_at_end(Bytes("\r\n\r\n\1", 5)) == Errc::malformed);
    CHECK(refuse_at_end("\r\n\r\r") == Errc::malformed);
    for (const int command : {0x11, 0x31, 0x22, 0x2F, 0x00})
        CHECK(refuse_at_end(binary_header(command, 0, "").substr(0, 13)) == Errc::malformed);
    for (const int family : {0x01, 0x10, 0x13, 0x20, 0x23, 0x30, 0x41, 0xFF})
        CHECK(refuse_at_end(binary_header(0x21, family, "").substr(0, 14)) == Errc::malformed);
    for (const int family : {0x12, 0x22, 0x32})
        CHECK(refuse_at_end(binary_header(0x21, family, "").substr(0, 14)) == Errc::unsupported);
    // Too short for its addresses: known before they come.
    CHECK(refuse_at_end(binary_header(0x21, 0x11, tcp4_body.substr(1)).substr(0, 16)) == Errc::malformed);
    CHECK(refuse_at_end(binary_header(0x21, 0x21, tcp6_body.substr(1)).substr(0, 16)) == Errc::malformed);
    CHECK(refuse_at_end(binary_header(0x21, 0x31, Bytes(215, 'x')).substr(0, 16)) == Errc::malformed);
}

TEST_CASE("a binary header may have 2,584 bytes and no more") {
    const std::size_t room = ProxyHeaderLimits::binary_bytes_max - 16 - tcp4_body.size() - 3;
    CHECK(
        accept(binary_header(0x21, 0x11, tcp4_body + extension(4, Bytes(room, 'x')))).text() ==
        "192.0.2.7:51234"
    );
    const Bytes larger = binary_header(0x21, 0x11, tcp4_body + extension(4, Bytes(room + 1, 'x')));
    CHECK(refuse_at_end(larger.substr(0, 16)) == Errc::too_large);
    CHECK(refuse(larger) == Errc::too_large);
}

TEST_CASE("extensions fill the header exactly; those nobody knows are passed over") {
    CHECK(
        accept(binary_header(0x21, 0x11, tcp4_body + extension(0xEE, "mine") + extension(4, ""))).port ==
        51'234
    );
    CHECK(refuse(binary_header(0x21, 0x11, tcp4_body + "\x04")) == Errc::malformed);
    CHECK(refuse(binary_header(0x21, 0x11, tcp4_body + Bytes("\x04\0", 2))) == Errc::malformed);
    CHECK(refuse(binary_header(0x21, 0x11, tcp4_body + Bytes("\x04\0\2x", 4))) == Errc::malformed);
}

TEST_CASE("a checksum is checked over the whole header, wherever it stands") {
    CHECK(accept(summed_header(0x11, tcp4_body)).text() == "192.0.2.7:51234");
    CHECK(accept(summed_header(0x21, tcp6_body + extension(1, "mqtt"), extension(4, "x"))).port == 51'234);
    const Bytes good = summed_header(0x11, tcp4_body, extension(4, "padding"));
    for (std::size_t i = 16; i < good.size(); ++i) {
        Bytes bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 1);
        const Reading outcome = read(bad);
        // A flipped type byte may make it another extension: then there is no sum to be wrong.
        if (i != 28)
            CHECK(outcome.refusal);
    }
    CHECK(
        refuse(binary_header(0x21, 0x11, tcp4_body + extension(3, ByteView("\0\0\0\0", 4)))) == Errc::corrupt
    );
    CHECK(
        refuse(binary_header(0x21, 0x11, tcp4_body + extension(3, ByteView("\0\0\0", 3)))) == Errc::malformed
    );
    CHECK(
        refuse(binary_header(0x21, 0x11, tcp4_body + extension(3, ByteView("\0\0\0\0\0", 5)))) ==
        Errc::malformed
    );
}

TEST_CASE("the name in a certificate counts only when the proxy has verified it") {
    const auto name = [](int client, std::uint32_t verify, const Bytes& parts) {
        return accept(binary_header(0x21, 0x11, tcp4_body + tls_extension(client, verify, parts)))
            .certificate_name;
    };
    const Bytes version = extension(0x21, "TLSv1.3");
    CHECK(name(1 | 2, 0, version + name_part("pump-7")) == "pump-7");
    CHECK(name(1 | 4, 0, name_part("pump-7") + version) == "pump-7");
    CHECK(name(1 | 2, 0, version) == "");
    CHECK(name(1, 0, name_part("pump-7")) == "");      // no certificate
    CHECK(name(2, 0, name_part("pump-7")) == "");      // no TLS
    CHECK(name(1 | 2, 18, name_part("pump-7")) == ""); // not verified
    CHECK(name(1 | 2, 0, name_part(Bytes(256, 'x'))) == Bytes(256, 'x'));
    const auto refused = [](ByteView extensions) {
        return refuse(binary_header(0x21, 0x11, tcp4_body + Bytes(extensions)));
    };
    CHECK(refused(tls_extension(3, 0, name_part(Bytes(257, 'x')))) == Errc::malformed);
    CHECK(refused(tls_extension(3, 0, name_part("a\n"))) == Errc::malformed);
    CHECK(refused(tls_extension(3, 0, name_part("\xC3"))) == Errc::malformed);
    CHECK(refused(tls_extension(3, 0, name_part("a") + name_part("b"))) == Errc::malformed);
    CHECK(refused(tls_extension(3, 0, "\x22")) == Errc::malformed);
    CHECK(refused(tls_extension(3, 0, Bytes("\x22\0\2x", 4))) == Errc::malformed);
    CHECK(refused(extension(0x20, ByteView("\3\0\0\0", 4))) == Errc::malformed);
    CHECK(refused(tls_extension(3, 0, "") + tls_extension(3, 0, "")) == Errc::malformed);
}
