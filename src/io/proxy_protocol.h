#pragma once
// The header a load balancer puts before a connection's bytes to say who the client is: the PROXY protocol of
// HAProxy (doc/proxy-protocol.txt), version 1 (a line of text) and 2 (binary). Pure: bytes in, facts out.

#include "base/bytes.h"
#include "io/address_set.h"

#include <cstdint>
#include <optional>
#include <string>

namespace brim::io {

struct ProxyHeaderLimits {
    static constexpr std::size_t line_bytes_max = 107; ///< version 1, with its CR LF (section 2.1)
    /// Of version 2 all that is sure to come in one segment (section 2.2), and as much again for what TLS
    /// and the sender's own extensions add.
    static constexpr std::size_t binary_bytes_max = 536 + 2'048;
    static constexpr std::size_t name_bytes_max = 256; ///< of the certificate's common name
};

/// What a header said.
struct ProxyHeader {
    enum class Source : std::uint8_t {
        own,     ///< LOCAL: the proxy speaks for itself (a health check)
        unknown, ///< UNKNOWN or UNSPEC: the proxy cannot say who it is
        address, ///< TCP over IPv4 or IPv6
        path     ///< a unix socket at the proxy
    };
    Source source = Source::own;
    IpAddress address{};
    std::uint16_t port = 0;
    std::string path{}; ///< up to the first NUL; empty for an unnamed socket
    /// PP2_TYPE_SSL: the common name of the client's certificate, which the proxy says it has verified on
    /// this connection's session; else empty.
    std::string certificate_name{};

    /// As Peer::address shows it; empty when the header names nobody.
    std::string text() const;
};

/// Reads one header, fed in any pieces. What is neither version is refused at the first byte that shows it,
/// and a length before its bytes are waited for. Extensions (TLVs) of version 2 must fill the header exactly;
/// a CRC32C is checked. LOCAL and UNSPEC headers are skipped as a whole, extensions with them (section 2.2).
class ProxyHeaderReader {
public:
    /// Takes what belongs to the header from the front of `bytes`. True once it is complete: what is left
    /// in `bytes` is the client's own. Errors (Errc::malformed, Errc::too_large, Errc::unsupported for
    /// datagrams, Errc::corrupt for a checksum) are final.
    Result<bool> take(ByteView& bytes);

    /// After take() returned true.
    const ProxyHeader& header() const noexcept { return header_; }

private:
    enum class Form : std::uint8_t { unknown, line, binary };

    bool take_byte(char byte);
    bool take_signature(char byte);
    bool take_line(char byte);
    bool take_line_field(char byte);
    bool end_line_field();
    bool take_binary(char byte);
    bool check_binary_start();
    bool read_binary();
    bool read_extensions(std::size_t place);
    bool read_tls(ByteView value);
    bool check_sum(ByteView value, std::size_t place);
    bool refuse(Errc code, const char* cause);

    ProxyHeader header_;
    Bytes held_;                 ///< the header so far
    std::size_t wanted_ = 0;     ///< binary: its whole length, once known
    std::size_t field_from_ = 0; ///< line: where the present field begins
    unsigned field_ = 0;         ///< line: its number; 0 is the family
    Form form_ = Form::unknown;
    bool is_done_ = false;
    std::optional<Error> error_;
};

} // namespace brim::io
