#include "io/tls_service.h"

#include "base/hash.h"

#include <utility>

namespace brim::io {

/// One look at the files: what they are, and what was made of them when they were new.
struct TlsService::Reading {
    Bytes seen; ///< in: as last read; out: as read now
    bool changed = false;
    bool is_asked = false;
    Result<std::unique_ptr<TlsContext>> made = nullptr;
};

namespace {

double whole_seconds(WallTime at) {
    const std::int64_t seconds = at.ms / 1'000;
    return static_cast<double>(seconds);
}

} // namespace

TlsService::TlsService(Env& env, Worker& worker, std::string name, TlsServerOptions options)
    : env_(env), worker_(worker), name_(std::move(name)), options_(std::move(options)),
      stamps_(std::make_shared<FileStamps>(std::vector<std::string>{
          options_.certificate_file, options_.key_file, options_.client_ca_file, options_.crl_file
      })),
      expires_shown_(&env.metrics().gauge(
          "brim_tls_certificate_expires_seconds",
          "When a listener's certificate ends, in seconds since 1970",
          metric_label("listener", name_)
      )),
      refused_shown_(&env.metrics().gauge(
          "brim_tls_files_refused",
          "1 while a listener's certificate files are newer than what it serves, and not usable",
          metric_label("listener", name_)
      )),
      asked_shown_(&env.metrics().counter(
          "brim_tls_files_asked",
          "How often a listener's certificate files were looked at because somebody asked (SIGHUP)",
          metric_label("listener", name_)
      )),
      look_(env.loop()) {}

TlsService::~TlsService() {
    *alive_ = false;
}

Result<std::unique_ptr<TlsService>>
TlsService::open(Env& env, Worker& worker, std::string name, TlsServerOptions options) {
    std::unique_ptr<TlsService> made(new TlsService(env, worker, std::move(name), std::move(options)));
    Reading reading;
    read(env.disk(), made->options_, reading);
    if (!reading.made)
        return fail(std::move(reading.made).error());
    made->seen_ = std::move(reading.seen);
    made->context_ = std::move(*reading.made);
    made->expires_shown_->set(whole_seconds(made->expires()));
    Counter& refused = env.metrics().counter(
        "brim_tls_refused",
        "TLS connections that ended unheard, or for their certificate",
        metric_label("listener", made->name_)
    );
    made->context_->on_refused([&log = env.log(), &refused, listener = made->name_](const Error& why) {
        refused.add();
        log.info(
            "tls",
            "connection refused",
            {{"listener", listener}, {"object", why.object}, {"cause", why.cause}, {"fix", why.fix}}
        );
    });
    if (made->expires() <= env.loop().clock().wall())
        env.log().warn(
            "tls",
            "the certificate has expired; clients will refuse it",
            {{"listener", made->name_},
             {"file", made->options_.certificate_file},
             {"expired", to_rfc3339(made->expires())}}
        );
    made->look_.start(look_every, [service = made.get()] { service->look(); });
    return made;
}

std::unique_ptr<Stream> TlsService::wrap(std::unique_ptr<Stream> stream) {
    return wrap_server(env_.loop(), std::move(stream), *context_);
}

void TlsService::read(Disk& disk, const TlsServerOptions& options, Reading& reading) {
    Bytes all;
    for (const auto* path :
         {&options.certificate_file, &options.key_file, &options.client_ca_file, &options.crl_file}) {
        if (path->empty())
            continue;
        const auto text = read_file(disk, *path, TlsLimits::crl_bytes_max);
        // What cannot be read is a content too: it is told once, and noticed when it ends.
        all += digest(Digest::sha256, text ? *text : "!" + text.error().text());
    }
    reading.changed = all != reading.seen;
    reading.seen = std::move(all);
    if (reading.changed)
        reading.made = TlsContext::server(disk, options);
}

void TlsService::refresh() {
    begin_reading(true);
}

void TlsService::look() {
    look_.start(look_every, [this] { look(); });
    context_->end_expired(env_.loop().clock().wall());
    if (!reading_)
        begin_reading(false);
}

void TlsService::begin_reading(bool is_asked) {
    again_ = is_asked && reading_;
    if (reading_)
        return;
    reading_ = true;
    // Shared by the job and its end, which run one after the other.
    auto reading = std::make_shared<Reading>();
    reading->seen = seen_;
    reading->is_asked = is_asked;
    worker_.run(
        [&disk = env_.disk(), options = options_, reading, stamps = stamps_] {
            if (stamps->look(disk) || reading->is_asked)
                read(disk, options, *reading);
        },
        [this, alive = alive_, reading] {
            if (!*alive)
                return;
            reading_ = false;
            take(*reading);
            if (std::exchange(again_, false))
                refresh();
        }
    );
}

void TlsService::take(Reading& reading) {
    take_changes(reading);
    if (!reading.is_asked)
        return;
    asked_shown_->add();
    env_.log().info(
        "tls",
        refusal_ ? "certificate files looked at: not usable" : "certificate files looked at: in use",
        {{"listener", name_}}
    );
}

void TlsService::take_changes(Reading& reading) {
    if (!reading.changed)
        return;
    seen_ = std::move(reading.seen);
    if (!reading.made)
        return refuse(std::move(reading.made).error());
    std::unique_ptr<TlsContext> fresh = std::move(*reading.made);
    if (fresh->expires() <= env_.loop().clock().wall())
        return refuse(
            {Errc::invalid,
             "file " + options_.certificate_file,
             "the certificate expired on " + to_rfc3339(fresh->expires()),
             "put a valid one there; check this machine's clock"}
        );
    fresh->succeed(env_.loop(), *context_);
    context_ = std::move(fresh);
    refusal_.reset();
    refused_shown_->set(0);
    expires_shown_->set(whole_seconds(expires()));
    env_.log().info(
        "tls", "certificate files read again", {{"listener", name_}, {"expires", to_rfc3339(expires())}}
    );
}

void TlsService::refuse(Error why) {
    env_.log().error(
        "tls",
        "the new certificate files are not usable; the old ones serve on",
        {{"listener", name_}, {"object", why.object}, {"cause", why.cause}, {"fix", why.fix}}
    );
    refusal_ = std::move(why);
    refused_shown_->set(1);
}

Result<void>
name_self_signed(Env& env, const std::string& folder, const std::string& host, TlsServerOptions& options) {
    if (!options.certificate_file.empty())
        return {};
    options.certificate_file = folder + "/self-signed.crt";
    options.key_file = folder + "/self-signed.key";
    BRIM_TRY(env.disk().make_dir(folder));
    if (env.disk().exists(options.certificate_file))
        return {};
    constexpr int days = 825;
    const std::vector<std::string> names{"localhost", "127.0.0.1", host};
    return make_self_signed(
        env.disk(), env.loop().clock().wall(), options.certificate_file, options.key_file, names, days
    );
}

} // namespace brim::io
