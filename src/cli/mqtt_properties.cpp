#include "cli/mqtt_properties.h"

#include "mqtt/codec.h"
#include "mqtt/topic_filter.h"

#include <charconv>
#include <string_view>

namespace brim::cli {

namespace {

/// One -D as it was typed.
struct GivenProperty {
    std::string command, name, value;

    std::string text() const { return "-D " + command + " " + name; }
};

Result<std::uint32_t> number_of(const GivenProperty& given, std::uint32_t least, std::uint32_t most) {
    std::uint32_t number = 0;
    const char* const end = given.value.data() + given.value.size();
    const auto [stop, wrong] = std::from_chars(given.value.data(), end, number);
    if (wrong != std::errc{} || stop != end || number < least || number > most)
        return fail(
            Errc::invalid,
            given.text() + " " + given.value,
            "that is no number this property takes",
            "use " + std::to_string(least) + " to " + std::to_string(most)
        );
    return number;
}

template <class Field>
Result<void> put_number(const GivenProperty& given, std::uint32_t least, std::uint32_t most, Field& field) {
    const auto number = number_of(given, least, most);
    if (!number)
        return fail(number.error());
    field = static_cast<Field>(*number);
    return {};
}

std::unexpected<Error> no_such_property(const GivenProperty& given, const char* known) {
    return fail(
        Errc::invalid, given.text(), given.command + " takes no such property", std::string("known: ") + known
    );
}

Result<void> put_login(const GivenProperty& given, mqtt::ClientOptions& login) {
    if (given.name == "session-expiry-interval")
        return put_number(given, 0, 0xFFFF'FFFF, login.session_expiry_s);
    if (given.name == "receive-maximum")
        return put_number(given, 1, 65'535, login.receive_maximum);
    if (given.name == "maximum-packet-size")
        return put_number(given, 1, mqtt_packet_bytes_max, login.packet_bytes_max);
    return no_such_property(
        given, "session-expiry-interval, receive-maximum, maximum-packet-size, user-property"
    );
}

Result<void> put_message(const GivenProperty& given, Message& message) {
    if (given.name == "content-type")
        message.content_type = given.value;
    else if (given.name == "correlation-data")
        message.correlation = given.value;
    else if (given.name == "response-topic" && !mqtt::is_topic_name(given.value))
        return fail(Errc::invalid, given.text() + " " + given.value, "no topic name", "leave + and # away");
    else if (given.name == "response-topic")
        message.response_topic = given.value;
    else if (given.name == "message-expiry-interval")
        return put_number(given, 0, 0xFFFF'FFFF, message.expiry_s);
    else if (given.name == "payload-format-indicator")
        return put_number(given, 0, 1, message.payload_is_utf8);
    else
        return no_such_property(
            given,
            "content-type, correlation-data, message-expiry-interval, payload-format-indicator, "
            "response-topic, user-property; of a will also will-delay-interval"
        );
    return {};
}

} // namespace

Result<void> MqttProperties::put(const std::vector<std::string>& words) {
    const GivenProperty given{words[0], words[1], words[2]};
    if (login.version != mqtt::ProtocolVersion::v5)
        return fail(Errc::invalid, given.text(), "only MQTT 5 has properties", "leave -V or -D away");
    if (!mqtt::is_mqtt_text(given.value) && given.name != "correlation-data")
        return fail(Errc::invalid, given.text(), "the value is no UTF-8 text", "use UTF-8");
    const bool is_user = given.name == "user-property";
    if (is_user != (words.size() == 4))
        return fail(
            Errc::invalid,
            given.text(),
            is_user ? "a user property has a name and a value" : "this property has one value",
            "write -D COMMAND user-property NAME VALUE, or -D COMMAND PROPERTY VALUE"
        );
    if (is_user && !mqtt::is_mqtt_text(words[3]))
        return fail(Errc::invalid, given.text(), "the value is no UTF-8 text", "use UTF-8");
    const auto user = [&](std::vector<std::pair<std::string, std::string>>& list) -> Result<void> {
        list.emplace_back(words[2], words[3]);
        return {};
    };
    if (given.command == "connect")
        return is_user ? user(login.user_properties) : put_login(given, login);
    if (given.command == "publish")
        return is_user ? user(publish.user_properties) : put_message(given, publish);
    if (given.command == "will" && given.name == "will-delay-interval")
        return put_number(given, 0, 0xFFFF'FFFF, login.will_delay_s);
    if (given.command == "will")
        return is_user ? user(will.user_properties) : put_message(given, will);
    if (given.command == "subscribe") {
        if (is_user)
            return user(subscribe);
        if (given.name == "subscription-identifier")
            return put_number(given, 1, 268'435'455, subscription_id);
        return no_such_property(given, "subscription-identifier, user-property");
    }
    return fail(
        Errc::invalid,
        "-D " + given.command,
        "no packet of that name is sent with properties here",
        "use connect, publish, subscribe or will"
    );
}

} // namespace brim::cli
