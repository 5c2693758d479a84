#include "hub/api/conditional.h"

#include "base/hash.h"

#include <algorithm>

namespace brim::hub {

namespace {

bool lists(std::string_view list, std::string_view tag, bool weak_too) {
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        std::string_view item = list.substr(0, comma);
        list.remove_prefix(std::min(comma + 1, list.size()));
        while (item.starts_with(' ') || item.starts_with('\t'))
            item.remove_prefix(1);
        while (item.ends_with(' ') || item.ends_with('\t'))
            item.remove_suffix(1);
        if (weak_too && item.starts_with("W/"))
            item.remove_prefix(2);
        if (item == tag || item == "*")
            return true;
    }
    return false;
}

} // namespace

std::string entity_tag(std::string_view content) {
    constexpr std::size_t shown_bytes = 12;
    return '"' + to_hex(ByteView(digest(Digest::sha256, content)).substr(0, shown_bytes)) + '"';
}

bool allows_change(const io::HttpHeaders& headers, std::string_view tag) {
    const std::string* wanted = headers.find("If-Match");
    return wanted == nullptr || lists(*wanted, tag, false);
}

bool has_already(const io::HttpHeaders& headers, std::string_view tag) {
    const std::string* held = headers.find("If-None-Match");
    return held != nullptr && lists(*held, tag, true);
}

} // namespace brim::hub
