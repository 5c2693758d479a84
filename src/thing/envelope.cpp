#include "thing/envelope.h"

#include "base/assert.h"
#include "thing/internal/raw_member.h"

#include <algorithm>
#include <charconv>

namespace brim::thing {

namespace {

constexpr std::size_t depth_max = 32;

Result<Json> parse_envelope(std::string_view payload, std::size_t bytes_max, std::string_view what) {
    auto json = Json::parse(payload, {.bytes_max = bytes_max, .depth_max = depth_max, .values_max = 50'000});
    if (!json)
        return fail(std::move(json).error());
    if (!json->is_object()) {
        return fail(
            Errc::malformed, std::string(what), "is not a JSON object", "send {\"id\":..,\"params\":..}"
        );
    }
    return json;
}

/// An id is echoed byte for byte where reading it would round it.
std::string raw_id(const Json& envelope, std::string_view payload) {
    const Json& id = envelope["id"];
    if (id.is_string() || id.is_int())
        return id.text();
    return id.is_number() ? raw_member(payload, "id") : std::string();
}

/// Missing, null, "" and the text "{}" all mean an empty object.
Json object_or(const Json& value) {
    if (value.is_null())
        return Json::object();
    if (value.is_string() && (value.as_string() == "{}" || value.as_string().empty()))
        return Json::object();
    return value;
}

bool letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

} // namespace

Result<Request> parse_request(std::string_view payload, std::size_t bytes_max) {
    const auto json = parse_envelope(payload, bytes_max, "request");
    if (!json)
        return fail(json.error());
    Request out;
    out.id = raw_id(*json, payload);
    out.method = std::string((*json)["method"].as_string());
    out.params = object_or((*json)["params"]);
    const Json& ack = (*json)["sys"]["ack"];
    out.ack_wanted = !(ack.is_number() && ack.as_double() == 0);
    return out;
}

std::string make_request(std::string_view id, std::string_view method, const Json& params) {
    std::uint64_t number = 0;
    const auto read = std::from_chars(id.data(), id.data() + id.size(), number);
    BRIM_ASSERT(
        !id.empty() && read.ec == std::errc{} && read.ptr == id.data() + id.size(),
        "the id of a request is a decimal number of 64 bits: C and Go devices read it as one"
    );
    std::string out = R"({"id":")" + std::string(id) + R"(","version":"1.0","params":)";
    params.append_to(out);
    out += R"(,"method":)";
    json_append_string(out, method);
    out += '}';
    return out;
}

Result<Reply> parse_reply(std::string_view payload, std::size_t bytes_max) {
    const auto json = parse_envelope(payload, bytes_max, "reply");
    if (!json)
        return fail(json.error());
    Reply out;
    out.id = raw_id(*json, payload);
    const Json& code = (*json)["code"];
    std::int64_t number = code.as_int(-1);
    if (code.is_string()) { // some devices write "200"
        const std::string_view text = code.as_string();
        const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
        if (read.ec != std::errc{} || read.ptr != text.data() + text.size())
            number = -1;
    }
    if (number < 0 || number > 1'000'000'000) {
        return fail(Errc::malformed, "reply", "has no code", "send {\"id\":..,\"code\":200,\"data\":{}}");
    }
    out.code = static_cast<int>(number);
    out.message = std::string((*json)["message"].as_string(out.code == 200 ? "success" : ""));
    out.data = object_or((*json)["data"]);
    return out;
}

namespace {

void append_reply_tail(
    std::string& out, std::string_view id_raw, std::string_view message, std::string_view method
) {
    out += R"(,"id":)";
    out += id_raw.empty() ? std::string_view("\"\"") : id_raw;
    out += R"(,"message":)";
    json_append_string(out, message);
    out += R"(,"method":)";
    json_append_string(out, method);
    out += R"(,"version":"1.0"})";
}

} // namespace

std::string make_reply(
    std::string_view id_raw, int code, std::string_view message, const Json& data, std::string_view method
) {
    std::string out = R"({"code":)" + std::to_string(code) + R"(,"data":)";
    if (data.is_null()) {
        out += "{}";
    } else {
        data.append_to(out);
    }
    append_reply_tail(out, id_raw, message, method);
    return out;
}

std::string make_post_reply(const PropertyPost& post) {
    std::string out = R"({"code":200,"data":{)";
    for (std::size_t i = 0; i < post.rejected.size(); ++i) {
        const auto& [name, why] = post.rejected[i];
        // A name refused twice is told once: a reply must not repeat a member.
        const auto earlier = post.rejected.begin() + static_cast<std::ptrdiff_t>(i);
        const auto same = [&name](const auto& other) { return other.first == name; };
        if (std::any_of(post.rejected.begin(), earlier, same))
            continue;
        if (out.back() != '{')
            out += ',';
        json_append_string(out, name);
        out += ':';
        // The name is the member already; real hubs leave it out of the text.
        const std::string suffix = " -> " + name;
        std::string_view message = why.message;
        if (message.ends_with(suffix))
            message.remove_suffix(suffix.size());
        json_append_string(out, message);
    }
    out += '}';
    append_reply_tail(out, post.id, "success", "thing.event.property.post");
    return out;
}

bool valid_product_key(std::string_view text) noexcept {
    return !text.empty() && text.size() <= 20 && std::ranges::all_of(text, letter_or_digit);
}

bool valid_device_name(std::string_view text) noexcept {
    static constexpr std::string_view others = "-_@.:";
    return !text.empty() && text.size() <= 32 && std::ranges::all_of(text, [](char c) {
        return letter_or_digit(c) || others.find(c) != std::string_view::npos;
    });
}

std::optional<DeviceKey> DeviceKey::parse(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos)
        return std::nullopt;
    const std::string_view product_key = text.substr(0, slash);
    const std::string_view device_name = text.substr(slash + 1);
    if (!valid_product_key(product_key) || !valid_device_name(device_name))
        return std::nullopt;
    return DeviceKey{std::string(product_key), std::string(device_name)};
}

std::string sys_topic(const DeviceKey& device, std::string_view rest) {
    std::string out;
    out.reserve(7 + device.product_key.size() + device.device_name.size() + rest.size());
    out.append("/sys/")
        .append(device.product_key)
        .append("/")
        .append(device.device_name)
        .append("/")
        .append(rest);
    return out;
}

} // namespace brim::thing
