// Bridges to other brokers: what they carry away is marked and waits for their queues, what they bring is
// acknowledged when it is kept here.

#include "broker/service.h"

#include "broker/bridge_mark.h"

namespace brim::broker {

using mqtt::ReasonCode;
using mqtt::Verdict;

namespace {

constexpr std::size_t id_characters = 16;
constexpr std::size_t password_bytes_max = 65'535;

} // namespace

/// From the settings, or made at the first start: loops are cut by it, so it must not change.
Result<std::string> Service::own_id() {
    if (!settings_.broker_id.empty())
        return settings_.broker_id;
    BRIM_TRY(env().disk().make_dir(settings_.folder));
    const std::string path = settings_.folder + "/broker-id";
    if (env().disk().exists(path)) {
        auto kept = io::read_file(env().disk(), path, broker_id_bytes_max);
        if (kept && is_broker_id(*kept))
            return std::string(*kept);
        return fail(
            Errc::corrupt,
            "file " + path,
            "it does not hold this broker's id",
            "write it there again, or set broker.id; a new one may let old messages come back once"
        );
    }
    const std::string made = env().random().alnum(id_characters);
    BRIM_TRY(io::write_file_atomically(env().disk(), path, made));
    return made;
}

Result<void> Service::open_bridges() {
    if (settings_.bridges.empty())
        return {};
    auto id = own_id();
    if (!id)
        return fail(std::move(id).error());
    LocalBroker& local = *this;
    bridges_ = std::make_unique<BridgeSet>(env(), local, std::move(*id));
    for (BridgeEntry& entry : settings_.bridges)
        open_bridge(entry);
    bridges_->start();
    return {};
}

/// One that cannot be opened keeps the broker from nothing else.
void Service::open_bridge(BridgeEntry& entry) {
    const auto refuse = [&](const Error& why) {
        env().log().error(
            "broker", "there is no bridge", {{"bridge", entry.link.name}, {"error", why.text()}}
        );
    };
    if (!entry.password_file.empty()) {
        auto password = io::read_file(env().disk(), entry.password_file, password_bytes_max);
        if (!password)
            return refuse(password.error());
        while (password->ends_with('\n') || password->ends_with('\r'))
            password->pop_back();
        entry.link.password = std::move(*password);
    }
    mqtt::Link::Wrap wrap;
    if (entry.is_tls) {
        auto trust = io::TlsContext::client(env().disk(), entry.trust);
        if (!trust)
            return refuse(trust.error());
        bridge_trust_.push_back(std::move(*trust));
        wrap = [this, trusted = bridge_trust_.back().get(), host = entry.link.to.host](
                   std::unique_ptr<io::Stream> stream
               ) { return io::wrap_client(env().loop(), std::move(stream), *trusted, host); };
    }
    auto added = bridges_->add(entry.link, std::move(wrap));
    if (!added)
        return refuse(added.error());
    env().log().info("broker", "bridge", {{"name", entry.link.name}, {"to", entry.link.to.text()}});
}

Verdict Service::hand_to_bridges(const MessagePtr& message, mqtt::AckToken token) {
    LocalBroker::Done done;
    if (token != 0) {
        done = [this, token](const Result<void>& kept) {
            broker().complete(token, kept ? ReasonCode::success : ReasonCode::quota_exceeded, now());
        };
    }
    const BridgeSet::Taken taken = bridges_->take(message, std::move(done));
    if (taken.route == message && !taken.pending)
        return Verdict::route;
    if (taken.route)
        broker().publish(taken.route, now()); // before complete(), which then waits for the journal
    return taken.pending && token != 0 ? Verdict::pending : Verdict::consumed;
}

/// From a bridge.
void Service::publish(const MessagePtr& message, Done done) {
    broker().publish(message, now(), [done = std::move(done)](bool is_kept) {
        if (is_kept)
            return done({});
        done(fail(Errc::full, "session log", "it takes nothing now", "see brim_broker_log_failing"));
    });
}

Json Service::bridges_json() const {
    Json::Array shown;
    for (const auto& bridge : bridges_->bridges()) {
        const BridgeStats stats = bridge->stats();
        Json dropped = Json::object();
        for (const auto& [reason, count] : stats.dropped)
            dropped.set(reason, count);
        Json each = Json::object({
            {"name", bridge->name()},
            {"up", stats.up},
            {"sent", stats.sent},
            {"acknowledged", stats.acknowledged},
            {"received", stats.received},
            {"queued", stats.queued_records},
            {"loopsCut", stats.loops_cut},
            {"dropped", std::move(dropped)},
        });
        if (!stats.up && stats.last_error)
            each.set("lastError", stats.last_error->text());
        shown.push_back(std::move(each));
    }
    return Json(std::move(shown));
}

} // namespace brim::broker
