#include "edge/sessions.h"

#include "thing/sign.h"

#include <algorithm>

namespace brim::edge {

namespace {

SessionFailure explain(int code, const std::string& message) {
    std::string fix;
    switch (code) {
    case 0:
        fix = "check that the hub is healthy; it is asked again";
        break;
    case 401:
    case 6287:
        fix = "the device secret is not the hub's: copy it into the driver's deviceList";
        break;
    case 428:
        fix = "the gateway has too many devices online: move some to another gateway";
        break;
    case 429:
        fix = "the hub throttles: it is asked again";
        break;
    case 522:
    case 6204:
        fix = "the device is disabled at the hub: enable it there";
        break;
    case 521:
    case 6100:
        fix = "create the device at the hub, or correct its name in the driver's deviceList";
        break;
    case 6401:
        fix = "bind the device to this gateway at the hub";
        break;
    case 427:
        fix = "the device was logged in elsewhere: a device belongs to one gateway";
        break;
    default:
        fix = "see the hub's message and docs/errors.md";
        break;
    }
    return {code, message, std::move(fix)};
}

Json identity(const thing::DeviceKey& key) {
    return Json::object({{"productKey", key.product_key}, {"deviceName", key.device_name}});
}

} // namespace

std::string_view step_name(SessionStep step) noexcept {
    switch (step) {
    case SessionStep::out:
        return "out";
    case SessionStep::secret:
        return "asking for its secret";
    case SessionStep::bind:
        return "binding";
    case SessionStep::login:
        return "logging in";
    case SessionStep::open:
        return "open";
    case SessionStep::failed:
        return "failed";
    }
    return "unknown";
}

Sessions::Sessions(
    io::Env& env,
    SessionPort& port,
    thing::DeviceKey gateway,
    const Devices& devices,
    Secrets& secrets,
    SessionLimits limits
)
    : env_(env), port_(port), gateway_(std::move(gateway)), devices_(devices), secrets_(secrets),
      limits_(limits), tick_(env.loop()) {}

Sessions::Session& Sessions::session(const thing::DeviceKey& device) {
    const auto [found, fresh] = sessions_.try_emplace(device);
    if (fresh) {
        found->second.key = device;
        by_text_.emplace(device.text(), &found->second);
    }
    return found->second;
}

void Sessions::up() {
    up_ = true;
    unsettled_ = 0;
    for (auto& [key, session] : sessions_) {
        session.first = session.wanted;
        if (!session.wanted)
            continue;
        ++unsettled_;
        start(session);
    }
    advance();
    tick_.start(std::chrono::seconds{1}, [this] { tick(); });
}

void Sessions::down() {
    up_ = false;
    tick_.stop();
    requests_.clear();
    need_secret_.clear();
    need_bind_.clear();
    need_login_.clear();
    failed_.clear();
    for (Session* session : leaving_) { // the backlog asks for it again if it still has something
        session->wanted = false;
        session->until = 0;
    }
    leaving_.clear();
    for (auto& [key, session] : sessions_) {
        if (session.step != SessionStep::failed)
            session.failure = {};
        session.step = SessionStep::out;
        session.asked = false;
        session.alone = false;
    }
    open_count_ = 0;
}

void Sessions::want(const thing::DeviceKey& device) {
    Session& wanted = session(device);
    wanted.wanted = true;
    wanted.until = 0;
    leaving_.erase(&wanted);
    if (!up_ || wanted.step != SessionStep::out)
        return;
    start(wanted);
    advance();
}

void Sessions::want_until(const thing::DeviceKey& device, store::Seq until) {
    Session& wanted = session(device);
    if (!up_) {
        wanted.wanted = false;
        return;
    }
    wanted.wanted = true;
    wanted.until = until;
    leaving_.insert(&wanted);
    if (wanted.step != SessionStep::out)
        return;
    start(wanted);
    advance();
}

bool Sessions::open(std::string_view product_key, std::string_view device_name) const {
    std::string text;
    text.reserve(product_key.size() + 1 + device_name.size());
    text.append(product_key).append("/").append(device_name);
    const auto found = by_text_.find(text);
    return found != by_text_.end() && found->second->step == SessionStep::open;
}

bool Sessions::wanted(const thing::DeviceKey& device) const {
    const auto found = sessions_.find(device);
    return found != sessions_.end() && found->second.wanted;
}

Sessions::View Sessions::view(const thing::DeviceKey& device) const {
    const auto found = sessions_.find(device);
    if (found == sessions_.end())
        return {};
    const Session& session = found->second;
    return {session.step, session.failure.message.empty() ? nullptr : &session.failure};
}

std::deque<Sessions::Session*>& Sessions::queue(SessionStep step) {
    if (step == SessionStep::secret)
        return need_secret_;
    return step == SessionStep::bind ? need_bind_ : need_login_;
}

void Sessions::enter(Session& session, SessionStep step) {
    session.step = step;
    queue(step).push_back(&session);
}

void Sessions::start(Session& session) {
    const Device* device = devices_.find(session.key);
    const bool has_secret = (device && !device->secret.empty()) || secrets_.find(session.key);
    if (!has_secret)
        enter(session, SessionStep::secret);
    else
        enter(session, session.bound ? SessionStep::login : SessionStep::bind);
}

void Sessions::advance() {
    if (!up_)
        return;
    while (requests_.size() < limits_.requests_max) {
        const bool sent = send_batch(SessionStep::login) || send_batch(SessionStep::bind) ||
                          send_batch(SessionStep::secret);
        if (!sent)
            return;
    }
}

Json Sessions::signed_entry(const Session& session, const Secret& secret) {
    const std::string client_id = session.key.product_key + "." + session.key.device_name;
    const std::string timestamp = std::to_string(port_.wall().ms);
    Json entry = identity(session.key);
    entry.set("clientId", client_id);
    entry.set("timestamp", timestamp);
    entry.set(session.step == SessionStep::bind ? "signmethod" : "signMethod", "hmacSha256");
    entry.set("sign", thing::sign(Digest::sha256, secret, client_id, session.key, timestamp));
    if (session.step == SessionStep::login)
        entry.set("cleanSession", "true");
    return entry;
}

bool Sessions::send_batch(SessionStep step) {
    auto& waiting = queue(step);
    const std::size_t batch_max =
        step == SessionStep::secret ? limits_.register_batch_max : limits_.batch_max;
    Request request{step, {}, env_.loop().now() + limits_.answer_wait};
    Json entries = Json::array();
    while (!waiting.empty() && request.devices.size() < batch_max) {
        Session& next = *waiting.front();
        const bool stale = next.step != step || next.asked || !next.wanted;
        if (!stale && next.alone && !request.devices.empty())
            break;
        waiting.pop_front();
        if (stale)
            continue;
        if (step == SessionStep::secret) {
            entries.push(identity(next.key));
        } else {
            const Device* device = devices_.find(next.key);
            const Secret* kept = secrets_.find(next.key);
            const bool own = device && !device->secret.empty();
            if (!own && !kept) {
                enter(next, SessionStep::secret);
                continue;
            }
            entries.push(signed_entry(next, own ? device->secret : *kept));
        }
        next.asked = true;
        request.devices.push_back(&next);
        if (next.alone)
            break;
    }
    if (request.devices.empty())
        return false;
    const std::string id = next_id();
    const std::string gateway = gateway_.text();
    if (step == SessionStep::secret) {
        port_.request(
            "/sys/" + gateway + "/thing/sub/register", thing::make_request(id, "thing.sub.register", entries)
        );
    } else if (step == SessionStep::bind) {
        port_.request(
            "/sys/" + gateway + "/thing/topo/add", thing::make_request(id, "thing.topo.add", entries)
        );
    } else {
        const Json params = Json::object({{"deviceList", std::move(entries)}});
        port_.request(
            "/ext/session/" + gateway + "/combine/batch_login",
            thing::make_request(id, "combine.batch_login", params)
        );
    }
    requests_.emplace(id, std::move(request));
    return true;
}

bool Sessions::reply(std::string_view topic, std::string_view payload) {
    const bool ours =
        topic.ends_with("/thing/sub/register_reply") || topic.ends_with("/thing/topo/add_reply") ||
        topic.ends_with("/combine/batch_login_reply") || topic.ends_with("/combine/logout_reply");
    if (!ours)
        return false;
    const auto reply = thing::parse_reply(payload);
    if (!reply) {
        env_.log().warn(
            "session", "the hub's answer is unreadable", {{"topic", topic}, {"cause", reply.error().cause}}
        );
        return true;
    }
    std::string_view id = reply->id;
    if (id.size() >= 2 && id.front() == '"')
        id = id.substr(1, id.size() - 2);
    const auto found = requests_.find(std::string(id));
    if (found == requests_.end())
        return true; // a logout, or too late
    Request request = std::move(found->second);
    requests_.erase(found);
    answered(request, reply->code, reply->message, reply->data);
    advance();
    return true;
}

void Sessions::answered(Request& request, int code, const std::string& message, const Json& data) {
    for (Session* session : request.devices)
        session->asked = false;
    if (code == 200) {
        for (Session* session : request.devices) {
            if (session->step == request.step)
                passed_step(*session, request.step, data);
        }
        return;
    }
    // All or nothing: somebody in a refused batch is at fault, so ask for each alone. Throttling is nobody's
    // fault.
    const bool split = request.devices.size() > 1 && code != 429;
    for (Session* session : request.devices) {
        if (session->step != request.step)
            continue;
        if (split) {
            session->alone = true;
            queue(request.step).push_back(session);
        } else {
            refuse(*session, code, message);
        }
    }
}

void Sessions::passed_step(Session& session, SessionStep step, const Json& data) {
    if (step == SessionStep::secret) {
        for (const Json& entry : data.items()) {
            const bool same = entry["productKey"].as_string() == session.key.product_key &&
                              entry["deviceName"].as_string() == session.key.device_name;
            if (!same || !entry["deviceSecret"].is_string())
                continue;
            secrets_.put(session.key, Secret(std::string(entry["deviceSecret"].as_string())));
            enter(session, session.bound ? SessionStep::login : SessionStep::bind);
            return;
        }
        refuse(session, 6100, "the hub gave no secret for it");
        return;
    }
    if (step == SessionStep::bind) {
        session.bound = true;
        enter(session, SessionStep::login);
        return;
    }
    session.step = SessionStep::open;
    session.alone = false;
    session.failure = {};
    session.backoff = {};
    session.opened_at = env_.loop().now();
    ++open_count_;
    settle_first(session);
    port_.on_open(session.key);
}

void Sessions::close(Session& session) {
    if (session.step == SessionStep::open)
        --open_count_;
    session.step = SessionStep::out;
}

void Sessions::refuse(Session& session, int code, const std::string& message) {
    close(session);
    session.step = SessionStep::failed;
    session.failure = explain(code, message);
    session.backoff = std::clamp(session.backoff * 2, limits_.backoff_min, limits_.backoff_max);
    const auto half = std::chrono::duration_cast<std::chrono::milliseconds>(session.backoff) / 2;
    const auto jitter = env_.random().below(static_cast<std::uint64_t>(half.count()) + 1);
    session.retry_at = env_.loop().now() + half + std::chrono::milliseconds(jitter);
    if (code == 6401)
        session.bound = false;
    if (code == 401 || code == 6287)
        secrets_.forget(session.key);
    failed_.insert(&session);
    env_.log().warn(
        "session",
        "a device cannot log in",
        {{"device", session.key.text()}, {"code", code}, {"cause", message}, {"fix", session.failure.fix}}
    );
    settle_first(session);
}

void Sessions::settle_first(Session& session) {
    if (!session.first)
        return;
    session.first = false;
    --unsettled_;
}

void Sessions::kicked(std::string_view payload) {
    const auto reply = thing::parse_reply(payload);
    if (!reply)
        return;
    const thing::DeviceKey key{
        std::string(reply->data["productKey"].as_string()), std::string(reply->data["deviceName"].as_string())
    };
    const auto found = sessions_.find(key);
    if (found == sessions_.end() || found->second.step != SessionStep::open)
        return;
    Session& session = found->second;
    const bool at_once = reply->code == 520 && env_.loop().now() - session.opened_at > limits_.backoff_min;
    if (!at_once) {
        refuse(session, reply->code, reply->message);
        return;
    }
    close(session);
    start(session);
    advance();
}

bool Sessions::doubt(std::string_view device) {
    const auto found = by_text_.find(device);
    if (found == by_text_.end())
        return false;
    Session& session = *found->second;
    if (session.step != SessionStep::open)
        return true; // it was kicked meanwhile: the next login decides
    const Mono now = env_.loop().now();
    if (session.doubted_at != Mono{} && now - session.doubted_at < limits_.doubt_every)
        return false;
    session.doubted_at = now;
    close(session);
    start(session);
    advance();
    return true;
}

void Sessions::release_passed() {
    for (auto at = leaving_.begin(); at != leaving_.end();) {
        Session& session = **at;
        if (session.step == SessionStep::open && port_.passed(session.until)) {
            at = leaving_.erase(at);
            leave(session);
        } else {
            ++at;
        }
    }
}

void Sessions::leave(Session& session) {
    close(session);
    session.wanted = false;
    session.until = 0;
    port_.request(
        "/ext/session/" + gateway_.text() + "/combine/logout",
        thing::make_request(next_id(), "combine.logout", identity(session.key))
    );
}

void Sessions::tick() {
    const Mono now = env_.loop().now();
    for (auto at = requests_.begin(); at != requests_.end();) {
        if (now < at->second.deadline) {
            ++at;
            continue;
        }
        const Request late = std::move(at->second);
        at = requests_.erase(at);
        for (Session* session : late.devices) {
            session->asked = false;
            if (session->step == late.step)
                refuse(*session, 0, "no answer within the deadline");
        }
    }
    for (auto at = failed_.begin(); at != failed_.end();) {
        Session& session = **at;
        if (session.step == SessionStep::failed && session.wanted && now < session.retry_at) {
            ++at;
            continue;
        }
        at = failed_.erase(at);
        if (session.step != SessionStep::failed)
            continue;
        session.step = SessionStep::out;
        if (session.wanted)
            start(session);
    }
    advance();
    release_passed();
    tick_.start(std::chrono::seconds{1}, [this] { tick(); });
}

} // namespace brim::edge
