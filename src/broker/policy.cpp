#include "broker/policy.h"

#include "base/hash.h"

#include <algorithm>

namespace brim::broker {

namespace {

/// The text of a file that was named; nothing when it cannot be read, which is noted.
std::optional<Bytes> text_of(io::Disk& disk, const std::string& path, std::size_t bytes_max, Rules& rules) {
    if (path.empty())
        return std::nullopt;
    auto text = io::read_file(disk, path, bytes_max);
    if (text) {
        rules.seen += digest(Digest::sha256, *text);
        return std::move(*text);
    }
    rules.seen += "absent";
    Error why = std::move(text).error();
    why.fix += why.fix.empty() ? "until then it lets nobody in" : "; until then it lets nobody in";
    rules.problems.push_back(std::move(why));
    return std::nullopt;
}

/// What was made of a file's text, or what there was before when the text is malformed.
template <class Part>
std::shared_ptr<const Part>
taken(Result<Part> made, const std::shared_ptr<const Part>& before, Rules& rules) {
    if (made)
        return std::make_shared<const Part>(std::move(*made));
    rules.problems.push_back(std::move(made).error());
    return before;
}

} // namespace

Rules read_rules(io::Disk& disk, const PolicySettings& settings, const Rules* before) {
    static const Rules nothing;
    const Rules& old = before == nullptr ? nothing : *before;
    Rules rules;
    if (const auto text = text_of(disk, settings.users_file, PolicyLimits::users_bytes_max, rules))
        rules.users = taken(UserFile::parse(*text, settings.users_file), old.users, rules);
    if (const auto text = text_of(disk, settings.acl_file, PolicyLimits::acl_bytes_max, rules))
        rules.acl = taken(Acl::parse(*text, settings.acl_file), old.acl, rules);
    if (const auto text = text_of(disk, settings.token_key_file, PolicyLimits::key_bytes_max, rules)) {
        TokenSettings tokens;
        tokens.algorithms = settings.token_algorithms;
        tokens.form = settings.token_key_form;
        tokens.key = Secret(*text);
        tokens.issuer = settings.token_issuer;
        tokens.audience = settings.token_audience;
        tokens.name_claim = settings.token_name_claim;
        tokens.leeway = settings.token_leeway;
        rules.tokens = taken(TokenJudge::make(std::move(tokens), settings.token_key_file), old.tokens, rules);
    }
    return rules;
}

bool Policy::may(const Principal& who, mqtt::Action action, std::string_view topic) const {
    if (who.proof == Proof::unsafe)
        return action != mqtt::Action::publish || !topic.starts_with('$');
    return rules_.acl && rules_.acl->allows(who, action, topic);
}

bool Policy::is_known(const Principal& who) const {
    switch (who.proof) {
    case Proof::password:
    case Proof::scram:
        return rules_.users &&
               (rules_.users->find(who.name).known || rules_.users->scram(who.name) != nullptr);
    case Proof::token:
        return rules_.tokens != nullptr;
    case Proof::none:
    case Proof::unsafe:
    case Proof::certificate:
        break; // listeners and TLS decide; a revoked certificate ends its connection there
    }
    return true;
}

} // namespace brim::broker
