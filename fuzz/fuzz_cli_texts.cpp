// What the command line reads: formats and URLs as typed, properties, times of a hub's answers, and messages
// of anybody, which are printed. What goes to a terminal as text has no control characters, what is printed
// as JSON is JSON.
#include "cli/mqtt_format.h"
#include "cli/mqtt_options.h"
#include "cli/mqtt_properties.h"
#include "cli/output.h"
#include "fuzz/require.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace brim;
using namespace brim::cli;

namespace {

using brim::fuzz::require;

constexpr std::size_t text_bytes_max = 512; // a format may ask for wide fields, many times

std::string_view take_line(std::string_view& rest) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    return line;
}

/// Format, topic (made valid text), payload.
void try_format(std::string_view rest) {
    const auto format = MessageFormat::parse(take_line(rest));
    Message message;
    if (const std::string_view topic = take_line(rest); is_utf8(topic))
        message.topic = topic;
    message.payload = rest;
    message.qos = 1;
    const Received received{message, 7, WallTime{1'800'000'000'123}};
    if (format) {
        const auto printed = format->print(received);
        require(printed || !printed.error().cause.empty());
    }
    const auto as_text = message_json(received, false);
    require(as_text && Json::parse(as_text->text()).has_value());
    const auto as_json = message_json(received, true);
    require(as_json.has_value() == Json::parse(rest, {.depth_max = 64}).has_value());
    require(!as_json || Json::parse(as_json->text(), {.depth_max = 80}).has_value());
}

void try_words(std::string_view rest) {
    MqttWords words;
    words.url = take_line(rest);
    words.client_id = "c";
    while (!rest.empty() && words.properties.size() < 8) {
        std::string_view line = take_line(rest);
        std::vector<std::string>& property = words.properties.emplace_back();
        while (!line.empty()) {
            const std::string_view word = line.substr(0, line.find(' '));
            line.remove_prefix(std::min(line.size(), word.size() + 1));
            property.emplace_back(word);
        }
        // As CLI11 gives them: three or four words.
        property.resize(std::clamp<std::size_t>(property.size(), 3, 4));
    }
    const auto target = mqtt_target(words, nullptr, "random");
    if (!target)
        return require(!target.error().cause.empty());
    require(!target->to.host.empty());
}

void try_time(std::string_view text) {
    const auto time = parse_time(text);
    require(time || text != "2026-11-21T00:00:00Z");
    require(!age(text, 1'800'000'000'000).empty());
    for (const char c : printable(text))
        require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1 || size > text_bytes_max)
        return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        try_format(text);
        break;
    case 1:
        try_words(text);
        break;
    default:
        try_time(text);
    }
    return 0;
}
