#pragma once
// A strict HTTP/1.x request parser without I/O: bytes in, one request out. Where RFC 9112 lets a server be
// lenient it is not, because what two programs read differently is how requests are smuggled past one of
// them:
//  - a bare LF or CR, obsolete line folding, NUL or another control character in the head: 400
//  - Content-Length together with Transfer-Encoding, twice, or as a list: 400; a coding other than "chunked":
//  501
//  - HTTP/1.1 without exactly one Host: 400; chunk extensions are skipped, and bounded; trailers are read and
//  dropped.

#include "base/error.h"
#include "io/http_message.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace brim::io {

struct HttpLimits {
    std::size_t header_bytes_max =
        16 * 1024;                 ///< request line and fields, with their line ends; also trailers
    std::size_t headers_max = 100; ///< fields
    std::size_t target_bytes_max = 8 * 1024;
    std::size_t query_count_max = 100;        ///< parameters behind '?'
    std::size_t body_bytes_max = 1024 * 1024; ///< where the handler names no other
    std::size_t body_bytes_per_second_min =
        1024;                                   ///< a body may take body_wait_max plus its size at this rate
    std::size_t pipeline_bytes_max = 64 * 1024; ///< read ahead of the answer under way; then reading pauses
    std::size_t connections_max = 10'000;
    Duration header_wait_max = 10s; ///< from the first byte (or the accept) to the end of the head
    Duration body_wait_max = 60s;
    Duration keepalive_wait_max = 75s; ///< idle between requests
    Duration stall_wait_max = 60s; ///< a response of which the client takes nothing for this long is cut off
};

/// Why a request was refused: the status to answer with, and the words. The connection cannot go on.
struct HttpRefusal {
    int status = 400;
    Error error;
};

/// Parses one request after another. Never reads past the end of the current one.
class HttpParser {
public:
    enum class State : std::uint8_t {
        head,     ///< more of the request line and fields is needed
        head_end, ///< the head is complete: look at request(), set_body_max(), then go on with feed()
        body,
        done, ///< take() it
        refused,
    };

    explicit HttpParser(const HttpLimits& limits);
    ~HttpParser();
    HttpParser(const HttpParser&) = delete;
    HttpParser& operator=(const HttpParser&) = delete;

    /// Consumes leading bytes and says how many; stops at head_end, done and refused.
    std::size_t feed(ByteView bytes);

    State state() const noexcept { return state_; }

    /// True when nothing of the next request has arrived.
    bool idle() const noexcept;

    /// From head_end on: without body, and in done with it.
    const HttpRequest& request() const noexcept { return request_; }

    /// In head_end: a declared length above it is refused at once.
    void set_body_max(std::size_t bytes);

    /// In head_end and body: the client waits for "100 Continue".
    bool expects_continue() const noexcept { return expects_continue_; }

    /// The client lets the connection be used again.
    bool keep_alive() const noexcept { return keep_alive_; }

    /// Body bytes so far.
    std::size_t body_bytes() const noexcept { return request_.body.size(); }

    const HttpRefusal& refusal() const noexcept { return refusal_; }

    /// In done: the request; the parser is then ready for the next.
    HttpRequest take();

private:
    class Machine; ///< the library's parser, seen only in the .cpp

    std::size_t feed_head(ByteView bytes);
    std::size_t feed_body(ByteView bytes);
    /// What a chunked body's framing may weigh so far.
    std::size_t framing_bytes_max() const noexcept;
    bool scan_head_byte(char c);
    void finish_head();
    bool check_head();
    bool check_target();
    void refuse(int status, Errc code, std::string cause, std::string fix = {});

    const HttpLimits limits_;
    State state_ = State::head;
    std::unique_ptr<Machine> machine_;
    Bytes buffer_; ///< the head so far, then what the body's framing left over
    std::size_t body_max_;
    std::size_t wire_bytes_ = 0; ///< body bytes with their chunk framing
    bool expects_continue_ = false;
    bool keep_alive_ = false;
    HttpRequest request_;
    HttpRefusal refusal_;
};

} // namespace brim::io
