#include "base/bytes.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

using namespace brim;

namespace {

/// Decodes UTF-8 the slow way, by listing the well-formed byte ranges of Unicode table 3-7.
bool naive_utf8(const std::string& text) {
    struct Form {
        std::vector<std::pair<int, int>> ranges;
    };

    static const std::vector<Form> forms{
        {{{0x00, 0x7F}}},
        {{{0xC2, 0xDF}, {0x80, 0xBF}}},
        {{{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}}},
        {{{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}}},
        {{{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}}},
        {{{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}}},
        {{{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}},
        {{{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}},
        {{{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}}},
    };
    std::size_t at = 0;
    while (at < text.size()) {
        bool matched = false;
        for (const Form& form : forms) {
            bool fits = at + form.ranges.size() <= text.size();
            for (std::size_t i = 0; fits && i < form.ranges.size(); ++i) {
                const int byte = static_cast<unsigned char>(text[at + i]);
                fits = byte >= form.ranges[i].first && byte <= form.ranges[i].second;
            }
            if (!fits)
                continue;
            at += form.ranges.size();
            matched = true;
            break;
        }
        if (!matched)
            return false;
    }
    return true;
}

} // namespace

TEST_CASE("a reader gives back what the writers put, in order") {
    Bytes out;
    put_u8(out, 0xAB);
    put_u16(out, 0x1234);
    put_u32(out, 0xDEADBEEF);
    put_u64(out, 0x0123456789ABCDEF);
    put_varint(out, 321);
    put_prefixed(out, "topic");
    out += "tail";
    CHECK(to_hex(out).starts_with("ab1234deadbeef0123456789abcdefc102000574"));
    Reader in(out, "sample");
    CHECK(in.u8() == 0xAB);
    CHECK(in.u16() == 0x1234);
    CHECK(in.u32() == 0xDEADBEEF);
    CHECK(in.u64() == 0x0123456789ABCDEF);
    CHECK(in.varint() == 321);
    CHECK(in.prefixed() == "topic");
    CHECK(in.more());
    CHECK(in.rest() == "tail");
    CHECK_FALSE(in.more());
    CHECK(in.finish(7).value() == 7);
}

TEST_CASE("a reader never reads past any cut of its bytes, and says where it stopped") {
    Bytes whole;
    put_u16(whole, 7);
    put_u32(whole, 9);
    put_u64(whole, 11);
    put_varint(whole, 268'435'455);
    put_prefixed(whole, "abc");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const std::vector<char> cut(
            whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)
        ); // ASan sees its end
        Reader in(ByteView(cut.data(), cut.size()), "cut");
        in.u16();
        in.u32();
        in.u64();
        in.varint();
        in.prefixed();
        const auto done = in.finish(true);
        REQUIRE_FALSE(done);
        CHECK(done.error().code == Errc::malformed);
        CHECK(done.error().object == "cut");
        CHECK(in.offset() <= size);
        CHECK(in.u8() == 0);
        CHECK(in.rest().empty());
    }
    Reader full(whole, "full");
    full.u16();
    full.u32();
    full.u64();
    CHECK(full.varint() == 268'435'455);
    full.prefixed();
    CHECK(full.finish(true));
}

TEST_CASE("a reader under any sequence of reads stays inside its view") {
    CHECK(rc::check([](const std::string& bytes, const std::vector<std::uint8_t>& steps) {
        Reader in(bytes, "random");
        for (const std::uint8_t step : steps) {
            const std::size_t before = in.offset();
            switch (step % 7) {
            case 0:
                in.u8();
                break;
            case 1:
                in.u16();
                break;
            case 2:
                in.u32();
                break;
            case 3:
                in.u64();
                break;
            case 4:
                in.varint();
                break;
            case 5:
                in.prefixed();
                break;
            default:
                in.view(step);
                break;
            }
            RC_ASSERT(in.offset() >= before);
            RC_ASSERT(in.offset() <= bytes.size());
            RC_ASSERT(in.remaining() == bytes.size() - in.offset());
        }
    }));
}

TEST_CASE("the first error of a reader wins and keeps its offset") {
    Reader in("ab", "pair");
    in.u8();
    in.fail(Errc::invalid, "no such flag");
    in.fail(Errc::too_large, "later");
    in.u64();
    const Error error = in.error();
    CHECK(error.code == Errc::invalid);
    CHECK(error.cause == "no such flag at byte 1");
}

TEST_CASE("bytes left over are an error") {
    Reader in("ab", "pair");
    in.u8();
    const auto done = in.finish(1);
    REQUIRE_FALSE(done);
    CHECK(done.error().cause.find("left over") != std::string::npos);
}

TEST_CASE("[MQTT-1.5.5] a variable byte integer has one form and at most four bytes") {
    for (const std::uint32_t value :
         {0U, 127U, 128U, 16'383U, 16'384U, 2'097'151U, 2'097'152U, 268'435'455U}) {
        Bytes out;
        put_varint(out, value);
        Reader in(out, "varint");
        CHECK(in.varint() == value);
        CHECK(in.finish(true));
    }
    using namespace std::string_view_literals;
    for (const auto wrong :
         {"\x80\x00"sv, "\xFF\x00"sv, "\xFF\xFF\xFF\x80\x01"sv, "\xFF\xFF\xFF\xFF\x7F"sv, "\x80"sv, ""sv}) {
        Reader in(wrong, "varint");
        in.varint();
        CHECK_FALSE(in.ok());
    }
}

TEST_CASE("hex and its reading are inverse, and wrong hex is refused with its place") {
    CHECK(rc::check([](const std::string& bytes) {
        const auto back = from_hex(to_hex(bytes));
        RC_ASSERT(back);
        RC_ASSERT(*back == bytes);
    }));
    CHECK(from_hex("AbcD").value() == "\xAB\xCD");
    CHECK_FALSE(from_hex("abc"));
    const auto wrong = from_hex("ab0g");
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().cause.find("byte 3") != std::string::npos);
}

TEST_CASE("base64url follows RFC 4648 section 10, without padding") {
    CHECK(to_base64url("") == "");
    CHECK(to_base64url("f") == "Zg");
    CHECK(to_base64url("fo") == "Zm8");
    CHECK(to_base64url("foo") == "Zm9v");
    CHECK(to_base64url("foobar") == "Zm9vYmFy");
    CHECK(to_base64url("\xFB\xFF\xFE") == "-__-");
}

TEST_CASE("UTF-8 is checked as Unicode table 3-7 says, for any bytes") {
    // bytes near the borders of the table, so that random text is often nearly right
    const auto byte = rc::gen::element(
        0x00,
        0x41,
        0x7F,
        0x80,
        0x8F,
        0x90,
        0x9F,
        0xA0,
        0xBF,
        0xC0,
        0xC1,
        0xC2,
        0xDF,
        0xE0,
        0xE1,
        0xEC,
        0xED,
        0xEE,
        0xEF,
        0xF0,
        0xF1,
        0xF3,
        0xF4,
        0xF5,
        0xFF
    );
    CHECK(rc::check([&] {
        std::string text;
        for (const int one : *rc::gen::container<std::vector<int>>(byte))
            text.push_back(static_cast<char>(one));
        RC_ASSERT(is_utf8(text) == naive_utf8(text));
    }));
    // every lead and second byte, behind an ASCII word that takes the fast path
    for (int lead = 0; lead < 256; ++lead) {
        for (int second = 0; second < 256; ++second) {
            std::string text = "eight---";
            text.push_back(static_cast<char>(lead));
            text.push_back(static_cast<char>(second));
            text += "\x80\x80";
            REQUIRE(is_utf8(text) == naive_utf8(text));
        }
    }
    CHECK(is_utf8("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"));
    CHECK_FALSE(is_utf8("\xED\xA0\x80"));
}

TEST_CASE("[MQTT-1.5.4-2] an MQTT string holds no U+0000") {
    CHECK(is_mqtt_utf8("a/b"));
    CHECK_FALSE(is_mqtt_utf8(std::string_view("a\0b", 3)));
    CHECK_FALSE(is_mqtt_utf8("a\xFF"));
}
