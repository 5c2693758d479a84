#include "broker/service.h"

#include <algorithm>

namespace brim::broker {

using mqtt::Action;
using mqtt::ConnId;
using mqtt::ConnView;
using mqtt::Verdict;

Service::Service(io::Env& env, Settings settings, std::unique_ptr<mqtt::SessionLog> sessions)
    : Server(env, settings.limits, std::move(sessions)), settings_(std::move(settings)),
      policy_(read_rules(env.disk(), settings_.policy, nullptr)), logins_(env), control_(*this),
      traces_([this](const TraceOrder& order, const Json& event) { send_traced(order, event); }),
      scram_secret_(env.random().hex(32)),
      rule_stamps_({settings_.policy.users_file, settings_.policy.acl_file, settings_.policy.token_key_file}),
      dropped_(env.metrics(), "brim_broker_dropped", "Messages that will not be delivered", "reason"),
      connects_ok_(env.metrics().counter("brim_broker_connects", "CONNECT packets answered", R"(result="ok")")
      ),
      refused_(
          env.metrics(), "brim_broker_connects", "CONNECT packets answered", "reason", R"(result="refused")"
      ),
      denied_(env.metrics().counter("brim_broker_denied", "Publishes and subscriptions refused by permission")
      ),
      rules_refused_(env.metrics().gauge(
          "brim_broker_rules_refused", "Files of users, permissions or keys that cannot be used as they are"
      )),
      started_(now()), look_(env.loop()), figures_(env.loop()), second_(env.loop()),
      files_(env.make_worker("broker-files")) {
    for (const ListenerSettings& listener : settings_.listeners)
        has_certificates_ = has_certificates_ || !listener.tls.client_ca_file.empty();
}

Service::~Service() {
    *alive_ = false;
}

Result<std::unique_ptr<Service>> Service::open(io::Env& env, Settings settings) {
    BRIM_TRY(check(settings));
    std::unique_ptr<mqtt::SessionLog> sessions;
    if (settings.durable) {
        auto opened = mqtt::SessionLog::open(env, {.folder = settings.folder});
        if (!opened)
            return fail(std::move(opened).error());
        sessions = std::move(*opened);
    }
    std::unique_ptr<Service> service(new Service(env, std::move(settings), std::move(sessions)));
    service->tell_problems(service->policy_.rules());
    service->review();
    service->register_metrics();
    for (std::size_t i = 0; i < service->settings_.listeners.size(); ++i)
        BRIM_TRY(service->open_listener(service->settings_.listeners[i], static_cast<unsigned>(i)));
    BRIM_TRY(service->open_bridges());
    service->look_.start(look_every, [it = service.get()] { it->look_at_rules(false); });
    service->second_.start(std::chrono::seconds{1}, [it = service.get()] { it->each_second(); });
    service->publish_figures();
    return service;
}

Result<mqtt::Server::Wrap> Service::open_tls(const ListenerSettings& listener) {
    if (!listener.is_tls())
        return Wrap{};
    io::TlsServerOptions options = listener.tls;
    BRIM_TRY(io::name_self_signed(env(), settings_.tls_folder, listener.address.host, options));
    options.protocol = listener.is_websocket() ? "http/1.1" : "mqtt";
    const std::string name = listener.protocol_text() + " " + listener.address.text();
    auto service = io::TlsService::open(env(), *files_, name, std::move(options));
    if (!service)
        return fail(std::move(service).error());
    tls_.push_back(std::move(*service));
    return Wrap([tls = tls_.back().get()](std::unique_ptr<io::Stream> stream) {
        return tls->wrap(std::move(stream));
    });
}

/// HTTP in front of MQTT: the limits count at the accept, before a TLS or HTTP handshake; what comes out has
/// its place already.
void Service::put_websocket_before(const ListenerSettings& listener, mqtt::ListenerOptions& options) {
    const mqtt::EntranceId entrance = add_entrance(
        {.tag = options.tag,
         .publish_rate_max = options.publish_rate_max,
         .publish_bytes_rate_max = options.publish_bytes_rate_max}
    );
    websockets_.push_back(std::make_unique<WebSocketDoor>(
        env(),
        listener.origins,
        [this, entrance](std::unique_ptr<io::Stream> stream) { adopt(std::move(stream), entrance); }
    ));
    options.serve = [door = websockets_.back().get()](std::unique_ptr<io::Stream> stream) {
        door->serve(std::move(stream));
    };
}

Result<void> Service::open_listener(const ListenerSettings& listener, unsigned tag) {
    auto tls = open_tls(listener);
    if (!tls)
        return fail(std::move(tls).error());
    mqtt::ListenerOptions options = listener.listener_options();
    options.tag = tag;
    options.wrap = std::move(*tls);
    if (listener.is_websocket())
        put_websocket_before(listener, options);
    const auto bound = listen(listener.address, std::move(options));
    if (!bound)
        return fail(bound.error());
    OpenListener opened{listener.protocol_text(), bound->text(), listener.security()};
    const bool is_unsafe = listener.auth == ListenerAuth::unsafe_anonymous;
    env().log().write(
        is_unsafe ? LogLevel::error : LogLevel::info,
        "broker",
        is_unsafe ? "UNSAFE listener: anyone who reaches it may publish and subscribe" : "listening",
        {{"protocol", opened.protocol}, {"address", opened.address}, {"security", opened.security}}
    );
    listeners_.push_back(std::move(opened));
    return {};
}

void Service::shut(std::move_only_function<void()> done) {
    look_.stop();
    figures_.stop();
    second_.stop();
    stop();
    auto close = [this, done = std::move(done)]() mutable { close_sessions(std::move(done)); };
    if (!bridges_)
        return close();
    // std::function must be copyable; it is called once.
    auto once = std::make_shared<decltype(close)>(std::move(close));
    bridges_->stop([once] { (*once)(); });
}

/// Of the session, however it came: a restored one has no handle of ours.
const Principal& Service::principal(const ConnView& who) {
    static constexpr std::string_view unsafe = "unsafe-anonymous";
    if (who.principal == unsafe) {
        asked_.proof = Proof::unsafe;
        return asked_;
    }
    const std::size_t blank = who.principal.find(' ');
    const std::string_view word = who.principal.substr(0, blank);
    asked_.proof = word == "user"          ? Proof::password
                   : word == "token"       ? Proof::token
                   : word == "certificate" ? Proof::certificate
                                           : Proof::none;
    asked_.name.assign(asked_.proof == Proof::none ? std::string_view{} : who.principal.substr(blank + 1));
    asked_.client_id.assign(who.client_id);
    return asked_;
}

void Service::deny(const ConnView& who, std::string_view what, std::string_view topic) {
    denied_.add();
    env().log().info(
        "broker", what, {{"client", who.client_id}, {"principal", who.principal}, {"topic", topic}}
    );
}

bool Service::authorise(const ConnView& who, Action action, std::string_view topic) {
    const bool is_allowed = policy_.may(principal(who), action, topic);
    if (!is_allowed && action == Action::subscribe)
        deny(who, "subscription denied", topic);
    return is_allowed;
}

Verdict Service::on_publish(const ConnView& who, const MessagePtr& message, mqtt::AckToken token) {
    const std::string& topic = message->topic;
    const Principal& from = principal(who);
    // The broker's own figures are nobody else's to say, whatever a file allows. Only a will comes without a
    // connection: its client's user may have gone.
    const bool is_allowed = !topic.starts_with("$SYS/") && (who.id != 0 || is_heard(who, from)) &&
                            policy_.may(from, Action::publish, topic);
    if (!is_allowed) {
        deny(who, "publish denied", topic);
        return Verdict::denied;
    }
    if (!topic.starts_with("$CONTROL/"))
        return bridges_ ? hand_to_bridges(message, token) : Verdict::route;
    if (!topic.starts_with(Control::root))
        return Verdict::denied;
    control_.handle(who, *message, now());
    return Verdict::consumed;
}

void Service::on_up(const ConnView& who) {
    connects_ok_.add();
    if (traces_.empty() || !traces_.wants(who.client_id))
        return;
    broker().trace(who.id, true);
    const auto from = peer(who.id);
    show_later(
        who.client_id,
        Json::object(
            {{"event", "connected"},
             {"peer", from ? from->address : std::string{}},
             {"principal", who.principal}}
        )
    );
}

void Service::on_down(const ConnView& who, mqtt::Ended why) {
    if (!ends_.empty())
        ends_.erase(who.id);
    if (traces_.empty())
        return;
    traces_.stop_of(who.session_key);
    if (traces_.wants(who.client_id))
        show_later(
            who.client_id, Json::object({{"event", "disconnected"}, {"because", mqtt::ended_text(why)}})
        );
}

void Service::on_dropped(std::string_view key, std::string_view reason, std::uint64_t count) {
    dropped_.of(reason).add(count);
    if (traces_.empty())
        return;
    const std::size_t separator = key.find('\x1f');
    const std::string_view client_id = separator == key.npos ? key : key.substr(separator + 1);
    if (traces_.wants(client_id))
        show_later(client_id, Json::object({{"event", "dropped"}, {"reason", reason}, {"count", count}}));
}

void Service::on_packet(
    const ConnView& who, bool is_inbound, mqtt::PacketType type, std::uint8_t flags, ByteView body
) {
    if (!is_showing_)
        show_later(who.client_id, packet_json(type, flags, body, who.version, is_inbound));
}

} // namespace brim::broker
