#include "cli/mqtt_format.h"

#include "cli/mqtt_options.h"

#include "mqtt/codec.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace brim::cli {

namespace {

constexpr std::string_view format_letters = "tpxXlqrmCDEFPRIUjJ%@";

char escaped(char c) {
    constexpr std::string_view names = "ntra0e\\";
    constexpr std::string_view bytes("\n\t\r\a\0\x1b\\", 7);
    const std::size_t place = names.find(c);
    return place == std::string_view::npos ? c : bytes[place];
}

std::string upper(std::string text) {
    for (char& c : text)
        c = c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
    return text;
}

std::string strftime_text(WallTime at, const char* format) {
    const std::time_t seconds = at.ms / 1'000;
    std::tm parts{};
    localtime_r(&seconds, &parts);
    char text[128] = {};
    const std::size_t size = std::strftime(text, sizeof text, format, &parts);
    return {text, size};
}

std::string seconds_text(WallTime at) {
    char text[48] = {};
    std::snprintf(
        text,
        sizeof text,
        "%lld.%09lld",
        static_cast<long long>(at.ms / 1'000),
        static_cast<long long>(at.ms % 1'000) * 1'000'000
    );
    return text;
}

std::string user_properties_text(const Message& message) {
    std::string text;
    for (const auto& [name, value] : message.user_properties)
        text += (text.empty() ? "" : " ") + name + ":" + value;
    return text;
}

Result<std::string> field_text(char letter, char time_letter, const Received& received) {
    const Message& message = received.message;
    switch (letter) {
    case 't':
        return message.topic;
    case 'p':
        return std::string(message.payload);
    case 'x':
        return to_hex(message.payload);
    case 'X':
        return upper(to_hex(message.payload));
    case 'l':
        return std::to_string(message.payload.size());
    case 'q':
        return std::to_string(message.qos);
    case 'r':
        return std::string(message.retain ? "1" : "0");
    case 'm':
        return std::to_string(received.packet_id);
    case 'C':
        return message.content_type;
    case 'D':
        return std::string(message.correlation);
    case 'E':
        return message.expiry_s < 0 ? std::string() : std::to_string(message.expiry_s);
    case 'F':
        return std::string(message.payload_is_utf8 ? "1" : "");
    case 'P':
        return user_properties_text(message);
    case 'R':
        return message.response_topic;
    case 'I':
        return strftime_text(received.at, "%Y-%m-%dT%H:%M:%S%z");
    case 'U':
        return seconds_text(received.at);
    case '@': {
        const char format[] = {'%', time_letter, 0};
        return strftime_text(received.at, format);
    }
    default:
        break;
    }
    const auto json = message_json(received, letter == 'J');
    if (!json)
        return fail(json.error());
    return json->text();
}

} // namespace

Result<Json> message_json(const Received& received, bool payload_is_json) {
    const Message& message = received.message;
    Json::Object made;
    made.emplace_back("tst", to_rfc3339(received.at));
    made.emplace_back("topic", message.topic);
    made.emplace_back("qos", unsigned{message.qos});
    made.emplace_back("retain", message.retain ? 1 : 0);
    made.emplace_back("payloadlen", message.payload.size());
    if (received.packet_id != 0)
        made.emplace_back("mid", unsigned{received.packet_id});
    Json::Object properties;
    if (!message.content_type.empty())
        properties.emplace_back("content-type", message.content_type);
    if (!message.correlation.empty())
        properties.emplace_back("correlation-data", to_hex(message.correlation));
    if (message.expiry_s >= 0)
        properties.emplace_back("message-expiry-interval", message.expiry_s);
    if (message.payload_is_utf8)
        properties.emplace_back("payload-format-indicator", 1);
    if (!message.response_topic.empty())
        properties.emplace_back("response-topic", message.response_topic);
    // A list of pairs: names may repeat, and their order counts.
    Json users = Json::array();
    for (const auto& [name, value] : message.user_properties)
        users.push(Json::array({name, value}));
    if (!message.user_properties.empty())
        properties.emplace_back("user-properties", std::move(users));
    if (!properties.empty())
        made.emplace_back("properties", std::move(properties));
    if (payload_is_json) {
        auto payload = Json::parse(
            message.payload,
            {.bytes_max = MqttLimits::payload_bytes_max, .depth_max = 64, .values_max = 10'000'000}
        );
        if (!payload)
            return fail(
                Errc::malformed,
                "message on " + message.topic,
                "its payload is no JSON: " + payload.error().cause,
                "print it with %j or %p"
            );
        made.emplace_back("payload", std::move(*payload));
    } else if (mqtt::is_mqtt_text(message.payload)) {
        made.emplace_back("payload", std::string(message.payload));
    } else {
        made.emplace_back("payloadHex", to_hex(message.payload));
    }
    return Json(std::move(made));
}

Result<MessageFormat::Piece> MessageFormat::parse_piece(std::string_view& rest) {
    Piece piece;
    const auto next = [&rest] {
        const char c = rest.empty() ? '\0' : rest.front();
        if (!rest.empty())
            rest.remove_prefix(1);
        return c;
    };
    const auto number = [&] {
        std::size_t value = 0;
        while (!rest.empty() && rest.front() >= '0' && rest.front() <= '9' && value <= MqttLimits::width_max)
            value = value * 10 + static_cast<std::size_t>(next() - '0');
        return value;
    };
    for (; !rest.empty() && (rest.front() == '-' || rest.front() == '0'); next()) {
        piece.left = piece.left || rest.front() == '-';
        piece.zeros = piece.zeros || rest.front() == '0';
    }
    piece.width = number();
    if (rest.starts_with('.')) {
        next();
        piece.precision = number();
    }
    if (piece.width > MqttLimits::width_max ||
        (piece.precision != std::string::npos && piece.precision > MqttLimits::width_max))
        return fail(Errc::invalid, "--format", "a field is wider than 10,000", "make it narrower");
    piece.letter = next();
    if (piece.letter == '\0' || format_letters.find(piece.letter) == std::string_view::npos)
        return fail(
            Errc::invalid,
            "--format",
            piece.letter == '\0' ? std::string("a % stands at the end")
                                 : "%" + std::string(1, piece.letter) + " stands for nothing here",
            "known: " + std::string(format_letters) + "; write %% for a percent sign"
        );
    if (piece.letter == '@' && (piece.time_letter = next()) == '\0')
        return fail(Errc::invalid, "--format", "%@ needs a letter of strftime", "write %@H for the hour");
    if (piece.letter == '%') {
        piece.letter = 0;
        piece.text = "%";
    }
    return piece;
}

Result<MessageFormat> MessageFormat::parse(std::string_view rest) {
    MessageFormat made;
    std::string plain;
    const auto end_text = [&] {
        if (plain.empty())
            return;
        Piece piece;
        piece.text = std::exchange(plain, {});
        made.pieces_.push_back(std::move(piece));
    };
    while (!rest.empty()) {
        const char c = rest.front();
        rest.remove_prefix(1);
        if (c == '\\' && !rest.empty()) {
            plain += escaped(rest.front());
            rest.remove_prefix(1);
        } else if (c == '%') {
            end_text();
            auto piece = parse_piece(rest);
            if (!piece)
                return fail(std::move(piece).error());
            made.pieces_.push_back(std::move(*piece));
        } else {
            plain += c;
        }
    }
    end_text();
    return made;
}

Result<std::string> MessageFormat::print(const Received& received) const {
    std::string line;
    for (const Piece& piece : pieces_) {
        if (piece.letter == 0) {
            line += piece.text;
            continue;
        }
        auto text = field_text(piece.letter, piece.time_letter, received);
        if (!text)
            return fail(std::move(text).error());
        text->resize(std::min(text->size(), piece.precision));
        const std::size_t missing = piece.width - std::min(piece.width, text->size());
        if (piece.left)
            line.append(*text).append(missing, ' ');
        else
            line.append(missing, piece.zeros ? '0' : ' ').append(*text);
    }
    return line;
}

} // namespace brim::cli
