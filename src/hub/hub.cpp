#include "hub/hub.h"

#include "io/resident.h"

namespace brim::hub {

Hub::Hub(io::Env& env, HubConfig config) : env_(env), config_(std::move(config)) {}

Hub::~Hub() = default;

Result<std::unique_ptr<Hub>> Hub::start(io::Env& env, HubConfig config) {
    std::unique_ptr<Hub> hub(new Hub(env, std::move(config)));
    BRIM_TRY(hub->open());
    return hub;
}

Result<void> Hub::open() {
    io::Disk& disk = env_.disk();
    BRIM_TRY(disk.make_dir(config_.data_dir));
    auto lock = disk.lock(config_.data_dir + "/lock");
    if (!lock)
        return fail(std::move(lock).error());
    lock_ = std::move(*lock);
    auto db = MetaDb::open(env_, config_.data_dir + "/hub.db");
    if (!db)
        return fail(std::move(db).error());
    db_ = std::move(*db);
    auto registry = Registry::open(env_, *db_);
    if (!registry)
        return fail(std::move(registry).error());
    registry_ = std::move(*registry);
    feed_ = std::make_unique<Feed>(registry_->boot());
    auto ingest = Ingest::open(env_, *registry_, *feed_, config_.ingest);
    if (!ingest)
        return fail(std::move(ingest).error());
    ingest_ = std::move(*ingest);
    auto sessions = mqtt::SessionLog::open(env_, {.folder = config_.data_dir + "/sessions"});
    if (!sessions)
        return fail(std::move(sessions).error());
    access_ =
        std::make_unique<Access>(env_, *registry_, *ingest_, *feed_, config_.access, std::move(*sessions));
    auto api = Api::open({env_, *db_, *registry_, *ingest_, *access_, *feed_});
    if (!api)
        return fail(std::move(api).error());
    api_ = std::move(*api);
    http_ = std::make_unique<io::HttpServer>(env_, io::HttpLimits{}, *api_);
    add_metrics();
    for (const ListenerConfig& listener : config_.listeners)
        BRIM_TRY(open_listener(listener));
    BRIM_TRY(open_broker());
    std::vector<ApiListener> shown;
    for (const OpenListener& each : listeners_)
        shown.push_back({each.protocol, each.address, each.security});
    api_->set_listeners(std::move(shown));
    return {};
}

Result<void> Hub::open_broker() {
    if (!config_.broker.is_wanted())
        return {};
    auto service = broker::Service::open(env_, config_.broker);
    if (!service)
        return fail(std::move(service).error());
    broker_ = std::move(*service);
    for (const OpenListener& each : broker_->listeners())
        listeners_.push_back(each);
    return {};
}

Result<void> Hub::open_tls(const ListenerConfig& listener, mqtt::Server::Wrap& wrap) {
    io::TlsServerOptions options = listener.tls;
    BRIM_TRY(io::name_self_signed(env_, config_.data_dir + "/tls", listener.address.host, options));
    const bool is_mqtt = listener.protocol == ListenerConfig::Protocol::mqtts;
    options.protocol = is_mqtt ? "mqtt" : "http/1.1";
    if (!tls_worker_)
        tls_worker_ = env_.make_worker("hub-tls");
    auto service = io::TlsService::open(
        env_, *tls_worker_, (is_mqtt ? "mqtts " : "https ") + listener.address.text(), std::move(options)
    );
    if (!service)
        return fail(std::move(service).error());
    tls_.push_back(std::move(*service));
    wrap = [tls = tls_.back().get()](std::unique_ptr<io::Stream> stream) {
        return tls->wrap(std::move(stream));
    };
    return {};
}

/// Browsers, programs, and devices with MQTT over WebSocket: all of them have their place at the listener
/// from the accept on, whatever they ask for later.
void Hub::put_http_before(const ListenerConfig& listener, mqtt::ListenerOptions& options) {
    const mqtt::EntranceId websocket = access_->add_entrance(
        {.publish_rate_max = options.publish_rate_max,
         .publish_bytes_rate_max = options.publish_bytes_rate_max}
    );
    const unsigned door =
        api_->add_mqtt_door({listener.origins, [this, websocket](std::unique_ptr<io::Stream> stream) {
                                 access_->adopt(std::move(stream), websocket);
                             }});
    options.serve = [this, door](std::unique_ptr<io::Stream> stream) {
        http_->serve(std::move(stream), door);
    };
}

Result<void> Hub::open_listener(const ListenerConfig& listener) {
    const bool tls = listener.is_tls();
    mqtt::ListenerOptions options = listener.listener_options();
    if (tls)
        BRIM_TRY(open_tls(listener, options.wrap));
    if (listener.is_http())
        put_http_before(listener, options);
    auto bound = access_->listen(listener.address, std::move(options));
    if (!bound)
        return fail(std::move(bound).error());
    OpenListener opened;
    opened.security = tls ? "tls" : "plain";
    opened.protocol = listener.is_http() ? (tls ? "https" : "http") : (tls ? "mqtts" : "mqtt");
    opened.address = bound->text();
    env_.log().info(
        "hub",
        "listening",
        {{"protocol", opened.protocol}, {"address", opened.address}, {"security", opened.security}}
    );
    listeners_.push_back(std::move(opened));
    return {};
}

std::string Hub::setup_link() const {
    const std::string token = api_->setup_token();
    if (token.empty())
        return {};
    std::string base = config_.public_url;
    for (const OpenListener& listener : listeners_) {
        if (!base.empty() || !listener.protocol.starts_with("http"))
            continue;
        std::string address = listener.address;
        if (address.starts_with("tcp:"))
            address.erase(0, 4);
        base = listener.protocol + "://" + address;
    }
    return base.empty() ? std::string{} : base + "/setup?t=" + token;
}

void Hub::add_metrics() {
    Metrics& metrics = env_.metrics();
    const auto gauge = [&metrics](
                           std::string_view name, std::string_view help, std::function<double()> read
                       ) { metrics.gauge_from(name, help, std::move(read)); };
    gauge("brim_devices", "Devices registered", [this] {
        return static_cast<double>(registry_->devices().size());
    });
    gauge("brim_devices_online", "Devices online", [this] {
        return static_cast<double>(registry_->online_devices());
    });
    gauge("brim_ingest_received", "Reports offered", [this] {
        return static_cast<double>(ingest_->stats().received);
    });
    gauge("brim_ingest_stored", "Reports made durable", [this] {
        return static_cast<double>(ingest_->stats().stored);
    });
    gauge("brim_ingest_duplicates", "Reports acknowledged again without storing", [this] {
        return static_cast<double>(ingest_->stats().duplicates);
    });
    gauge("brim_store_bytes", "Bytes of the ingress log on disk", [this] {
        return static_cast<double>(ingest_->stats().log.bytes);
    });
    io::register_process_metrics(metrics);
}

void Hub::reload(const HubConfig& config) {
    config_.public_url = config.public_url;
    config_.drain_wait = config.drain_wait;
    access_->set_keepalive(config.access.keepalive_s_min, config.access.keepalive_s_max);
    ingest_->set_retention(config.ingest.retention);
}

void Hub::refresh_tls() {
    for (const auto& each : tls_)
        each->refresh();
    if (broker_)
        broker_->refresh();
}

void Hub::drain(std::move_only_function<void()> done) {
    auto finished =
        std::make_shared<std::move_only_function<void()>>(std::move(done)); // shared: timer or close, once
    const auto finish = [this, finished] {
        drain_timer_.reset();
        if (*finished)
            std::exchange(*finished, nullptr)();
    };
    access_->stop(); // the HTTP listeners too
    drain_timer_ = std::make_unique<io::Timer>(env_.loop());
    drain_timer_->start(config_.drain_wait, [this, finish] {
        env_.log().warn("hub", "drain took too long; what was acknowledged is safe", {});
        env_.loop().post(finish);
    });
    auto all = [this, finish, open = broker_ ? 3 : 2]() mutable {
        if (--open == 0)
            env_.loop().post(finish);
    };
    auto closed = std::make_shared<decltype(all)>(std::move(all)); // shared by the logs that close
    ingest_->close([closed] { (*closed)(); });
    access_->close_sessions([closed] { (*closed)(); });
    if (broker_)
        broker_->shut([closed] { (*closed)(); });
}

} // namespace brim::hub
