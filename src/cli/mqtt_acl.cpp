// brim mqtt acl check: asks a file with permissions what the broker would.

#include "broker/acl.h"
#include "cli/mqtt_access.h"
#include "cli/mqtt_options.h"
#include "io/posix_disk.h"
#include "mqtt/topic_filter.h"

#include <algorithm>
#include <cstdio>

namespace brim::cli {

namespace {

struct AclQuestion {
    broker::Access what{};
    std::string text;
};

std::string line_of(std::string_view text, std::uint32_t number) {
    for (std::uint32_t i = 1; i < number; ++i)
        text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    text = text.substr(0, text.find_first_of("\r\n"));
    return std::string(text.substr(std::min(text.find_first_not_of(" \t"), text.size())));
}

Result<AclQuestion> question_of(const AclOptions& options) {
    const int asked =
        int{!options.publish.empty()} + int{!options.subscribe.empty()} + int{!options.receive.empty()};
    if (asked > 1)
        return fail(
            Errc::invalid, "brim mqtt acl check", "more than one question", "ask one thing at a time"
        );
    if (!options.subscribe.empty()) {
        if (const auto filter = mqtt::TopicFilter::parse(options.subscribe, {65'535, 65'535}); !filter)
            return fail(Errc::invalid, "--subscribe", filter.error().cause, filter.error().fix);
        return AclQuestion{broker::Access::subscribe, options.subscribe};
    }
    const bool is_publish = options.receive.empty();
    const std::string& topic = is_publish ? options.publish : options.receive;
    if (asked == 1 && !mqtt::is_topic_name(topic))
        return fail(
            Errc::invalid,
            is_publish ? "--publish" : "--receive",
            "that is no topic",
            "leave + and # away: they are for --subscribe"
        );
    return AclQuestion{is_publish ? broker::Access::publish : broker::Access::receive, topic};
}

} // namespace

Exit mqtt_acl_check(const AclOptions& options, Format format) {
    const auto question = question_of(options);
    if (!question)
        return static_cast<Exit>(complain_of_words(question.error()));
    io::PosixDisk disk;
    const auto text = io::read_file(disk, options.file, broker::AclLimits{}.file_bytes_max);
    if (!text)
        return complain(text.error());
    const auto acl = broker::Acl::parse(*text, options.file);
    if (!acl)
        return complain(acl.error());
    if (question->text.empty()) {
        std::puts("the file is well-formed");
        return Exit::ok;
    }
    const broker::Principal who{
        .proof = options.user.empty() ? broker::Proof::none : broker::Proof::password,
        .name = options.user,
        .client_id = options.client_id,
        .valid_until = {}
    };
    const broker::AclDecision decided = acl->explain(who, question->what, question->text);
    const std::string line = decided.line == 0 ? "" : line_of(*text, decided.line);
    if (format == Format::json) {
        Json answer = Json::object();
        answer.set("allowed", decided.allowed);
        answer.set("line", decided.line == 0 ? Json() : Json(decided.line));
        answer.set("rule", decided.line == 0 ? Json() : Json(line));
        print_json(answer);
    } else if (decided.line == 0) {
        std::puts("deny: no line allows it");
    } else {
        std::printf(
            "%s: line %u: %s\n", decided.allowed ? "allow" : "deny", decided.line, printable(line).c_str()
        );
    }
    return decided.allowed ? Exit::ok : Exit::denied;
}

} // namespace brim::cli
