#include "io/http_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <utility>

namespace brim::io {

namespace {

namespace beast_http = boost::beast::http;
using boost::beast::error_code;
using BeastView = boost::beast::string_view;

/// Framing of a chunked body may weigh this much more than the body itself (one-byte chunks weigh six times).
constexpr std::size_t framing_factor_max = 16;

std::string_view view(BeastView text) {
    return {text.data(), text.size()};
}

} // namespace

/// Collects what the library's state machine finds. Limits and policy are decided by the outer class.
class HttpParser::Machine final : public beast_http::basic_parser<true> {
public:
    explicit Machine(HttpParser& owner) : owner_(owner) {
        header_limit(static_cast<std::uint32_t>(owner.limits_.header_bytes_max));
        body_limit(boost::none);
        eager(false);
    }

    bool overflow = false; ///< the body grew above its limit

private:
    void
    on_request_impl(beast_http::verb, BeastView method, BeastView target, int version, error_code&) override {
        owner_.request_.method = view(method);
        owner_.request_.target = view(target);
        owner_.request_.minor_version = static_cast<unsigned>(version % 10);
    }

    void on_response_impl(int, BeastView, int, error_code&) override {}

    void on_field_impl(beast_http::field, BeastView name, BeastView value, error_code& ec) override {
        // Trailer fields come here as well; they are dropped, or they could override what was authorised.
        if (++fields_ > owner_.limits_.headers_max)
            ec = beast_http::error::header_limit;
        else if (!in_body_)
            owner_.request_.headers.add(view(name), view(value));
    }

    void on_header_impl(error_code&) override { in_body_ = true; }

    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}

    std::size_t append(BeastView body, error_code& ec) {
        if (body.size() > owner_.body_max_ - owner_.request_.body.size()) {
            overflow = true;
            ec = beast_http::error::body_limit;
            return 0;
        }
        owner_.request_.body.append(body.data(), body.size());
        return body.size();
    }

    std::size_t on_body_impl(BeastView body, error_code& ec) override { return append(body, ec); }

    void on_chunk_header_impl(std::uint64_t size, BeastView extension, error_code& ec) override {
        extension_bytes_ += extension.size();
        if (extension_bytes_ > owner_.framing_bytes_max()) {
            ec = beast_http::error::bad_chunk_extension;
            return;
        }
        if (size <= owner_.body_max_ - owner_.request_.body.size())
            return;
        overflow = true;
        ec = beast_http::error::body_limit;
    }

    std::size_t on_chunk_body_impl(std::uint64_t, BeastView body, error_code& ec) override {
        return append(body, ec);
    }

    void on_finish_impl(error_code&) override {}

    HttpParser& owner_;
    std::size_t fields_ = 0;
    std::size_t extension_bytes_ = 0;
    bool in_body_ = false;
};

HttpParser::HttpParser(const HttpLimits& limits) : limits_(limits), body_max_(limits.body_bytes_max) {}

HttpParser::~HttpParser() = default;

bool HttpParser::idle() const noexcept {
    return state_ == State::head && buffer_.empty();
}

void HttpParser::refuse(int status, Errc code, std::string cause, std::string fix) {
    state_ = State::refused;
    refusal_ = HttpRefusal{status, Error{code, "HTTP request", std::move(cause), std::move(fix)}};
}

std::size_t HttpParser::feed(ByteView bytes) {
    switch (state_) {
    case State::head:
        return feed_head(bytes);
    case State::head_end:
        state_ = State::body;
        return feed_body(bytes);
    case State::body:
        return feed_body(bytes);
    default:
        return 0;
    }
}

bool HttpParser::scan_head_byte(char c) {
    const char before = buffer_.empty() ? '\n' : buffer_.back();
    const bool bare_lf = c == '\n' && before != '\r';
    const bool bare_cr = before == '\r' && c != '\n';
    if (bare_lf || bare_cr)
        return refuse(400, Errc::malformed, "a line does not end in CR LF"), false;
    const bool control =
        (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f;
    if (control)
        return refuse(400, Errc::malformed, "the head holds a control character"), false;
    if (before == '\n' && (c == ' ' || c == '\t'))
        return refuse(400, Errc::malformed, "a line begins with white space (obsolete folding)"), false;
    return true;
}

std::size_t HttpParser::feed_head(ByteView bytes) {
    std::size_t used = 0;
    for (const char c : bytes) {
        ++used;
        if (!scan_head_byte(c))
            return used;
        buffer_ += c;
        if (buffer_ == "\r\n")
            buffer_.clear(); // RFC 9112 section 2.2: an empty line before a request is skipped
        if (buffer_.ends_with("\r\n\r\n")) {
            finish_head();
            return used;
        }
        if (buffer_.size() >= limits_.header_bytes_max) {
            const bool first_line = buffer_.find('\r') == Bytes::npos;
            refuse(first_line ? 414 : 431, Errc::too_large, "the head is larger than http.header_bytes_max");
            return used;
        }
    }
    return used;
}

void HttpParser::finish_head() {
    machine_ = std::make_unique<Machine>(*this);
    error_code ec;
    const auto used = machine_->put(boost::asio::buffer(buffer_.data(), buffer_.size()), ec);
    if (ec == beast_http::error::header_limit) {
        const bool count = buffer_.size() <= limits_.header_bytes_max;
        return refuse(431, Errc::too_large, count ? "too many header fields" : "the head is too large");
    }
    if (ec == beast_http::error::bad_version)
        return refuse(505, Errc::unsupported, "the version is neither HTTP/1.1 nor HTTP/1.0");
    // Errors about the body's length belong to the checks below, which know what to say.
    if (ec && ec != beast_http::error::need_more)
        return refuse(400, Errc::malformed, ec.message());
    if (used != buffer_.size() || !machine_->is_header_done())
        return refuse(400, Errc::malformed, "the head is not a complete request");
    buffer_.clear();
    if (!check_head() || !check_target())
        return;
    keep_alive_ = machine_->keep_alive();
    body_max_ = limits_.body_bytes_max;
    wire_bytes_ = 0;
    state_ = State::head_end;
}

bool HttpParser::check_head() {
    const auto& headers = request_.headers;
    const auto bad = [this](std::string cause) {
        return refuse(400, Errc::malformed, std::move(cause)), false;
    };
    const bool modern = request_.minor_version >= 1;
    if (headers.count("Host") > 1 || (modern && headers.count("Host") == 0))
        return bad("HTTP/1.1 needs exactly one Host field");
    const auto lengths = headers.count("Content-Length");
    const auto codings = headers.count("Transfer-Encoding");
    if (lengths > 1 || codings > 1)
        return bad("Content-Length or Transfer-Encoding is given twice");
    if (lengths > 0 && codings > 0)
        return bad("Content-Length and Transfer-Encoding exclude each other");
    const auto length = headers.value("Content-Length");
    if (lengths > 0 && (length.empty() || length.find_first_not_of("0123456789") != std::string_view::npos))
        return bad("Content-Length is not a number");
    if (codings > 0 && !modern)
        return bad("Transfer-Encoding does not exist in HTTP/1.0");
    if (codings > 0 && !equal_ignoring_case(headers.value("Transfer-Encoding"), "chunked"))
        return refuse(501, Errc::unsupported, "the only transfer coding known here is chunked"), false;
    expects_continue_ = false;
    if (!headers.find("Expect") || !modern)
        return true;
    if (headers.count("Expect") > 1 || !equal_ignoring_case(headers.value("Expect"), "100-continue"))
        return refuse(417, Errc::unsupported, "the only expectation known here is 100-continue"), false;
    expects_continue_ =
        codings > 0 || (lengths > 0 && length.find_first_not_of('0') != std::string_view::npos);
    return true;
}

bool HttpParser::check_target() {
    std::string_view target = request_.target;
    if (target.size() > limits_.target_bytes_max)
        return refuse(414, Errc::too_large, "the request target is longer than http.target_bytes_max"), false;
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (target.size() < scheme.size() || !equal_ignoring_case(target.substr(0, scheme.size()), scheme))
            continue;
        const auto slash = target.find_first_of("/?", scheme.size());
        target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
    }
    if (target == "*" && request_.method == "OPTIONS") {
        request_.path = "*";
        return true;
    }
    if (target.find('#') != std::string_view::npos)
        return refuse(400, Errc::malformed, "the request target holds a fragment"), false;
    const auto mark = target.find('?');
    auto path = decode_path(target.substr(0, mark));
    if (!path)
        return refuse(400, path.error().code, path.error().object + ": " + path.error().cause), false;
    request_.path = std::move(*path);
    const auto text = mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
    auto query = HttpQuery::parse(text, limits_.query_count_max);
    if (!query)
        return refuse(400, query.error().code, query.error().object + ": " + query.error().cause), false;
    request_.query = std::move(*query);
    return true;
}

void HttpParser::set_body_max(std::size_t bytes) {
    body_max_ = bytes;
    const auto length = machine_->content_length();
    if (length && *length > bytes)
        refuse(413, Errc::too_large, "the body is larger than allowed here");
}

std::size_t HttpParser::feed_body(ByteView bytes) {
    // The machine wants a chunk's header in one piece; everything else goes through as it comes.
    const bool joined = !buffer_.empty();
    const auto held = buffer_.size();
    if (joined)
        buffer_ += bytes;
    const ByteView input = joined ? ByteView(buffer_) : bytes;
    std::size_t used = 0;
    error_code ec;
    while (!machine_->is_done() && used < input.size()) {
        const auto step = machine_->put(boost::asio::buffer(input.data() + used, input.size() - used), ec);
        used += step;
        if (ec || step == 0)
            break;
    }
    if (machine_->overflow) {
        refuse(413, Errc::too_large, "the body is larger than allowed here");
        return bytes.size();
    }
    if (ec && ec != beast_http::error::need_more) {
        refuse(400, Errc::malformed, "the body's framing is broken: " + ec.message());
        return bytes.size();
    }
    wire_bytes_ += used;
    const bool done = machine_->is_done();
    const auto rest = done ? ByteView{} : input.substr(used);
    if (rest.size() > limits_.header_bytes_max || wire_bytes_ > framing_bytes_max()) {
        refuse(400, Errc::too_large, "chunk extensions or trailers are too large");
        return bytes.size();
    }
    buffer_ = Bytes(rest);
    if (!done)
        return bytes.size();
    state_ = State::done;
    return used - held; // whole framing lines only: it cannot end inside what was held
}

std::size_t HttpParser::framing_bytes_max() const noexcept {
    return limits_.header_bytes_max + framing_factor_max * request_.body.size();
}

HttpRequest HttpParser::take() {
    state_ = State::head;
    machine_.reset();
    buffer_.clear();
    return std::exchange(request_, HttpRequest{});
}

} // namespace brim::io
