#include "io/websocket_codec.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::io;

namespace {

constexpr char text_frame = '\x81';
constexpr char binary_frame = '\x82';

/// A client's frame: masked.
Bytes client_frame(char first, ByteView payload, bool masked = true) {
    Bytes out(1, first);
    const char mask_bit = masked ? '\x80' : '\0';
    if (payload.size() < 126) {
        out += static_cast<char>(mask_bit | static_cast<char>(payload.size()));
    } else if (payload.size() < 65'536) {
        out += static_cast<char>(mask_bit | 126);
        put_u16(out, static_cast<std::uint16_t>(payload.size()));
    } else {
        out += static_cast<char>(mask_bit | 127);
        put_u64(out, payload.size());
    }
    const ByteView mask = "\x11\x22\x33\x44";
    if (masked)
        out += mask;
    for (std::size_t i = 0; i < payload.size(); ++i)
        out += masked ? static_cast<char>(payload[i] ^ mask[i % 4]) : payload[i];
    return out;
}

using Kind = WebSocketCodec::Event::Kind;

/// The code that `wire` is closed with; 0 when it is not.
int close_code(ByteView wire, WebSocketLimits limits = {}) {
    WebSocketCodec codec(limits);
    int code = 0;
    for (const auto& event : codec.receive(wire))
        if (event.kind == Kind::closed)
            code = event.code;
    if (code != 0) {
        const auto out = codec.take_output();
        REQUIRE(out.size() >= 4); // the close frame that says so
        REQUIRE(out[out.size() - 4] == '\x88');
        CHECK(codec.over());
    }
    return code;
}

} // namespace

TEST_CASE("messages survive every split") {
    const auto wire = client_frame('\x01', "Hel") + client_frame('\x89', "ping") +
                      client_frame('\x80', "lo") + client_frame(binary_frame, Bytes(300, '\0')) +
                      client_frame(binary_frame, Bytes(70'000, 'b')) + client_frame(text_frame, "") +
                      client_frame(
                          '\x88',
                          "\x03\xe8"
                          "bye"
                      );
    for (std::size_t split = 0; split < wire.size(); split += split < 400 ? 1 : 997) {
        WebSocketCodec codec({});
        auto events = codec.receive(ByteView(wire).substr(0, split));
        for (auto& event : codec.receive(ByteView(wire).substr(split)))
            events.push_back(std::move(event));
        REQUIRE(events.size() == 5);
        CHECK(events[0].payload == "Hello");
        CHECK(events[0].kind == Kind::text);
        CHECK(events[1].payload == Bytes(300, '\0'));
        CHECK(events[1].kind == Kind::binary);
        CHECK(events[2].payload == Bytes(70'000, 'b'));
        CHECK(events[3].payload.empty());
        CHECK(events[4].kind == Kind::closed);
        CHECK(events[4].code == 1000);
        CHECK(events[4].payload == "bye");
        // The pong may be left out when the close is there already.
        CHECK(codec.take_output().ends_with("\x88\x05\x03\xe8"
                                            "bye"));
    }
}

TEST_CASE("what is sent is framed unmasked, with the shortest length") {
    WebSocketCodec codec({});
    codec.send_text("hi");
    CHECK(codec.take_output() == "\x81\x02hi");
    codec.send_binary(Bytes(126, 'x'));
    CHECK(codec.take_output().substr(0, 4) == Bytes("\x82\x7e\0\x7e", 4));
    codec.send_ping();
    CHECK(codec.take_output() == Bytes("\x89\0", 2));
    codec.close(
        WsClose::policy,
        Bytes(122, 'r') + "\xC3\xBC"
                          "rest"
    );
    const auto close = codec.take_output();
    CHECK(close.size() == 2 + 2 + 122); // the two-byte character that did not fit is left out whole
    codec.send_text("after the close");
    CHECK(codec.take_output().empty());
    CHECK(codec.closing());
}

TEST_CASE("[F-51] broken frames are closed with the code for it") {
    CHECK(close_code(client_frame(text_frame, "x", false)) == 1002); // not masked
    CHECK(close_code(client_frame('\xc1', "x")) == 1002);            // RSV1: compression was not agreed on
    CHECK(close_code(client_frame('\xa1', "x")) == 1002);            // RSV2
    CHECK(close_code(client_frame('\x91', "x")) == 1002);            // RSV3
    CHECK(close_code(client_frame('\x83', "x")) == 1002);            // unknown opcode
    CHECK(close_code(client_frame('\x8b', "x")) == 1002);            // unknown control opcode
    CHECK(close_code(client_frame('\x80', "x")) == 1002);            // continuation of nothing
    CHECK(close_code(client_frame('\x01', "x") + client_frame('\x81', "y")) == 1002); // a second start
    CHECK(close_code(client_frame('\x09', "x")) == 1002);                             // fragmented ping
    CHECK(close_code(client_frame('\x08', "")) == 1002);                              // fragmented close
    CHECK(close_code(client_frame('\x89', Bytes(126, 'p'))) == 1002);      // a control frame of 126 bytes
    CHECK(close_code(Bytes("\x82\xff\x80\0\0\0\0\0\0\0", 10)) == 1002);    // 2^63 bytes
    CHECK(close_code(Bytes("\x82\xfe\0\x7d", 4)) == 1002);                 // length not minimal
    CHECK(close_code(client_frame('\x88', "\x03")) == 1002);               // half a close code
    CHECK(close_code(client_frame('\x88', Bytes("\x03\xed", 2))) == 1002); // 1005 may not be sent
    CHECK(close_code(client_frame('\x88', Bytes("\0\0", 2))) == 1002);
    CHECK(close_code(client_frame('\x88', "\x03\xe8\xff\xff")) == 1007); // a reason that is not UTF-8
    CHECK(close_code(client_frame(text_frame, "\xff")) == 1007);
    CHECK(close_code(client_frame(text_frame, "\xed\xa0\x80")) == 1007); // a surrogate
    CHECK(
        close_code(client_frame('\x01', "\xe4\xbd") + client_frame('\x80', "")) == 1007
    ); // a character cut short
    CHECK(
        close_code(client_frame('\x01', "\xe4\xbd") + client_frame('\x80', "\xa0")) == 0
    ); // in two fragments it is fine
    CHECK(close_code(client_frame(text_frame, "fine")) == 0);
}

TEST_CASE("[B-10] sizes are cut at the limit, from the header and one byte, and at -1, 0, +1") {
    WebSocketLimits limits;
    limits.message_bytes_max = 1000;
    limits.fragments_max = 10;
    CHECK(close_code(client_frame(binary_frame, Bytes(999, 'x')), limits) == 0);
    CHECK(close_code(client_frame(binary_frame, Bytes(1000, 'x')), limits) == 0);
    CHECK(close_code(client_frame(binary_frame, Bytes(1001, 'x')), limits) == 1009);
    CHECK(
        close_code(Bytes("\x82\xff\0\0\0\0\x40\0\0\0\x11\x22\x33\x44x", 15), limits) == 1009
    ); // 1 GiB declared
    const auto halves = [&](std::size_t second) {
        return close_code(
            client_frame('\x02', Bytes(500, 'x')) + client_frame('\x80', Bytes(second, 'x')), limits
        );
    };
    CHECK(halves(499) == 0);
    CHECK(halves(500) == 0);
    CHECK(halves(501) == 1009);
    const auto fragments = [&](int count) {
        auto wire = client_frame('\x02', "");
        for (int i = 2; i < count; ++i)
            wire += client_frame('\0', "");
        return close_code(wire + client_frame('\x80', ""), limits);
    };
    CHECK(fragments(9) == 0);
    CHECK(fragments(10) == 0);
    CHECK(fragments(11) == 1009);
}

TEST_CASE("nothing is heard after the end") {
    WebSocketCodec codec({});
    const auto events = codec.receive(client_frame('\x88', "") + client_frame(text_frame, "ghost"));
    REQUIRE(events.size() == 1);
    CHECK(events[0].kind == Kind::closed);
    CHECK(codec.receive(client_frame(text_frame, "ghost")).empty());
}

TEST_CASE("a close reason is checked wherever the frame is cut") {
    const auto wire = client_frame('\x88', "\x11\x27\xb2\xc1yB");
    for (std::size_t split = 0; split <= wire.size(); ++split) {
        WebSocketCodec codec({});
        auto events = codec.receive(ByteView(wire).substr(0, split));
        for (auto& event : codec.receive(ByteView(wire).substr(split)))
            events.push_back(std::move(event));
        REQUIRE(events.size() == 1);
        CHECK(events[0].code == 1007);
        CHECK(codec.take_output() == "\x88\x02\x03\xef");
    }
}
