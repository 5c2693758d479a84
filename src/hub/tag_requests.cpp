// Access: tags of a device (hub-protocol 3.3).

#include "hub/access.h"

namespace brim::hub {

using mqtt::Verdict;

namespace {

constexpr std::size_t key_chars_max = 30;
constexpr std::size_t value_chars_max = 128;

/// True for 1 (or 0) to `chars_max` characters of UTF-8 without control characters.
bool fits(std::string_view text, std::size_t chars_min, std::size_t chars_max) {
    std::size_t chars = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            return false;
        chars += (byte & 0xc0U) == 0x80U ? 0 : 1;
    }
    return chars >= chars_min && chars <= chars_max && is_utf8(text);
}

} // namespace

Verdict Access::on_tags_update(const Inbound& in, const thing::Request& request) {
    std::vector<Tag> tags;
    for (const Json& item : request.params.items()) {
        Tag tag;
        tag.key = item["attrKey"].as_string();
        const Json& value = item["attrValue"];
        tag.value = value.is_number() ? value.text() : std::string(value.as_string());
        tag.system = item["domain"].as_string() == "SYSTEM";
        if (!fits(tag.key, 1, key_chars_max))
            return refuse(in, 460, "attrKey is not 1 to 30 characters");
        if (!(value.is_string() || value.is_number()) || !fits(tag.value, 0, value_chars_max))
            return refuse(in, 460, "attrValue of " + tag.key + " is not a text of at most 128 characters");
        tags.push_back(std::move(tag));
    }
    if (tags.empty())
        return refuse(in, 460, "params is not a list of tags");
    if (!registry_.has_room(in.device, tags))
        return refuse(in, 460, "the device has its maximum of tags");
    registry_.put_tags(in.device, tags, answer_when_stored(in, request, Json::object()));
    return Verdict::pending;
}

Verdict Access::on_tags_delete(const Inbound& in, const thing::Request& request) {
    std::vector<std::string> keys;
    for (const Json& item : request.params.items())
        keys.emplace_back(item["attrKey"].as_string());
    if (keys.empty())
        return refuse(in, 460, "params is not a list of tags");
    registry_.delete_tags(in.device, keys, answer_when_stored(in, request, Json::object()));
    return Verdict::pending;
}

} // namespace brim::hub
