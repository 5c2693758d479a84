#include "broker/principal.h"

#include "base/bytes.h"

#include <algorithm>

namespace brim::broker {

bool is_plain_name(std::string_view text) noexcept {
    constexpr std::size_t bytes_max = 256;
    if (text.empty() || text.size() > bytes_max || text.front() == '$' || !is_mqtt_utf8(text))
        return false;
    return std::none_of(text.begin(), text.end(), [](char each) {
        const auto byte = static_cast<unsigned char>(each);
        return each == '+' || each == '#' || each == '/' || byte < 0x20 || byte == 0x7F;
    });
}

} // namespace brim::broker
