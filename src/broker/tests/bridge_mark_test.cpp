#include "broker/bridge_mark.h"

#include "broker/bridge_echo.h"
#include "broker/bridge_record.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>

using namespace brim;
using namespace brim::broker;

TEST_CASE("a mark reads as it was written") {
    const BridgeMark mark{{"hub-1", "edge_7.b"}, "00ff.12"};
    const auto read = BridgeMark::parse(mark.text());
    REQUIRE(read);
    CHECK(read->path == mark.path);
    CHECK(read->id() == "hub-1;00ff.12");
    CHECK(read->passed("edge_7.b"));
    CHECK_FALSE(read->passed("edge"));
}

TEST_CASE("[B-57] what is no mark is told from one") {
    std::string eight = "a";
    for (int i = 1; i < 8; ++i)
        eight += ",a";
    CHECK(BridgeMark::parse(eight + ";1"));
    CHECK_FALSE(BridgeMark::parse(eight + ",a;1"));
    for (const char* text : {"", ";", "a", "a;", ";1", "a,;1", ",a;1", "a b;1", "a;x", "a;1;2", "$a;1"})
        CHECK_FALSE(BridgeMark::parse(text));
    CHECK(BridgeMark::parse(std::string(64, 'a') + ";1"));
    CHECK_FALSE(BridgeMark::parse(std::string(65, 'a') + ";1"));
    CHECK_FALSE(BridgeMark::parse("a;" + std::string(41, '1')));
    Message twice;
    twice.user_properties = {{"brim-bridge", "a;1"}, {"brim-bridge", "b;1"}};
    CHECK(find_mark(twice).bad);
    CHECK_FALSE(find_mark(*with_mark(twice, {{"c"}, "1"})).bad);
    CHECK_FALSE(find_mark(Message{}).bad);
}

TEST_CASE("a second copy waits while the first is being stored, and comes again when that failed") {
    SeenMessages seen(2);
    int told = 0;
    const auto done = [&told](bool taken) { told += taken ? 1 : 100; };
    using enum SeenMessages::Answer;
    CHECK(seen.ask("a", false, done) == fresh);
    CHECK(seen.ask("a", false, done) == waiting);
    CHECK(told == 0);
    seen.settle("a", false);
    CHECK(told == 100);
    CHECK(seen.ask("a", false, done) == fresh);
    seen.settle("a", true);
    CHECK(seen.ask("a", false, done) == known);
    for (const char* id : {"b", "c"}) {
        CHECK(seen.ask(id, false, {}) == fresh);
        seen.settle(id, true);
    }
    CHECK(seen.size() == 2);
    CHECK(seen.ask("a", false, {}) == fresh); // the oldest was forgotten
}

TEST_CASE("a copy that promises more than the one before is taken") {
    SeenMessages seen;
    using enum SeenMessages::Answer;
    CHECK(seen.ask("a", true, {}) == fresh);
    seen.settle("a", true);
    CHECK(seen.ask("a", true, {}) == known);
    CHECK(seen.ask("a", false, {}) == fresh);
    seen.settle("a", true);
    CHECK(seen.ask("a", false, {}) == known);
}

TEST_CASE("an echo is known once for each time it was sent, and not for ever") {
    EchoMemory memory(3, std::chrono::seconds{10});
    const Mono start{};
    memory.sent("t", "x", start);
    memory.sent("t", "x", start);
    CHECK_FALSE(memory.is_echo("t", "y", start));
    CHECK_FALSE(memory.is_echo("tx", "", start));
    CHECK(memory.is_echo("t", "x", start));
    CHECK(memory.is_echo("t", "x", start));
    CHECK_FALSE(memory.is_echo("t", "x", start));
    memory.sent("t", "x", start);
    CHECK_FALSE(memory.is_echo("t", "x", start + std::chrono::seconds{11}));
    for (const char* payload : {"1", "2", "3", "4"})
        memory.sent("t", payload, start + std::chrono::seconds{12});
    CHECK(memory.size() == 3);
    CHECK_FALSE(memory.is_echo("t", "1", start + std::chrono::seconds{12}));
    CHECK(memory.is_echo("t", "4", start + std::chrono::seconds{12}));
}

TEST_CASE("a stored message reads as it was written, and no shorter one does") {
    Message message;
    message.topic = "a/b";
    message.payload = "p";
    message.qos = 1;
    message.retain = true;
    message.content_type = "text/plain";
    message.response_topic = "r";
    message.correlation = Bytes("\0c", 2);
    message.user_properties = {{"k", "v"}, {"k", ""}};
    message.expiry_s = 60;
    message.time.ms = 1'000'000;
    const Bytes bytes = encode_bridge_record(message);
    auto read = decode_bridge_record(bytes);
    REQUIRE(read);
    CHECK(encode_bridge_record(*read) == bytes);
    CHECK(read->retain);
    CHECK(read->user_properties == message.user_properties);
    for (std::size_t size = 0; size + 1 < bytes.size(); ++size)
        CHECK_FALSE(decode_bridge_record(ByteView(bytes).substr(0, size)));
    CHECK(decode_bridge_record("\x02" + bytes.substr(1)).error().code == Errc::unsupported);
    CHECK(take_off_age(*read, WallTime{1'000'000 + 59'999}));
    CHECK(read->expiry_s == 1);
    CHECK_FALSE(take_off_age(*read, WallTime{1'000'000 + 60'000}));
    CHECK(take_off_age(message, WallTime{0})); // a clock that was set back
    CHECK(message.expiry_s == 60);
}

TEST_CASE("any bytes as a stored message are read or refused") {
    rc::check([](const std::string& bytes) {
        const auto read = decode_bridge_record(bytes);
        if (read)
            RC_ASSERT(encode_bridge_record(*read) == bytes);
    });
}
