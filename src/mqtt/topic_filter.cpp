#include "mqtt/topic_filter.h"

#include "mqtt/codec.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

constexpr std::string_view share_prefix = "$share/";
constexpr std::string_view queue_prefix = "$queue/";

std::unexpected<Error> bad_filter(Errc code, std::string cause, std::string fix) {
    return fail(code, "topic filter", std::move(cause), std::move(fix));
}

/// Takes the level before the next '/' off `rest`; false when it was the last one.
bool take_level(std::string_view& rest, std::string_view& level) noexcept {
    const std::size_t slash = rest.find('/');
    level = rest.substr(0, slash);
    if (slash == std::string_view::npos) {
        rest = {};
        return false;
    }
    rest.remove_prefix(slash + 1);
    return true;
}

/// Section 4.7.1: '#' and '+' stand alone in a level, '#' only in the last one.
Result<bool> check_wildcards(std::string_view filter) {
    bool has_wildcard = false;
    std::string_view rest = filter;
    std::string_view level;
    for (bool more = true; more;) {
        more = take_level(rest, level);
        if (level.find_first_of("#+") == std::string_view::npos)
            continue;
        has_wildcard = true;
        if (level.size() != 1) {
            return bad_filter(
                Errc::malformed, "a wildcard shares its level with other characters", "write a/+/b or a/#"
            );
        }
        if (level == "#" && more) {
            return bad_filter(Errc::malformed, "'#' is not the last level", "put '#' at the end only");
        }
    }
    return has_wildcard;
}

} // namespace

bool is_topic_name(std::string_view text, std::uint32_t bytes_max, std::uint32_t levels_max) noexcept {
    if (text.empty() || text.size() > bytes_max)
        return false;
    std::uint32_t levels = 1;
    for (const char c : text) {
        if (c == '+' || c == '#' || c == '\0')
            return false;
        levels += c == '/' ? 1 : 0;
    }
    return levels <= levels_max;
}

bool filter_matches(std::string_view filter, std::string_view topic) noexcept {
    if (topic.empty() || filter.empty())
        return false;
    if (topic.front() == '$' && (filter.front() == '+' || filter.front() == '#'))
        return false;
    std::string_view filter_level;
    std::string_view topic_level;
    for (;;) {
        const bool more_filter = take_level(filter, filter_level);
        if (filter_level == "#")
            return true;
        const bool more_topic = take_level(topic, topic_level);
        if (filter_level != "+" && filter_level != topic_level)
            return false;
        if (!more_topic)
            return !more_filter || filter == "#"; // "a/#" matches "a" as well
        if (!more_filter)
            return false;
    }
}

Result<TopicFilter> TopicFilter::parse(std::string_view text, FilterLimits limits) {
    std::size_t prefix_bytes = 0;
    if (text.starts_with(share_prefix)) {
        const std::string_view rest = text.substr(share_prefix.size());
        const std::size_t slash = rest.find('/');
        if (slash == 0 || slash == std::string_view::npos) {
            return bad_filter(
                Errc::malformed, "a shared subscription without a group", "write $share/group/filter"
            );
        }
        if (rest.substr(0, slash).find_first_of("+#") != std::string_view::npos) {
            return bad_filter(
                Errc::malformed, "a wildcard in the name of a group", "name the group without + and #"
            );
        }
        prefix_bytes = share_prefix.size() + slash + 1;
    } else if (text.starts_with(queue_prefix)) {
        prefix_bytes = queue_prefix.size();
    }
    const std::string_view filter = text.substr(prefix_bytes);
    if (filter.empty())
        return bad_filter(Errc::malformed, "it is empty", "a filter has at least one character");
    if (text.size() > 65'535 || filter.size() > limits.bytes_max) {
        return bad_filter(
            Errc::too_large, "it is longer than " + std::to_string(limits.bytes_max) + " bytes", "shorten it"
        );
    }
    if (!is_mqtt_text(text)) {
        return bad_filter(
            Errc::malformed, "it is not UTF-8 text that MQTT allows", "send UTF-8 without U+0000"
        );
    }
    const auto levels = static_cast<std::uint64_t>(std::count(filter.begin(), filter.end(), '/')) + 1;
    if (levels > limits.levels_max) {
        return bad_filter(
            Errc::too_large, "it has more than " + std::to_string(limits.levels_max) + " levels", "shorten it"
        );
    }
    const Result<bool> has_wildcard = check_wildcards(filter);
    if (!has_wildcard)
        return std::unexpected<Error>(has_wildcard.error());
    return TopicFilter(text, prefix_bytes, *has_wildcard);
}

std::string_view TopicFilter::group() const noexcept {
    if (prefix_bytes_ == 0)
        return {};
    if (prefix_bytes_ == queue_prefix.size() && text_.starts_with(queue_prefix))
        return "$queue";
    return std::string_view(text_).substr(share_prefix.size(), prefix_bytes_ - share_prefix.size() - 1);
}

} // namespace brim::mqtt
