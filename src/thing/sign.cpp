#include "thing/sign.h"

#include "base/assert.h"

#include <charconv>

namespace brim::thing {

namespace {

constexpr std::size_t client_id_bytes_max = 1'024; // real clients stay below 200
constexpr std::size_t extended_count_max = 32;
constexpr std::string_view blanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string lowered(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::unexpected<Error> bad_client_id(std::string cause) {
    return fail(
        Errc::malformed,
        "MQTT client id",
        std::move(cause),
        "send \"{clientId}|securemode=3,signmethod=hmacsha256,timestamp=..|\""
    );
}

Result<void> read_extended(std::string_view text, SignedClientId& out) {
    while (!text.empty()) {
        const auto comma = text.find(',');
        const std::string_view pair = trimmed(text.substr(0, comma));
        text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
        if (pair.empty())
            continue; // a trailing comma
        const auto equals = pair.find('=');
        if (equals == std::string_view::npos)
            return bad_client_id("an extended parameter without '='");
        const std::string_view key = trimmed(pair.substr(0, equals));
        if (key.empty())
            return bad_client_id("an extended parameter without a name");
        if (out.extended.size() == extended_count_max)
            return bad_client_id("more than 32 extended parameters");
        if (!out.extended.emplace(key, trimmed(pair.substr(equals + 1))).second) {
            return bad_client_id("the extended parameter \"" + std::string(key) + "\" is there twice");
        }
    }
    return {};
}

} // namespace

Result<SignedClientId> parse_client_id(std::string_view text) {
    if (text.size() > client_id_bytes_max)
        return bad_client_id("is over 1024 bytes");
    const auto first = text.find('|');
    const auto last = text.rfind('|');
    if (first == std::string_view::npos || first == last)
        return bad_client_id("has no extended part between two '|'");
    if (!trimmed(text.substr(last + 1)).empty())
        return bad_client_id("goes on after the closing '|'");
    SignedClientId out;
    out.client_id = std::string(text.substr(0, first));
    BRIM_TRY(read_extended(text.substr(first + 1, last - first - 1), out));

    if (const auto mode = out.extended.find("securemode"); mode != out.extended.end()) {
        const std::string& value = mode->second;
        const auto read = std::from_chars(value.data(), value.data() + value.size(), out.securemode);
        if (read.ec != std::errc{} || read.ptr != value.data() + value.size()) {
            return bad_client_id("securemode is not a number");
        }
    }
    if (const auto method = out.extended.find("signmethod"); method != out.extended.end()) {
        auto known = parse_sign_method(method->second);
        if (!known)
            return fail(std::move(known).error());
        out.method = *known;
    }
    if (const auto time = out.extended.find("timestamp"); time != out.extended.end())
        out.timestamp = time->second;
    return out;
}

Result<DeviceKey> parse_username(std::string_view text) {
    // The last '&': a product key never holds one, so whatever stands before belongs to the (then invalid)
    // name.
    const auto split = text.rfind('&');
    if (split == std::string_view::npos || !valid_device_name(text.substr(0, split)) ||
        !valid_product_key(text.substr(split + 1))) {
        return fail(
            Errc::malformed,
            "MQTT user name",
            "is not \"{deviceName}&{productKey}\"",
            "send the device's name and its product's key, joined by '&'"
        );
    }
    return DeviceKey{std::string(text.substr(split + 1)), std::string(text.substr(0, split))};
}

Result<Digest> parse_sign_method(std::string_view text) {
    const std::string name = lowered(trimmed(text));
    if (name == "hmacmd5")
        return Digest::md5;
    if (name == "hmacsha1")
        return Digest::sha1;
    if (name == "hmacsha256" || name == "sha256")
        return Digest::sha256;
    return fail(Errc::malformed, "sign method", "is none of ours", "use hmacmd5, hmacsha1 or hmacsha256");
}

std::string sign_parameters(
    Digest method, const Secret& secret, const std::map<std::string, std::string, std::less<>>& parameters
) {
    std::string content;
    for (const auto& [name, value] : parameters)
        content += name + value;
    return to_hex(hmac(method, secret.reveal(), content));
}

std::string sign(
    Digest method,
    const Secret& device_secret,
    std::string_view client_id,
    const DeviceKey& device,
    std::string_view timestamp
) {
    std::map<std::string, std::string, std::less<>> parameters{
        {"clientId", std::string(client_id)},
        {"deviceName", device.device_name},
        {"productKey", device.product_key},
    };
    if (!timestamp.empty())
        parameters.emplace("timestamp", timestamp);
    return sign_parameters(method, device_secret, parameters);
}

bool verify(std::string_view presented, std::string_view expected_hex) noexcept {
    // On the stack and by length first: noexcept, and a megabyte of password costs nothing.
    constexpr std::size_t hex_bytes_max = 64;
    if (expected_hex.empty() || presented.size() != expected_hex.size() || presented.size() > hex_bytes_max)
        return false;
    char low[hex_bytes_max];
    char expected_low[hex_bytes_max];
    const auto lower = [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + ('a' - 'A')) : c; };
    for (std::size_t i = 0; i < presented.size(); ++i) {
        low[i] = lower(presented[i]);
        expected_low[i] = lower(expected_hex[i]);
    }
    return equal_constant_time(ByteView(low, presented.size()), ByteView(expected_low, expected_hex.size()));
}

DeviceLogin make_login(
    const DeviceKey& device, const Secret& device_secret, bool tls, std::string_view client_id, WallTime time
) {
    BRIM_ASSERT(client_id.find('|') == std::string_view::npos, "a client id of ours must not hold '|'");
    const std::string timestamp = std::to_string(time.ms);
    DeviceLogin login;
    login.client_id = std::string(client_id) + "|securemode=" + (tls ? "2" : "3") +
                      ",signmethod=hmacsha256,timestamp=" + timestamp + "|";
    login.username = device.device_name + "&" + device.product_key;
    login.password = Secret(sign(Digest::sha256, device_secret, client_id, device, timestamp));
    return login;
}

} // namespace brim::thing
