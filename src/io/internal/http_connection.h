#pragma once
// One HTTP connection: reads requests, keeps their answers in order, watches the clock. Private to io.

#include "io/http_server.h"
#include "io/internal/handover_stream.h"

#include <functional>
#include <memory>
#include <string>

namespace brim::io {

/// Owned by its server. One request is with the handler at a time; what arrives meanwhile waits in a bounded
/// buffer, so answers are always in order.
class HttpConnection final : public StreamHandler, public std::enable_shared_from_this<HttpConnection> {
public:
    HttpConnection(HttpServer& server, std::uint64_t id, std::unique_ptr<Stream> stream, unsigned door);
    ~HttpConnection() override;

    void start();
    /// Ends after the answer under way, or now.
    void finish_soon();

    // For responders and writers; `exchange` must be the one under way.
    bool is_current(std::uint64_t exchange) const { return open_ && exchange == exchange_ && answering_; }

    void respond(int status, const HttpHeaders& headers, ByteView body);
    void start_body(int status, const HttpHeaders& headers);
    bool write_body(ByteView piece);
    void end_body();
    void abort();

    void set_on_drained(std::function<void()> drained) { on_drained_ = std::move(drained); }

    void set_on_gone(std::function<void()> gone) { on_gone_ = std::move(gone); }

    Result<std::unique_ptr<WebSocket>> upgrade(const HttpRequest& request, const WebSocketOptions& options);
    /// The handler dropped its responder.
    void answer_forgotten();

private:
    void on_data(ByteView bytes) override;
    void on_drained() override;
    void on_closed(const Error& why) override;

    void read_requests();
    /// Feeds the parser once. False: nothing more to do with what is there.
    bool advance();
    bool head_arrived();
    void dispatch();
    void refuse(const HttpRefusal& refusal);
    void exchange_over();
    void watch_clock();
    void clock_struck();
    void watch_stall();
    void wait(Duration delay, void (HttpConnection::*then)());
    void close();
    std::string head(int status, const HttpHeaders& headers, std::string_view framing);
    void send(ByteView bytes);

    enum class Body : std::uint8_t { none, chunked, until_close };

    HttpServer& server_;
    const std::uint64_t id_;
    const unsigned door_;
    std::unique_ptr<HandoverStream> stream_;
    HttpParser parser_;
    Bytes input_;            ///< arrived
    std::size_t parsed_ = 0; ///< leading bytes of input_ that are parsed
    Timer timer_;            ///< of reading: idle, head, body
    Timer stall_timer_;      ///< of writing
    Mono phase_began_{};
    bool open_ = true;
    bool reading_ = false; ///< read_requests() is on the stack
    bool answering_ = false;
    bool keep_alive_ = true;
    bool head_only_ = false;
    bool old_client_ = false; ///< HTTP/1.0
    bool blocked_ = false;    ///< a write was refused by the high-water mark
    Body body_ = Body::none;
    bool in_body_ = false;
    std::size_t queued_before_ = 0;
    std::uint64_t exchange_ = 0;
    std::string path_; ///< of the exchange under way, for the log
    std::function<void()> on_drained_;
    std::function<void()> on_gone_;
};

} // namespace brim::io
