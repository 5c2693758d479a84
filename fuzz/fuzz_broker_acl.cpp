// Any text as a file of permissions, and questions about it: the first line is a user, the second a client
// id, the third a topic or filter, the rest the file. What is decided is what reading the lines one by one,
// and every topic of a small world, says.
#include "broker/acl.h"
#include "broker/internal/acl_match.h"
#include "mqtt/topic_filter.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace brim;
using namespace brim::broker;

namespace {

std::string_view take_line(std::string_view& rest) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    return line;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
        text.replace(at, what.size(), with);
    return text;
}

void add_levels(std::string_view filter, std::set<std::string>& words) {
    for (std::string_view rest = filter;;) {
        const std::size_t slash = rest.find('/');
        if (const std::string_view level = rest.substr(0, slash); level != "+" && level != "#")
            words.emplace(level);
        if (slash == std::string_view::npos)
            return;
        rest.remove_prefix(slash + 1);
    }
}

/// True when each topic of the filters' own levels and one that is in neither agrees; small filters only.
bool naive_covers(const std::string& rule, const std::string& filter) {
    std::set<std::string> words{"\x01"};
    add_levels(rule, words);
    add_levels(filter, words);
    const auto depth =
        static_cast<std::size_t>(
            std::max(std::count(rule.begin(), rule.end(), '/'), std::count(filter.begin(), filter.end(), '/'))
        ) +
        2;
    std::vector<std::string> longest{""};
    for (std::size_t level = 0; level < depth; ++level) {
        std::vector<std::string> longer;
        for (const std::string& head : longest) {
            for (const std::string& word : words)
                longer.push_back(level == 0 ? word : head + "/" + word);
        }
        for (const std::string& topic : longer) {
            if (mqtt::filter_matches(filter, topic) && !mqtt::filter_matches(rule, topic))
                return false;
        }
        longest = std::move(longer);
    }
    return true;
}

/// Shared or not is the same.
void try_shared(const Acl& acl, const Principal& who, const std::string& asked) {
    if (!mqtt::TopicFilter::parse(asked, {65'535, 65'535}) || asked.starts_with("$share/") ||
        asked.starts_with("$queue/") || asked.size() > 1'000)
        return;
    const bool may_subscribe = acl.allows(who, Access::subscribe, asked);
    if (may_subscribe != acl.allows(who, Access::subscribe, "$share/g/" + asked) ||
        may_subscribe != acl.allows(who, Access::subscribe, "$queue/" + asked))
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    Principal who;
    who.name = take_line(rest);
    who.client_id = take_line(rest);
    who.proof = who.name.empty() ? Proof::none : Proof::password;
    const std::string asked(take_line(rest));
    const auto acl = Acl::parse(rest, "acl", {.file_bytes_max = 4'096, .rules_max = 64});
    if (!acl) {
        if (!acl.error().cause.starts_with("line ") && acl.error().code != Errc::too_large)
            std::abort();
        return 0;
    }
    try_shared(*acl, who, asked);
    // The same lines, one after the other, by the matcher of the broker's core.
    bool is_own = who.proof == Proof::none;
    bool may_write = false;
    bool may_read = false;
    bool is_denied = false;
    if (rest.starts_with("\xEF\xBB\xBF"))
        rest.remove_prefix(3);
    if (rest.find('\t') != std::string_view::npos)
        return 0; // the few lines below know one blank only
    while (!rest.empty()) {
        std::string line(take_line(rest));
        line.erase(0, line.find_first_not_of(' '));
        line.erase(line.find_last_not_of(" \r") + 1);
        const std::size_t blank = std::min(line.find(' '), line.size());
        const std::string word = line.substr(0, blank);
        std::string filter = line.substr(std::min(line.find_first_not_of(' ', blank), line.size()));
        if (word == "user")
            is_own = who.proof != Proof::none && filter == who.name;
        if (word != "pattern" && !(word == "topic" && is_own))
            continue;
        std::string access = "readwrite";
        for (const std::string_view each : {"read", "write", "readwrite", "deny"}) {
            if (filter.starts_with(std::string(each) + " ")) {
                access = each;
                filter.erase(0, filter.find_first_not_of(' ', each.size()));
                break;
            }
        }
        if (word == "pattern") {
            const bool has_user = is_plain_name(who.name);
            const bool has_id = is_plain_name(who.client_id);
            if ((who.name + who.client_id).find('%') != std::string::npos)
                return 0; // replacing one after the other would replace twice
            if ((filter.find("%u") != std::string::npos && !has_user) ||
                (filter.find("%c") != std::string::npos && !has_id)) {
                if (access == "deny")
                    return 0; // wider than any filter; the unit tests know
                continue;
            }
            filter = replaced(replaced(filter, "%u", who.name), "%c", who.client_id);
        }
        const bool is_match = mqtt::is_topic_name(asked) && mqtt::filter_matches(filter, asked);
        is_denied |= is_match && access == "deny";
        may_write |= is_match && access.ends_with("write");
        may_read |= is_match && access.starts_with("read");
        if (filter.size() + asked.size() < 12 && mqtt::TopicFilter::parse(asked) &&
            mqtt::TopicFilter::parse(filter) && std::count(filter.begin(), filter.end(), '/') < 3 &&
            std::count(asked.begin(), asked.end(), '/') < 3 &&
            rule_covers(filter, AclReading::literal, {}, asked) != naive_covers(filter, asked))
            std::abort();
    }
    if (acl->allows(who, Access::publish, asked) != (may_write && !is_denied) ||
        acl->allows(who, Access::receive, asked) != (may_read && !is_denied))
        std::abort();
    return 0;
}
