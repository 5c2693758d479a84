// What an edge says of its numbers comes from outside: well-formed or as if it were not there.

#include "door_rig.h"
#include "hub/uplink_mark.h"

#include <algorithm>
#include <array>

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;

namespace {

using Properties = std::vector<std::pair<std::string, std::string>>;

const std::string some_store = "0123456789abcdef0123456789abcdef";
const std::string run_1 = "00000000000000a1";
const std::string run_2 = "00000000000000b2";
const std::string largest = "4611686018427387903"; // 2^62 - 1

std::optional<UplinkMark> read(Properties properties) {
    Message message;
    message.user_properties = std::move(properties);
    return read_uplink_mark(message, 7);
}

/// A whole mark with one property replaced; "-" leaves it out.
Properties with(std::string_view name, std::string_view value) {
    Properties out;
    for (const auto& [known, usual] : Properties{
             {"brim-store", some_store},
             {"brim-seq", "9"},
             {"brim-low", "3"},
             {"brim-run", run_1 + " 5"},
             {"brim-replay", "1"}
         }) {
        const std::string_view used = known == name ? value : std::string_view(usual);
        if (used != "-")
            out.emplace_back(known, used);
    }
    return out;
}

const std::array<std::string, 13> no_numbers{
    "",
    "0",
    "-1",
    "+1",
    " 1",
    "1 ",
    "1.0",
    "0x1",
    "one",
    "4611686018427387904", // 2^62
    "18446744073709551615",
    "18446744073709551616",
    std::string(70'000, '9'),
};

} // namespace

TEST_CASE("[mark-1] a whole mark is read, with the largest numbers too") {
    const auto mark = read(with("", ""));
    REQUIRE(mark);
    CHECK(mark->gateway == 7);
    CHECK(mark->store == some_store);
    CHECK(mark->seq == 9);
    CHECK(mark->low == 3);
    CHECK(mark->replay);
    REQUIRE_FALSE(mark->runs.empty());
    CHECK(mark->runs.newest() == run_1);
    CHECK(mark->runs.first_after("") == 5);
    REQUIRE(read(with("brim-seq", largest)));
    CHECK(read(with("brim-seq", largest))->seq == UplinkMark::seq_max);
    CHECK(read(with("brim-seq", largest))->low == 3);
    CHECK(read(with("brim-low", "9"))->low == 9);
    CHECK(read(with("brim-low", "-"))->low == 0);
    CHECK_FALSE(read(with("brim-replay", "-"))->replay);
    CHECK_FALSE(read(with("brim-replay", "yes"))->replay);
    CHECK(read(with("brim-run", run_1 + " " + largest))->runs.first_after("") == UplinkMark::seq_max);
}

TEST_CASE("[mark-2] what is no store or no number makes no mark; nor does what comes twice") {
    for (const std::string& text : no_numbers) {
        CAPTURE(text.substr(0, 30));
        CHECK_FALSE(read(with("brim-seq", text)));
        CHECK_FALSE(read(with("brim-low", text)));
        CHECK(read(with("brim-run", run_1 + " " + text))->runs.empty());
    }
    CHECK_FALSE(read(with("brim-low", "10"))); // above its own number
    CHECK_FALSE(read(with("brim-seq", "-")));
    for (const std::string& text :
         {std::string("-"),
          std::string(),
          some_store.substr(1),
          some_store + "0",
          std::string(32, 'A'),
          std::string(32, '/'),
          std::string(32, '\0')})
        CHECK_FALSE(read(with("brim-store", text)));
    for (const std::string name : {"brim-store", "brim-seq", "brim-low", "brim-replay", "brim-run"}) {
        CAPTURE(name);
        Properties twice = with("", "");
        const auto first =
            std::ranges::find(twice, name, [](const auto& property) { return property.first; });
        REQUIRE(first != twice.end());
        twice.push_back(*first);
        const auto mark = read(twice);
        if (name == "brim-run")
            CHECK((mark && mark->runs.empty()));
        else
            CHECK_FALSE(mark);
    }
}

TEST_CASE("[mark-3] starts: one to count_max pairs of name and first number, and nothing else") {
    CHECK(EdgeRuns().empty());
    std::string list = run_1 + " 20 " + run_2 + " 30";
    const auto two = EdgeRuns::parse(list);
    REQUIRE(two);
    CHECK(two->newest() == run_1);
    CHECK(two->first_after(run_2) == 20);
    CHECK(two->first_after("") == 20);
    CHECK(two->first_after(run_1) == UINT64_MAX);
    CHECK(EdgeRuns::parse(run_1 + " 20 " + run_2 + " 3")->first_after("unknown") == 3);
    for (std::size_t count = 3; count <= EdgeRuns::count_max; ++count)
        list += " " + run_2 + " 1";
    CHECK(EdgeRuns::parse(list));
    CHECK_FALSE(EdgeRuns::parse(list + " " + run_2 + " 1"));
    for (const std::string& text :
         {std::string(),
          std::string(" "),
          run_1,
          run_1 + " ",
          run_1 + "  5",
          " " + run_1 + " 5",
          run_1 + " 5 ",
          run_1 + " 5 " + run_2,
          run_1 + " 5 " + run_2 + " ",
          run_1 + " 5 " + run_2 + " 0",
          run_1 + " 5," + run_2 + " 5",
          run_1.substr(1) + " 5",
          run_1 + "0 5",
          std::string(16, 'F') + " 5",
          std::string(16, '\0') + " 5",
          run_1 + "\t5",
          std::string(70'000, ' ')})
        CHECK_FALSE(EdgeRuns::parse(text));
}

TEST_CASE("[mark-4] whatever a gateway says of its numbers, its report is stored, and the hub lives and "
          "starts again") {
    DoorRig rig;
    rig.product("gw", true);
    rig.product("a1");
    rig.device("gw", "g1");
    Client gateway(rig, "gw", "g1");
    std::vector<Properties> hostile;
    for (const char* name : {"brim-store", "brim-seq", "brim-low", "brim-run", "brim-replay"}) {
        for (const std::string& text : no_numbers)
            hostile.push_back(with(name, text.substr(0, 60'000)));
        hostile.push_back(with(name, largest));
        hostile.push_back(with(name, run_1 + " " + largest));
        hostile.push_back(with(name, "-"));
        hostile.push_back(with("", ""));
        hostile.back().emplace_back(name, "1");
    }
    const std::string topic = "/sys/gw/g1/thing/event/property/post";
    for (const bool taken : {true, false}) {
        for (const Properties& properties : hostile) {
            Message message;
            message.topic = topic;
            message.payload = taken ? R"({"params":{"level":1}})" : R"({"params":5})";
            message.qos = 1;
            message.user_properties = properties;
            CHECK(gateway.acknowledged(gateway.publish(std::move(message))) == mqtt::ReasonCode::success);
        }
    }
    const auto stored = rig.ingest->stats().stored;
    CHECK(stored > 0);
    CHECK(rig.ingest->stats().failed == 0);
    rig.world.run_for(2s);
    rig.restart();
    CHECK(rig.world.log_text().find("unreadable and starts empty") == std::string::npos);
}
