// A hub as `brim doctor` sees it: its API's port, its listeners with their certificates, its counters.

#include "cli/doctor.h"

#include <chrono>

namespace brim::cli {

namespace {

struct Site {
    bool tls = false;
    io::Endpoint at;
};

/// "https://hub.example:8443/x" as an address.
Result<Site> site_of(const std::string& url) {
    Site site;
    std::string_view rest = url;
    site.tls = rest.starts_with("https://");
    if (!site.tls && !rest.starts_with("http://"))
        return fail(Errc::invalid, url, "is no address of a hub", "brim login https://your-hub:8443");
    rest.remove_prefix(site.tls ? 8 : 7);
    rest = rest.substr(0, rest.find('/'));
    const bool has_port = rest.rfind(':') != std::string_view::npos && !rest.ends_with(']');
    auto at = io::Endpoint::parse("tcp:" + std::string(rest) + (has_port ? "" : site.tls ? ":443" : ":80"));
    if (!at)
        return fail(at.error());
    site.at = std::move(*at);
    return site;
}

/// Where a listener is reached from here; nothing when only the hub's own machine reaches it.
std::optional<io::Endpoint> reached_at(const io::Endpoint& listener, const io::Endpoint& hub) {
    if (listener.kind == io::Endpoint::Kind::unix_socket)
        return std::nullopt;
    const bool any = listener.host == "0.0.0.0" || listener.host == "::";
    if (hub.is_local() && !any)
        return listener;
    if (listener.is_local())
        return std::nullopt;
    return io::Endpoint{io::Endpoint::Kind::tcp, hub.host, listener.port};
}

class HubCheck {
public:
    HubCheck(
        Findings& findings, Probe& probe, const DoctorOptions& options, const Context& context, Site site
    )
        : findings_(findings), probe_(probe), options_(options), context_(context), site_(std::move(site)) {}

    void own_certificate() {
        if (site_.tls)
            findings_.add(certificate_finding(
                probe_, site_.at, {"hub", context_.url, site_.at.host, context_.ca_file, true, true}
            ));
    }

    void listener(const Json& shown) {
        const std::string protocol(shown["protocol"].as_string());
        const std::string address(shown["address"].as_string());
        const std::string_view security = shown["security"].as_string();
        const auto bound = io::Endpoint::parse(address);
        if (!bound)
            return;
        Finding found{"hub", "listener", protocol + " " + address, Level::good, std::string(security)};
        if (security == "unsafe-anonymous") {
            found.level = Level::bad;
            found.fix = "anyone who reaches it may publish and subscribe: set auth = \"device\"";
        } else if (security == "plain" && !bound->is_local()) {
            found.level = Level::warning;
            found.fix = "serve it by TLS (protocol = \"" + protocol + "s\")";
        }
        const auto at = reached_at(*bound, site_.at);
        if (at)
            reach(found, *at);
        else
            found.measured += ", for the hub's own machine only";
        const bool seen = at.has_value() && !found.facts.is_null();
        findings_.add(std::move(found));
        const bool is_own = at && at->text() == site_.at.text();
        if (security == "tls" && seen && !is_own)
            listener_certificate(protocol + " " + address, *at);
    }

private:
    void reach(Finding& found, const io::Endpoint& at) {
        const auto took = probe_.connect_ms(at);
        if (took) {
            found.measured += ", reached in " + ms_text(*took);
            found.facts = Json::object({{"connectMs", *took}});
            return;
        }
        found.measured += ", not reached at " + at.text() + ": " + took.error().cause;
        if (found.level == Level::bad)
            return;
        // From elsewhere, a firewall may mean it; on its own machine nothing but a fault explains it.
        found.level = site_.at.is_local() ? Level::bad : Level::warning;
        found.fix = "look at the hub's log, and for a firewall in between";
    }

    void listener_certificate(const std::string& object, const io::Endpoint& at) {
        CertificateAim aim{"hub", object, options_.name, context_.ca_file, true, true};
        if (aim.name.empty()) {
            aim.name = site_.at.host;
            aim.name_is_known = false;
        }
        aim.trust_is_known = !context_.ca_file.empty();
        findings_.add(certificate_finding(probe_, at, aim));
    }

    Findings& findings_;
    Probe& probe_;
    const DoctorOptions& options_;
    const Context& context_;
    Site site_;
};

void check_reports(Findings& findings, const Json& system) {
    const Json& messages = system["messages"];
    const std::int64_t rejected = messages["rejected"].as_int();
    findings.add(
        {"hub",
         "reports",
         "",
         rejected == 0 ? Level::good : Level::warning,
         std::to_string(messages["stored"].as_int()) + " stored, " + std::to_string(rejected) +
             " refused by the disk since " + std::string(system["startedAt"].as_string()),
         rejected == 0 ? "" : "look at the hub's log for \"could not be stored\"",
         Json::object({{"stored", messages["stored"].as_int()}, {"rejected", rejected}})}
    );
}

void check_sync_time(Findings& findings, const Json& store) {
    if (!store["syncMsP50"].is_number())
        return findings.add({"hub", "sync-time", "", Level::good, "no report was synced since it started"});
    const double median = store["syncMsP50"].as_double();
    const Level level = median > DoctorLimits::sync_ms_bad       ? Level::bad
                        : median > DoctorLimits::sync_ms_warning ? Level::warning
                                                                 : Level::good;
    findings.add(
        {"hub",
         "sync-time",
         "",
         level,
         ms_text(median) + " (median of its last 128 syncs)",
         level == Level::good ? ""
                              : "every acknowledgement waits this long: give hub.data_dir a faster disk, or "
                                "fewer other writers",
         Json::object({{"medianMs", median}})}
    );
}

void check_free_space(Findings& findings, const Json& store) {
    if (!store["freeBytes"].is_number())
        return findings.add({"hub", "free-space", "", Level::good, "not measured yet"});
    const auto free = static_cast<std::uint64_t>(store["freeBytes"].as_int());
    const bool low = free < DoctorLimits::free_bytes_min;
    findings.add(
        {"hub",
         "free-space",
         "",
         low ? Level::warning : Level::good,
         std::to_string(free / 1'048'576) + " MiB when last measured",
         low ? "free some space where hub.data_dir is, or set history.bytes_max: at 0 it refuses reports"
             : "",
         Json::object({{"bytes", free}})}
    );
}

} // namespace

std::optional<std::int64_t>
check_hub(Findings& findings, Probe& probe, const DoctorOptions& options, HubApi& api) {
    const Context& context = api.context();
    auto site = site_of(context.url);
    if (!site) {
        findings.add({"hub", "context", context.name, Level::bad, site.error().text(), site.error().fix});
        return std::nullopt;
    }
    HubCheck check(findings, probe, options, context, std::move(*site));
    check.own_certificate();
    const WallTime before = probe.now();
    const auto start = std::chrono::steady_clock::now();
    const auto system = api.call("GET", "/api/v1/system");
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    if (!system) {
        const Error& why = system.error();
        findings.add(
            {"hub",
             "port",
             context.url,
             Level::bad,
             why.object + ": " + why.cause,
             why.fix.empty() ? "check the address and that the hub runs" : why.fix}
        );
        return std::nullopt;
    }
    findings.add(
        {"hub",
         "port",
         context.url,
         Level::good,
         "answers in " + ms_text(took.count()),
         "",
         Json::object({{"answerMs", took.count()}})}
    );
    findings.add({"hub", "version", "", Level::good, std::string((*system)["version"].as_string())});
    for (const Json& listener : (*system)["listeners"].items())
        check.listener(listener);
    check_reports(findings, *system);
    check_sync_time(findings, (*system)["store"]);
    check_free_space(findings, (*system)["store"]);
    const auto hub_ms = parse_time((*system)["time"].as_string());
    if (!hub_ms)
        return std::nullopt;
    // The hub read its clock about half way between question and answer.
    return before.ms + static_cast<std::int64_t>(took.count() / 2) - *hub_ms;
}

} // namespace brim::cli
