#include "broker/acl.h"

#include "broker/internal/acl_match.h"
#include "mqtt/topic_filter.h"

#include <algorithm>

namespace brim::broker {

namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
constexpr std::string_view blanks = " \t";

/// The words of one line, and where each begins (column from 1, in bytes).
class AclLine {
public:
    explicit AclLine(std::string_view text) : text_(text) {
        const std::size_t last = text_.find_last_not_of(blanks);
        text_ = text_.substr(0, last == std::string_view::npos ? 0 : last + 1);
        skip();
    }

    std::size_t column() const { return at_ + 1; }

    bool more() const { return at_ < text_.size(); }

    std::string_view rest() const { return text_.substr(at_); }

    /// The word up to the next blank, without taking it.
    std::string_view peek() const { return rest().substr(0, rest().find_first_of(blanks)); }

    std::string_view take() {
        const std::string_view word = peek();
        at_ += word.size();
        skip();
        return word;
    }

private:
    void skip() { at_ = std::min(text_.find_first_not_of(blanks, at_), text_.size()); }

    std::string_view text_;
    std::size_t at_ = 0;
};

bool has_control(std::string_view text) {
    return std::ranges::any_of(text, [](char each) {
        const auto byte = static_cast<unsigned char>(each);
        return (byte < 0x20 && each != '\t') || byte == 0x7F;
    });
}

} // namespace

/// Reads one text, line by line; the first error ends it.
class AclReader {
public:
    AclReader(std::string_view object, const AclLimits& limits) : object_(object), limits_(limits) {}

    Result<Acl> read(std::string_view text) {
        if (text.size() > limits_.file_bytes_max)
            return fail(
                Errc::too_large,
                object_,
                "more than " + std::to_string(limits_.file_bytes_max) + " bytes",
                "give lines that many users share as one pattern"
            );
        if (text.starts_with(byte_order_mark))
            text.remove_prefix(byte_order_mark.size());
        while (!text.empty()) {
            const std::size_t end = std::min(text.find('\n'), text.size());
            std::string_view line = text.substr(0, end);
            text.remove_prefix(std::min(end + 1, text.size()));
            if (line.ends_with('\r'))
                line.remove_suffix(1);
            ++number_;
            BRIM_TRY(take(line));
        }
        deny_first(made_.anonymous_);
        deny_first(made_.patterns_);
        for (auto& [name, rules] : made_.users_)
            deny_first(rules);
        return std::move(made_);
    }

private:
    static void deny_first(Acl::Rules& rules) {
        std::ranges::stable_partition(rules, [](const Acl::Rule& rule) { return rule.deny; });
    }

    std::unexpected<Error>
    wrong(std::size_t column, std::string_view cause, std::string fix, Errc code = Errc::malformed) const {
        return fail(
            code,
            object_,
            "line " + std::to_string(number_) + ", column " + std::to_string(column) + ": " +
                std::string(cause),
            std::move(fix)
        );
    }

    Result<void> take(std::string_view text) {
        AclLine line(text);
        if (!line.more() || line.peek().starts_with('#'))
            return {};
        if (has_control(text))
            return wrong(line.column(), "a control character", "remove it; lines end with LF or CRLF");
        if (++rules_ > limits_.rules_max)
            return wrong(
                1,
                "more than " + std::to_string(limits_.rules_max) + " lines with permissions",
                "give lines that many users share as one pattern",
                Errc::too_large
            );
        const std::size_t column = line.column();
        const std::string_view word = line.take();
        if (word == "user")
            return take_user(line);
        if (word == "topic" || word == "pattern")
            return take_rule(line, word == "pattern");
        return wrong(
            column, "\"" + std::string(word) + "\" is no word of this file", "use user, topic or pattern"
        );
    }

    Result<void> take_user(const AclLine& line) {
        const std::string_view name = line.rest();
        if (name.empty())
            return wrong(line.column(), "user without a name", "write user NAME");
        if (name.size() > 256 || !is_mqtt_utf8(name))
            return wrong(line.column(), "the name is over 256 bytes or no UTF-8", "write user NAME");
        rules_of_user_ = &made_.users_[std::string(name)]; // a node's address stays
        return {};
    }

    Result<void> take_rule(AclLine& line, bool is_pattern) {
        Acl::Rule rule;
        rule.line = number_;
        const std::string_view access = line.peek();
        if (access == "deny") {
            rule.deny = true;
        } else {
            rule.read = access != "write";
            rule.write = access != "read";
        }
        const std::size_t column = line.column();
        const bool is_word =
            access == "read" || access == "write" || access == "readwrite" || access == "deny";
        if (is_word)
            line.take();
        else if (access.size() != line.rest().size())
            return wrong(
                column,
                "\"" + std::string(access) + "\" is no kind of access",
                "use read, write, readwrite or deny before a filter with blanks"
            );
        if (!line.more())
            return wrong(line.column(), "the topic filter is missing", "write topic read a/b/#");
        const auto filter =
            mqtt::TopicFilter::parse(line.rest(), {limits_.filter_bytes_max, limits_.levels_max});
        if (!filter)
            return wrong(line.column(), filter.error().cause, filter.error().fix, filter.error().code);
        if (filter->shared())
            return wrong(
                line.column(),
                "a permission for a shared subscription",
                "write the filter alone: shared or not, it is judged the same"
            );
        rule.filter = filter->text();
        rule.uses_user = is_pattern && rule.filter.find("%u") != std::string::npos;
        rule.uses_client_id = is_pattern && rule.filter.find("%c") != std::string::npos;
        Acl::Rules& rules_of_topics = rules_of_user_ != nullptr ? *rules_of_user_ : made_.anonymous_;
        (is_pattern ? made_.patterns_ : rules_of_topics).push_back(std::move(rule));
        return {};
    }

    std::string object_;
    const AclLimits& limits_;
    Acl made_;
    Acl::Rules* rules_of_user_ = nullptr; ///< null before the first `user` line
    std::uint32_t number_ = 0;
    std::size_t rules_ = 0;
};

Result<Acl> Acl::parse(std::string_view text, std::string_view object, const AclLimits& limits) {
    return AclReader(object, limits).read(text);
}

AclDecision
Acl::ask(const Rules& rules, bool is_pattern, const AclFill& fill, Access what, std::string_view text) {
    for (const Rule& rule : rules) {
        const bool concerns = rule.deny || (what == Access::publish ? rule.write : rule.read);
        if (!concerns)
            continue;
        const bool is_open =
            (rule.uses_user && fill.user.empty()) || (rule.uses_client_id && fill.client_id.empty());
        if (is_open && !rule.deny)
            continue;
        const AclReading reading = !is_pattern ? AclReading::literal
                                   : is_open   ? AclReading::wide
                                               : AclReading::expanded;
        const bool speaks = what == Access::subscribe ? rule_covers(rule.filter, reading, fill, text)
                                                      : rule_matches(rule.filter, reading, fill, text);
        if (speaks)
            return {.allowed = !rule.deny, .line = rule.line};
    }
    return {};
}

AclDecision Acl::explain(const Principal& who, Access what, std::string_view topic_or_filter) const {
    std::string_view text = topic_or_filter;
    if (what == Access::subscribe) {
        const auto filter = mqtt::TopicFilter::parse(text, {65'535, 65'535});
        if (!filter)
            return {};
        text.remove_prefix(text.size() - filter->filter().size());
    } else if (!mqtt::is_topic_name(text)) {
        return {};
    }
    const bool is_anonymous = who.proof == Proof::none;
    AclFill fill;
    if (!is_anonymous && is_plain_name(who.name))
        fill.user = who.name;
    if (is_plain_name(who.client_id))
        fill.client_id = who.client_id;

    AclDecision by_name;
    if (is_anonymous)
        by_name = ask(anonymous_, false, fill, what, text);
    else if (const auto found = users_.find(std::string_view(who.name)); found != users_.end())
        by_name = ask(found->second, false, fill, what, text);
    if (by_name.line != 0 && !by_name.allowed)
        return by_name;
    const AclDecision by_pattern = ask(patterns_, true, fill, what, text);
    return by_name.allowed && (by_pattern.line == 0 || by_pattern.allowed) ? by_name : by_pattern;
}

} // namespace brim::broker
