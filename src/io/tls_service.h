#pragma once
// A listener's TLS whose files are replaced while it serves: certificates are renewed, clients revoked.

#include "io/env.h"
#include "io/file_stamps.h"
#include "io/tls.h"

#include <memory>
#include <optional>
#include <string>

namespace brim::io {

/// Loop thread only. Files are read on the worker. Connections live on when it is destroyed.
class TlsService {
public:
    /// How often the files are looked at without being asked, by their stamps, twice before they are read: a
    /// revocation counts within a second. Peers whose certificate's time is over are ended as often.
    static constexpr std::chrono::milliseconds look_every{300};

    /// Blocking; at start. Errors as TlsContext::server() says them; a certificate that has expired is taken,
    /// with a warning: a listener that refuses nobody's login must not keep the program from starting.
    /// `name` is for people ("mqtts tcp:0.0.0.0:8883"). `worker` outlives the service or drops its jobs.
    static Result<std::unique_ptr<TlsService>>
    open(Env& env, Worker& worker, std::string name, TlsServerOptions options);
    ~TlsService();
    TlsService(const TlsService&) = delete;
    TlsService& operator=(const TlsService&) = delete;

    std::unique_ptr<Stream> wrap(std::unique_ptr<Stream> stream);

    /// Reads the files again if they changed. Good ones serve the next connections; those open go on, but for
    /// clients that are refused by now (TlsContext::succeed()). Bad ones, an expired certificate among them,
    /// change nothing; that is logged once for each content of the files, and shown by refusal() and the
    /// metric brim_tls_files_refused. Which of both it is is logged each time.
    void refresh();

    /// Why the files as they are now are not used.
    const std::optional<Error>& refusal() const { return refusal_; }

    WallTime expires() const { return context_->expires(); }

private:
    struct Reading;

    TlsService(Env& env, Worker& worker, std::string name, TlsServerOptions options);
    static void read(Disk& disk, const TlsServerOptions& options, Reading& reading);
    void look();
    void begin_reading(bool is_asked);
    void take(Reading& reading);
    void take_changes(Reading& reading);
    void refuse(Error why);

    Env& env_;
    Worker& worker_;
    const std::string name_;
    const TlsServerOptions options_;
    std::unique_ptr<TlsContext> context_;
    Bytes seen_; ///< digest of the files as last read
    /// Shared with the job on the worker, one at a time.
    std::shared_ptr<FileStamps> stamps_;
    std::optional<Error> refusal_;
    bool reading_ = false;
    bool again_ = false; ///< asked for while a reading was under way
    Gauge* expires_shown_;
    Gauge* refused_shown_;
    Counter* asked_shown_;
    Timer look_;
    /// Tells readings under way that the service is gone; shared with them alone.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// Names a certificate signed by itself when `options` name none, and makes it in `folder` unless it is there
/// already; for localhost and `host`, for 825 days. Blocking; at start.
Result<void>
name_self_signed(Env& env, const std::string& folder, const std::string& host, TlsServerOptions& options);

} // namespace brim::io
