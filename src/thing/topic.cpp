#include "thing/envelope.h"

#include <array>

namespace brim::thing {

namespace {

/// Walks the levels of a topic without copying.
class Levels {
public:
    explicit Levels(std::string_view text) : rest_(text) {}

    /// The next level; what is left is in rest().
    std::string_view take() noexcept {
        const auto slash = rest_.find('/');
        const std::string_view level = rest_.substr(0, slash);
        ended_ = slash == std::string_view::npos;
        rest_ = ended_ ? std::string_view{} : rest_.substr(slash + 1);
        return level;
    }

    std::string_view rest() const noexcept { return rest_; }

    /// The level taken last had no '/' behind it.
    bool ended() const noexcept { return ended_; }

private:
    std::string_view rest_;
    bool ended_ = false;
};

struct Fixed {
    std::string_view rest;
    TopicKind kind;
};

constexpr std::array sys_topics{
    Fixed{"thing/event/property/post", TopicKind::property_post},
    Fixed{"thing/event/property/history/post", TopicKind::history_post},
    Fixed{"thing/event/property/pack/post", TopicKind::pack_post},
    Fixed{"thing/event/property/batch/post", TopicKind::batch_post},
    Fixed{"thing/service/property/set", TopicKind::property_set},
    Fixed{"thing/service/property/set_reply", TopicKind::set_reply},
    Fixed{"thing/service/property/get", TopicKind::property_get},
    Fixed{"thing/service/property/get_reply", TopicKind::get_reply},
    Fixed{"thing/property/desired/get", TopicKind::desired_get},
    Fixed{"thing/property/desired/delete", TopicKind::desired_delete},
    Fixed{"thing/deviceinfo/update", TopicKind::tags_update},
    Fixed{"thing/deviceinfo/delete", TopicKind::tags_delete},
    Fixed{"thing/dsltemplate/get", TopicKind::model_get},
    Fixed{"thing/sub/register", TopicKind::sub_register},
    Fixed{"thing/sub/unregister", TopicKind::sub_unregister},
    Fixed{"thing/topo/add", TopicKind::topo_add},
    Fixed{"thing/topo/delete", TopicKind::topo_delete},
    Fixed{"thing/topo/get", TopicKind::topo_get},
    Fixed{"thing/list/found", TopicKind::list_found},
};

constexpr std::array session_topics{
    Fixed{"combine/login", TopicKind::combine_login},
    Fixed{"combine/logout", TopicKind::combine_logout},
    Fixed{"combine/batch_login", TopicKind::combine_batch_login},
    Fixed{"combine/batch_logout", TopicKind::combine_batch_logout},
};

template <std::size_t count>
TopicKind look_up(const std::array<Fixed, count>& table, std::string_view rest) noexcept {
    for (const Fixed& entry : table) {
        if (entry.rest == rest)
            return entry.kind;
    }
    return TopicKind::other_sys;
}

/// A single level that names something: no wildcard, no further level.
bool is_name(std::string_view text) noexcept {
    return !text.empty() && text.find_first_of("/+#") == std::string_view::npos;
}

void classify_sys(std::string_view rest, DeviceTopic& out) noexcept {
    constexpr std::string_view event = "thing/event/";
    constexpr std::string_view post = "/post";
    constexpr std::string_view service = "thing/service/";
    constexpr std::string_view reply = "_reply";
    constexpr std::string_view rrpc = "rrpc/response/";
    out.kind = look_up(sys_topics, rest);
    if (out.kind != TopicKind::other_sys)
        return;
    if (rest.starts_with(event) && rest.ends_with(post) && rest.size() > event.size() + post.size()) {
        const std::string_view name = rest.substr(event.size(), rest.size() - event.size() - post.size());
        if (!is_name(name))
            return;
        out.kind = TopicKind::event_post;
        out.name = name;
    } else if (rest.starts_with(service)) {
        std::string_view name = rest.substr(service.size());
        if (!is_name(name))
            return;
        const bool answer = name.ends_with(reply) && name.size() > reply.size();
        if (answer)
            name.remove_suffix(reply.size());
        out.kind = answer ? TopicKind::service_reply : TopicKind::service;
        out.name = name;
    } else if (rest.starts_with(rrpc) && is_name(rest.substr(rrpc.size()))) {
        out.kind = TopicKind::rrpc_response;
        out.name = rest.substr(rrpc.size());
    }
}

/// Takes product and device; false when one is missing.
bool take_device(Levels& levels, DeviceTopic& out) noexcept {
    out.product_key = levels.take();
    if (levels.ended())
        return false;
    out.device_name = levels.take();
    return !out.product_key.empty() && !out.device_name.empty();
}

void classify_ext(Levels& levels, DeviceTopic& out) noexcept {
    const std::string_view part = levels.take();
    if (part == "rrpc") {
        out.name = levels.take();
        // Behind the id stands the original topic without its first slash.
        Levels original(levels.rest());
        if (levels.rest().starts_with("sys/"))
            original.take();
        if (out.name.empty() || !take_device(original, out))
            return;
        out.kind = TopicKind::rrpc_response;
        return;
    }
    if (!take_device(levels, out))
        return;
    const std::string_view rest = levels.rest();
    if (part == "session") {
        out.kind = look_up(session_topics, rest);
    } else if (part == "ntp") {
        out.kind = rest == "request" ? TopicKind::ntp_request : TopicKind::other_sys;
    } else if (part == "error" || part == "regsub") {
        out.kind = TopicKind::other_sys;
    }
}

/// /ota/device/{verb}/{pk}/{dn} and /shadow/{verb}/{pk}/{dn}
void classify_verb(Levels& levels, int skipped, DeviceTopic& out) noexcept {
    for (int i = 0; i < skipped; ++i)
        levels.take();
    if (take_device(levels, out))
        out.kind = TopicKind::other_sys;
}

} // namespace

DeviceTopic parse_topic(std::string_view topic) noexcept {
    DeviceTopic out;
    if (!topic.starts_with('/'))
        return out;
    Levels levels(topic.substr(1));
    const std::string_view first = levels.take();
    if (levels.ended() || first.empty())
        return out;
    if (first == "sys") {
        // A bare /sys/{pk}/{dn} names no function.
        if (take_device(levels, out) && (!levels.ended() || out.device_name == "#"))
            classify_sys(levels.rest(), out);
    } else if (first == "ext") {
        classify_ext(levels, out);
    } else if (first == "ota") {
        classify_verb(levels, 2, out);
    } else if (first == "shadow") {
        classify_verb(levels, 1, out);
    } else if (first == "broadcast") {
        out.product_key = levels.take();
        if (!out.product_key.empty() && !levels.ended())
            out.kind = TopicKind::other_sys;
    } else {
        out.product_key = first;
        out.device_name = levels.take();
        const bool complete = !out.device_name.empty() && (!levels.ended() || out.device_name == "#");
        if (complete)
            out.kind = TopicKind::custom;
    }
    if (out.kind == TopicKind::unknown)
        out = DeviceTopic{};
    return out;
}

} // namespace brim::thing
