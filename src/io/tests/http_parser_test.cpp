#include "io/http_parser.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::io;

namespace {

struct Outcome {
    int refused = 0; ///< status, 0: accepted
    HttpRequest request;
    std::size_t used = 0;
    bool complete = false;
    bool keep_alive = false;
};

/// Feeds `wire` in two parts, as a server does.
Outcome parse(ByteView wire, std::size_t split = 0, HttpLimits limits = {}) {
    HttpParser parser(limits);
    Outcome outcome;
    const ByteView parts[] = {wire.substr(0, split), wire.substr(split)};
    for (auto part : parts) {
        for (;;) {
            if (parser.state() == HttpParser::State::head_end)
                parser.set_body_max(limits.body_bytes_max);
            outcome.refused = parser.state() == HttpParser::State::refused ? parser.refusal().status : 0;
            if (outcome.refused != 0)
                return outcome;
            if (part.empty() && parser.state() != HttpParser::State::head_end)
                break;
            const auto used = parser.feed(part);
            outcome.used += used;
            part.remove_prefix(used);
            if (parser.state() != HttpParser::State::done)
                continue;
            outcome.complete = true;
            outcome.keep_alive = parser.keep_alive();
            outcome.request = parser.take();
            return outcome;
        }
    }
    return outcome;
}

std::string head(const std::string& fields, const std::string& line = "POST /a HTTP/1.1") {
    return line + "\r\nHost: hub\r\n" + fields + "\r\n";
}

int refused(const std::string& wire) {
    const auto whole = parse(wire);
    for (std::size_t split = 1; split < wire.size(); ++split)
        REQUIRE(parse(wire, split).refused == whole.refused);
    return whole.refused;
}

} // namespace

TEST_CASE("a request split at every byte is the same request") {
    const std::string requests[] = {
        "GET /a%20b?x=1&y=%C3%BC+2 HTTP/1.1\r\nHost: hub\r\nX-One:  1 \r\n\r\n",
        head("Content-Length: 11\r\n") + "hello world",
        head("Transfer-Encoding: chunked\r\n") +
            "5\r\nhello\r\n6;ext=\"v\"\r\n world\r\n0\r\nTrailer: x\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "\r\nGET http://hub/path HTTP/1.1\r\nHost: hub\r\n\r\n",
    };
    for (const auto& wire : requests) {
        const auto whole = parse(wire + "GET /next");
        REQUIRE(whole.complete);
        CHECK(whole.used == wire.size()); // nothing of the next request
        for (std::size_t split = 1; split < wire.size(); ++split) {
            const auto parts = parse(wire + "GET /next", split);
            REQUIRE(parts.complete);
            CHECK(parts.used == whole.used);
            CHECK(parts.request.path == whole.request.path);
            CHECK(parts.request.body == whole.request.body);
            CHECK(parts.request.headers.size() == whole.request.headers.size());
        }
        for (std::size_t cut = 0; cut < wire.size(); ++cut)
            CHECK_FALSE(parse(wire.substr(0, cut)).complete);
    }
}

TEST_CASE("the parts of a request are decoded once") {
    const auto got =
        parse("GET /a%20b/%2541?x=1&y=%C3%BC+2&x=3&flag HTTP/1.1\r\nHost: hub\r\nx-One:  1 \r\n\r\n").request;
    CHECK(got.method == "GET");
    CHECK(got.path == "/a b/%41");
    CHECK(got.query.value("x") == "1");
    CHECK(got.query.value("y") == "\xC3\xBC 2");
    CHECK(got.query.size() == 4);
    CHECK(got.query.find("flag") != nullptr);
    CHECK(got.query.find("none") == nullptr);
    CHECK(got.headers.value("X-ONE") == "1");
    CHECK(
        parse(head("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n").request.body ==
        "hello!"
    );
}

TEST_CASE("keep-alive follows the version and the Connection field") {
    CHECK(parse("GET / HTTP/1.1\r\nHost: h\r\n\r\n").keep_alive);
    CHECK_FALSE(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").keep_alive);
    CHECK_FALSE(parse("GET / HTTP/1.0\r\n\r\n").keep_alive);
    CHECK(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
}

TEST_CASE("[F-56] what two servers could read differently is refused") {
    CHECK(refused(head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n") == 400);
    CHECK(refused(head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\n") == 400);
    CHECK(refused(head("Content-Length: 5\r\nContent-Length: 5\r\n") + "hello") == 400);
    CHECK(refused(head("Content-Length: 5\r\nContent-Length: 6\r\n") + "hello") == 400);
    CHECK(refused(head("Content-Length: 5, 5\r\n") + "hello") == 400);
    CHECK(refused(head("Content-Length: +5\r\n") + "hello") == 400);
    CHECK(refused(head("Content-Length: 0x5\r\n") + "hello") == 400);
    CHECK(refused(head("Content-Length:\r\n") + "hello") == 400);
    CHECK(refused(head("Content-Length: 99999999999999999999999\r\n")) == 400);
    CHECK(refused(head("Transfer-Encoding: gzip, chunked\r\n")) == 501);
    CHECK(refused(head("Transfer-Encoding: identity\r\n")) == 501);
    CHECK(refused(head("Transfer-Encoding: xchunked\r\n")) == 501);
    CHECK(refused(head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")) == 400);
    CHECK(refused(head("Transfer-Encoding : chunked\r\n")) == 400);
    CHECK(refused("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400);
    CHECK(refused(head("X: a\r\n b\r\n")) == 400); // obsolete folding
    CHECK(refused("POST / HTTP/1.1\r\n Host: h\r\n\r\n") == 400);
    CHECK(refused("GET / HTTP/1.1\nHost: h\n\n") == 400);             // bare LF
    CHECK(refused("GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n") == 400); // bare CR
    CHECK(refused(head(std::string("X: a\0b\r\n", 8))) == 400);
    CHECK(refused(head("X\x7f: a\r\n")) == 400);
    CHECK(refused(head(": no name\r\n")) == 400);
    CHECK(refused(head("no colon\r\n")) == 400);
}

TEST_CASE("HTTP/1.1 needs exactly one Host") {
    CHECK(refused("GET / HTTP/1.1\r\n\r\n") == 400);
    CHECK(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
    CHECK(refused("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n") == 400);
}

TEST_CASE("broken request lines are refused") {
    CHECK(refused("GET / HTTP/2.0\r\nHost: h\r\n\r\n") == 505);
    CHECK(refused("GET / HTTP/0.9\r\n\r\n") == 505);
    CHECK(refused("GET  / HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
    CHECK(refused("GET / HTTP/1.1 \r\nHost: h\r\n\r\n") == 505);
    CHECK(refused("GET /\r\n\r\n") == 400);
    CHECK(refused("G(T / HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
    CHECK(refused("CONNECT hub:443 HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
    CHECK(refused("\x16\x03\x01\x02 TLS hello to a plain port") == 400);
}

TEST_CASE("[F-56] chunked framing is strict") {
    const auto chunked = [](const std::string& body) {
        return refused(head("Transfer-Encoding: chunked\r\n") + body);
    };
    CHECK(chunked("ffffffffffffffff\r\nx") == 413);
    CHECK(chunked("10000000000000000\r\nx") == 400); // overflows 64 bits
    CHECK(chunked("-1\r\nx") == 400);
    CHECK(chunked("0x5\r\nhello\r\n0\r\n\r\n") == 400);
    CHECK(chunked("5\nhello\r\n0\r\n\r\n") == 400);
    CHECK(chunked("5\r\nhello!\r\n0\r\n\r\n") == 400);
    CHECK(chunked("5\r\nhello\r\n0\r\nbad trailer\r\n\r\n") == 400);
}

TEST_CASE("trailers cannot smuggle header fields in") {
    const auto got = parse(head("Transfer-Encoding: chunked\r\n") + "0\r\nAuthorization: x\r\n\r\n");
    REQUIRE(got.complete);
    CHECK(got.request.headers.find("Authorization") == nullptr);
}

TEST_CASE("chunk extensions and one-byte chunks are bounded by what the body is worth") {
    HttpLimits limits;
    limits.header_bytes_max = 1000;
    const auto with_extension = [&](std::size_t bytes) {
        const auto wire =
            head("Transfer-Encoding: chunked\r\n") + "1;" + std::string(bytes, 'e') + "\r\nx\r\n0\r\n\r\n";
        return parse(wire, 0, limits);
    };
    CHECK(with_extension(900).complete);
    CHECK(with_extension(1100).refused == 400);
    std::string many = head("Transfer-Encoding: chunked\r\n");
    for (int i = 0; i < 1000; ++i)
        many += "1;" + std::string(100, 'e') + "\r\nx\r\n";
    CHECK(parse(many, many.size() / 2, limits).refused == 400);
    std::string tiny = head("Transfer-Encoding: chunked\r\n");
    for (int i = 0; i < 1000; ++i)
        tiny += "1\r\nx\r\n";
    CHECK(parse(tiny + "0\r\n\r\n", 0, limits).request.body.size() == 1000);
}

TEST_CASE("each limit holds at -1, 0 and +1") {
    HttpLimits limits;
    limits.header_bytes_max = 400;
    limits.headers_max = 5;
    limits.target_bytes_max = 50;
    limits.query_count_max = 3;
    limits.body_bytes_max = 10;
    const auto head_of = [&](std::size_t bytes) {
        const std::string base = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
        return parse(base + std::string(bytes - base.size() - 4, 'x') + "\r\n\r\n", 0, limits);
    };
    CHECK(head_of(399).complete);
    CHECK(head_of(400).complete);
    CHECK(head_of(401).refused == 431);
    const auto fields = [&](int count) {
        std::string wire = "GET / HTTP/1.1\r\nHost: h\r\n";
        for (int i = 1; i < count; ++i)
            wire += "X: y\r\n";
        return parse(wire + "\r\n", 0, limits);
    };
    CHECK(fields(4).complete);
    CHECK(fields(5).complete);
    CHECK(fields(6).refused == 431);
    const auto target = [&](std::size_t bytes) {
        return parse("GET /" + std::string(bytes - 1, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 0, limits);
    };
    CHECK(target(49).complete);
    CHECK(target(50).complete);
    CHECK(target(51).refused == 414);
    CHECK(target(1000).refused == 414);
    const auto query = [&](const std::string& text) {
        return parse("GET /?" + text + " HTTP/1.1\r\nHost: h\r\n\r\n", 0, limits);
    };
    CHECK(query("a&b").complete);
    CHECK(query("a&b&c").complete);
    CHECK(query("a&b&c&d").refused == 400);
    for (const std::size_t size : {9, 10, 11}) {
        const auto body = std::string(size, 'b');
        const auto length = "Content-Length: " + std::to_string(size) + "\r\n";
        const auto plain = parse(head(length) + body, 0, limits);
        const auto chunk = (size == 11   ? "b"
                            : size == 10 ? "a"
                                         : "9") +
                           std::string("\r\n") + body + "\r\n0\r\n\r\n";
        const auto chunked = parse(head("Transfer-Encoding: chunked\r\n") + chunk, 0, limits);
        CHECK(plain.complete == (size <= 10));
        CHECK(chunked.complete == (size <= 10));
        CHECK(plain.refused == (size <= 10 ? 0 : 413));
        CHECK(chunked.refused == (size <= 10 ? 0 : 413));
    }
}

TEST_CASE("a declared length above the limit is refused before a byte of the body") {
    const auto got = parse(head("Content-Length: 10737418240\r\n"));
    CHECK(got.refused == 413);
}

TEST_CASE("[F-56] expectations other than 100-continue are refused") {
    CHECK(refused(head("Expect: 200-maybe\r\nContent-Length: 1\r\n") + "x") == 417);
    CHECK(
        refused(head("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n") + "x") == 417
    );
    CHECK(parse(head("Expect: 100-Continue\r\nContent-Length: 1\r\n") + "x").complete);
}

TEST_CASE("[F-56] path encodings that hide something are refused") {
    for (const std::string_view bad :
         {"",
          "a",
          "/%",
          "/%4",
          "/%zz",
          "/%00",
          "/a%2fb",
          "/a%2Fb",
          "/a%5Cb",
          "/a\\b",
          "/..",
          "/a/../b",
          "/%2e%2e/etc",
          "/a/.",
          "/.%2e/x",
          "/%ff",
          "/%c0%af",
          "/%0d%0aX: y",
          "/a\x01"}) {
        CAPTURE(bad);
        CHECK_FALSE(decode_path(bad).has_value());
    }
    for (const auto& [raw, plain] :
         {std::pair<std::string_view, std::string_view>{"/", "/"},
          {"/%41", "/A"},
          {"/%2541", "/%41"},
          {"/a..b/...", "/a..b/..."},
          {"/a+b", "/a+b"},
          {"/%E4%BD%A0", "/\xE4\xBD\xA0"},
          {"//x", "//x"}})
        CHECK(decode_path(raw).value() == plain);
    CHECK(refused("GET /x#y HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
    CHECK(refused("GET /x?a=%00 HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
    CHECK(refused("GET /x?a=%4 HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
}

TEST_CASE("dates are written as HTTP wants them") {
    CHECK(http_date(WallTime{784'111'777'000}) == "Sun, 06 Nov 1994 08:49:37 GMT");
}
