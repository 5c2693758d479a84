#include "broker/internal/acl_match.h"

#include "broker/internal/topic_level.h"

namespace brim::broker {

namespace {

/// True when `level` of a pattern, with its placeholders filled, is `text`.
bool expands_to(std::string_view level, const AclFill& fill, std::string_view text) noexcept {
    while (!level.empty()) {
        std::string_view piece = level.substr(0, 1);
        std::size_t used = 1;
        if (level.starts_with("%u") || level.starts_with("%c")) {
            piece = level[1] == 'u' ? fill.user : fill.client_id;
            used = 2;
        }
        if (!text.starts_with(piece))
            return false;
        text.remove_prefix(piece.size());
        level.remove_prefix(used);
    }
    return text.empty();
}

bool is_open(std::string_view level, const AclFill& fill) noexcept {
    return (fill.user.empty() && level.find("%u") != std::string_view::npos) ||
           (fill.client_id.empty() && level.find("%c") != std::string_view::npos);
}

class LevelRule {
public:
    LevelRule(std::string_view level, AclReading reading, const AclFill& fill) noexcept
        : level_(level), reading_(reading), fill_(fill) {}

    bool is_any() const noexcept {
        return level_ == "+" || (reading_ == AclReading::wide && is_open(level_, fill_));
    }

    bool is(std::string_view text) const noexcept {
        if (reading_ == AclReading::literal)
            return level_ == text;
        return expands_to(level_, fill_, text);
    }

private:
    std::string_view level_;
    AclReading reading_;
    const AclFill& fill_;
};

/// The part that both questions share. In a filter, '+' is a level that only an any-level covers and '#' is
/// one that only '#' covers; a topic holds neither.
bool follows(std::string_view rule, AclReading reading, const AclFill& fill, std::string_view text) noexcept {
    const bool is_reserved = text.starts_with('$');
    std::string_view rule_level;
    std::string_view text_level;
    for (bool is_first = true;; is_first = false) {
        const bool more_rule = take_level(rule, rule_level);
        if (rule_level == "#")
            return !(is_first && is_reserved);
        const bool more_text = take_level(text, text_level);
        if (text_level == "#")
            return false; // it matches the parent level as well, and `rule` asks for a level here
        const LevelRule level(rule_level, reading, fill);
        if (level.is_any()) {
            if (is_first && is_reserved)
                return false;
        } else if (text_level == "+" || !level.is(text_level)) {
            return false;
        }
        if (!more_text)
            return !more_rule || rule == "#"; // "a/#" matches "a" as well
        if (!more_rule)
            return false;
    }
}

} // namespace

bool rule_matches(
    std::string_view rule, AclReading reading, const AclFill& fill, std::string_view topic
) noexcept {
    return follows(rule, reading, fill, topic);
}

bool rule_covers(
    std::string_view rule, AclReading reading, const AclFill& fill, std::string_view filter
) noexcept {
    // '#' matches its parent level as well, but these two have no parent: there is no empty topic.
    if (filter == "#")
        filter = "+/#";
    else if (filter == "/#")
        filter = "/+/#";
    return follows(rule, reading, fill, filter);
}

} // namespace brim::broker
