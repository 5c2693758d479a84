#include "io/internal/http_connection.h"

#include <algorithm>
#include <utility>

namespace brim::io {

namespace {

constexpr std::string_view component = "http";

} // namespace

HttpConnection::HttpConnection(
    HttpServer& server, std::uint64_t id, std::unique_ptr<Stream> stream, unsigned door
)
    : server_(server), id_(id), door_(door),
      stream_(std::make_unique<HandoverStream>(server.env_.loop(), std::move(stream))),
      parser_(server.limits_), timer_(server.env_.loop()), stall_timer_(server.env_.loop()) {}

HttpConnection::~HttpConnection() = default;

void HttpConnection::start() {
    phase_began_ = server_.env_.loop().now();
    timer_.start(server_.limits_.header_wait_max, [this] { clock_struck(); });
    stream_->start(*this);
}

void HttpConnection::finish_soon() {
    keep_alive_ = false;
    if (!answering_ && parser_.idle())
        close();
}

void HttpConnection::on_data(ByteView bytes) {
    const auto self = shared_from_this(); // a handler may end the server's interest in this connection
    input_ += bytes;
    read_requests();
    if (open_ && input_.size() > server_.limits_.pipeline_bytes_max)
        stream_->pause_reading(true);
}

void HttpConnection::read_requests() {
    if (reading_)
        return; // an answer given from inside on_request: the loop below goes on
    reading_ = true;
    const auto began = parser_.idle();
    // A client that does not read its answers gets no further ones: blocked_ counts as an answer under way.
    while (open_ && !answering_ && !blocked_ && advance()) {
    }
    reading_ = false;
    if (!open_)
        return;
    input_.erase(0, std::exchange(parsed_, 0));
    if (answering_ || blocked_)
        return timer_.stop();
    stream_->pause_reading(false);
    if (began && !parser_.idle())
        phase_began_ = server_.env_.loop().now();
    watch_clock();
}

bool HttpConnection::advance() {
    const auto input = ByteView(input_).substr(parsed_);
    if (input.empty() && parser_.state() != HttpParser::State::head_end)
        return false;
    parsed_ += parser_.feed(input);
    switch (parser_.state()) {
    case HttpParser::State::head_end:
        return head_arrived();
    case HttpParser::State::done:
        dispatch();
        return true;
    case HttpParser::State::refused:
        refuse(parser_.refusal());
        return false;
    default:
        return true;
    }
}

bool HttpConnection::head_arrived() {
    phase_began_ = server_.env_.loop().now();
    parser_.set_body_max(server_.handler_.body_bytes_max(parser_.request(), server_.limits_));
    if (parser_.state() == HttpParser::State::refused) {
        refuse(parser_.refusal());
        return false;
    }
    if (parser_.expects_continue())
        stream_->write("HTTP/1.1 100 Continue\r\n\r\n");
    return true;
}

void HttpConnection::dispatch() {
    keep_alive_ = keep_alive_ && parser_.keep_alive() && !server_.draining_;
    auto request = parser_.take();
    request.peer = stream_->peer();
    request.encrypted = request.peer.encrypted;
    request.door = door_;
    head_only_ = request.method == "HEAD";
    old_client_ = request.minor_version == 0;
    path_ = request.path;
    answering_ = true;
    ++exchange_;
    timer_.stop();
    server_.handler_.on_request(std::move(request), HttpResponder(weak_from_this(), exchange_));
}

void HttpConnection::refuse(const HttpRefusal& refusal) {
    server_.env_.log().info(
        component,
        "request refused",
        {{"peer", stream_->peer().address}, {"status", refusal.status}, {"cause", refusal.error.cause}}
    );
    keep_alive_ = false;
    answering_ = true;
    head_only_ = false;
    ++exchange_;
    respond(refusal.status, {{"Content-Type", "text/plain; charset=utf-8"}}, refusal.error.text() + "\n");
}

void HttpConnection::exchange_over() {
    answering_ = false;
    in_body_ = false;
    on_drained_ = nullptr;
    on_gone_ = nullptr;
    if (!keep_alive_ || server_.draining_)
        return close();
    phase_began_ = server_.env_.loop().now();
    watch_stall();
    read_requests();
}

void HttpConnection::wait(Duration delay, void (HttpConnection::*then)()) {
    timer_.start(std::max(delay, Duration{}), [this, then] { (this->*then)(); });
}

void HttpConnection::watch_clock() {
    const auto& limits = server_.limits_;
    const auto spent = server_.env_.loop().now() - phase_began_;
    if (parser_.state() == HttpParser::State::body) {
        const auto fair = std::chrono::seconds(parser_.body_bytes() / limits.body_bytes_per_second_min);
        wait(limits.body_wait_max + fair - spent, &HttpConnection::clock_struck);
    } else if (parser_.idle() && exchange_ > 0) {
        wait(limits.keepalive_wait_max - spent, &HttpConnection::clock_struck);
    } else {
        wait(limits.header_wait_max - spent, &HttpConnection::clock_struck);
    }
}

void HttpConnection::clock_struck() {
    const auto self = shared_from_this();
    if (parser_.idle())
        return close(); // nothing was asked: nothing is answered
    const bool in_body = parser_.state() == HttpParser::State::body;
    refuse(
        {408,
         Error{
             Errc::timeout, "HTTP request", in_body ? "the body took too long" : "the head took too long", ""
         }}
    );
}

void HttpConnection::watch_stall() {
    queued_before_ = stream_->queued();
    if (queued_before_ == 0)
        return stall_timer_.stop();
    stall_timer_.start(server_.limits_.stall_wait_max, [this] {
        if (stream_->queued() < queued_before_)
            return watch_stall();
        const auto self = shared_from_this();
        server_.env_.log().info(
            component, "client takes no more of its response", {{"peer", stream_->peer().address}}
        );
        abort();
    });
}

void HttpConnection::on_drained() {
    const auto self = shared_from_this();
    blocked_ = false;
    watch_stall();
    if (in_body_ && on_drained_) {
        const auto call = on_drained_; // it may replace itself
        call();
    }
    if (open_ && !answering_)
        read_requests();
}

void HttpConnection::on_closed(const Error&) {
    const auto self = shared_from_this();
    abort();
}

void HttpConnection::abort() {
    if (!open_)
        return;
    open_ = false;
    timer_.stop();
    stall_timer_.stop();
    const auto gone = std::exchange(on_gone_, nullptr);
    on_drained_ = nullptr;
    stream_.reset();
    server_.forget(id_);
    if (gone)
        gone();
}

void HttpConnection::close() {
    if (!open_)
        return;
    on_gone_ = nullptr;
    stream_->close();
    abort();
}

void HttpConnection::answer_forgotten() {
    server_.env_.log().error(component, "a handler dropped its responder", {{"path", path_}});
    if (in_body_)
        return end_body();
    respond(500, {{"Content-Type", "text/plain; charset=utf-8"}}, "the server lost track of this request\n");
}

} // namespace brim::io
