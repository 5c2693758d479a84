#pragma once
// brim-hub, assembled: registry, ingress, device access, API and console on one loop. main.cpp builds one
// from the machine, the simulator builds as many as it likes.

#include "broker/service.h"
#include "hub/api/api.h"
#include "hub/hub_config.h"
#include "io/http_server.h"
#include "io/tls_service.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace brim::hub {

using broker::OpenListener;

class Hub {
public:
    /// Opens the data folder (locks it), replays what history lacks, opens the listeners. Blocking; at start
    /// only.
    static Result<std::unique_ptr<Hub>> start(io::Env& env, HubConfig config);
    ~Hub();

    const std::vector<OpenListener>& listeners() const { return listeners_; }

    /// The one-time link, as long as there is no administrator; else empty.
    std::string setup_link() const;

    /// Stops taking connections, says goodbye to devices, makes everything durable, then calls `done` (at the
    /// latest after drain_wait). Once.
    void drain(std::move_only_function<void()> done);

    /// Takes what can change while running: public_url, drain_wait, keep-alive limits (of later connections),
    /// history limits. The rest of `config` is not looked at.
    void reload(const HubConfig& config);
    /// Reads the certificates, authorities and revocation lists of the listeners again, if they changed, and
    /// the broker's users and permissions. How it went is in the log and the metrics; what cannot be used
    /// changes nothing.
    void refresh_tls();

    // For tests and the assembly's own doctor.
    Registry& registry() { return *registry_; }

    Ingest& ingest() { return *ingest_; }

    Access& access() { return *access_; }

private:
    Hub(io::Env& env, HubConfig config);
    Result<void> open();
    Result<void> open_listener(const ListenerConfig& listener);
    Result<void> open_broker();
    Result<void> open_tls(const ListenerConfig& listener, mqtt::Server::Wrap& wrap);
    void put_http_before(const ListenerConfig& listener, mqtt::ListenerOptions& options);
    void add_metrics();

    io::Env& env_;
    HubConfig config_;
    std::unique_ptr<io::File> lock_;
    std::unique_ptr<MetaDb> db_;
    std::unique_ptr<Registry> registry_;
    std::unique_ptr<Feed> feed_;
    std::unique_ptr<Ingest> ingest_;
    std::unique_ptr<Access> access_;
    std::unique_ptr<broker::Service> broker_; ///< null without a listener for apps
    std::unique_ptr<Api> api_;
    std::unique_ptr<io::Worker> tls_worker_; ///< reads certificate files; null without TLS listeners
    std::vector<std::unique_ptr<io::TlsService>> tls_;
    std::unique_ptr<io::HttpServer> http_;
    std::vector<OpenListener> listeners_;
    std::unique_ptr<io::Timer> drain_timer_;
};

} // namespace brim::hub
