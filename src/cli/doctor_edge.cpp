// An edge as `brim doctor` sees it: its status page, and the hub's certificate seen with the edge's eyes.

#include "cli/doctor.h"

#include <algorithm>

namespace brim::cli {

namespace {

std::string text_of(const Json& value) {
    return std::string(value.as_string());
}

bool is_refusal(const Json& error) {
    const std::string_view code = error["code"].as_string();
    // What TLS refuses is denied as well, but says so of a TLS connection.
    return error["object"].as_string() == "MQTT connection" &&
           (code == "denied" || code == "unauthenticated" || code == "conflict");
}

/// Why the hub refuses this identity; it tells the edge only that it does.
struct Reason {
    std::string cause, fix;
};

Reason reason_of(HubApi* hub, const std::string& product, const std::string& device) {
    const std::string name = product + "/" + device;
    if (hub == nullptr)
        return {
            "",
            "compare identity.product_key, device_name and device_secret with the hub's device page; the "
            "hub's "
            "log says which is wrong (\"login refused\")"
        };
    const auto found = hub->call("GET", "/api/v1/devices/" + encoded(product) + "/" + encoded(device));
    if (!found && found.error().code == Errc::not_found)
        return {
            "the hub has no device " + name,
            "brim device create " + name + ", and keep its secret where identity.device_secret says"
        };
    if (!found)
        return {"", "the hub's log says why (\"login refused\"); asking it failed: " + found.error().cause};
    if ((*found)["status"].as_string() == "disabled")
        return {name + " is disabled at the hub", "brim device enable " + name};
    return {
        "the hub knows " + name + ", so the secret differs",
        "put the device secret of " + name + " where identity.device_secret says, and start brim-edge again"
    };
}

void check_identity(Findings& findings, const Json& status, HubApi* hub) {
    const std::string product = text_of(status["gateway"]["productKey"]);
    const std::string device = text_of(status["gateway"]["deviceName"]);
    const Json& uplink = status["uplink"];
    const Json& error = uplink["error"];
    Finding found{"edge", "identity", product + "/" + device, Level::good, "accepted by the hub"};
    if (uplink["state"].as_string() == "up")
        return findings.add(std::move(found));
    if (is_refusal(error)) {
        found.level = Level::bad;
        const Reason reason = error["code"].as_string() == "conflict"
                                  ? Reason{"", "another program uses this identity: give each its own device"}
                                  : reason_of(hub, product, device);
        found.measured = text_of(error["cause"]) + (reason.cause.empty() ? "" : "; " + reason.cause);
        found.fix = reason.fix;
        found.facts = Json::object({{"code", text_of(error["code"])}});
        return findings.add(std::move(found));
    }
    const bool once = uplink["connects"].as_int() > 0;
    found.level = once ? Level::good : Level::warning;
    found.measured = once ? "was accepted before the connection was lost" : "the hub has not been asked yet";
    found.fix = once ? "" : "mend the uplink first";
    findings.add(std::move(found));
}

void check_uplink(Findings& findings, const Json& status, WallTime now) {
    const Json& uplink = status["uplink"];
    const std::string since = text_of(uplink["since"]);
    const std::string to = text_of(uplink["to"]);
    Finding found{"edge", "uplink", to, Level::good, ""};
    found.facts = Json::object(
        {{"state", text_of(uplink["state"])},
         {"since", since},
         {"connects", uplink["connects"].as_int()},
         {"security", text_of(uplink["security"])}}
    );
    const bool up = uplink["state"].as_string() == "up";
    found.measured = text_of(uplink["state"]) + (up ? ", came up " : ", went down ") + age(since, now.ms);
    const Json& error = uplink["error"];
    if (up) {
        found.measured += ", connection number " + std::to_string(uplink["connects"].as_int());
        return findings.add(std::move(found));
    }
    found.level = Level::bad;
    if (!error.is_object()) {
        found.measured += ", no attempt has ended yet";
        found.fix = "wait some seconds and ask again";
        return findings.add(std::move(found));
    }
    found.facts.set("error", error);
    found.measured += "; " + text_of(error["object"]) + ": " + text_of(error["cause"]) + " (" +
                      text_of(error["code"]) + "), next attempt within " +
                      std::to_string(uplink["retryInMs"].as_int() / 1'000 + 1) + " s";
    found.fix = text_of(error["fix"]);
    if (found.fix.empty())
        found.fix = "check uplink.url, the network and that the hub runs";
    findings.add(std::move(found));
}

void check_uplink_certificate(Findings& findings, Probe& probe, const Json& status) {
    const Json& uplink = status["uplink"];
    const auto to = io::Endpoint::parse(uplink["to"].as_string());
    if (uplink["security"].as_string() != "tls" || !to)
        return;
    const CertificateAim aim{"edge", to->text(), to->host, text_of(uplink["caFile"]), true, true};
    findings.add(certificate_finding(probe, *to, aim));
    if (aim.ca_file.empty())
        return;
    const auto authorities = io::read_certificate_file(probe.env().disk(), aim.ca_file);
    if (!authorities)
        return; // the finding above names the file
    const io::CertificateReport report{{authorities->front()}, {}, {}};
    Finding file = certificate_finding({"edge", aim.ca_file, "", ""}, report, probe.now());
    file.check = "ca-file";
    findings.add(std::move(file));
}

std::int64_t sum_of(const Json& counts) {
    std::int64_t sum = 0;
    for (const auto& [reason, count] : counts.members())
        sum += count.as_int();
    return sum;
}

void check_backlog(Findings& findings, const Json& status, WallTime now) {
    const Json& backlog = status["backlog"];
    const std::int64_t bytes = backlog["bytes"].as_int();
    const std::int64_t bytes_max = std::max<std::int64_t>(backlog["bytesMax"].as_int(), 1);
    const std::int64_t lost = sum_of(status["ledger"]["dropped"]) + status["ledger"]["unsaved"].as_int();
    Finding found{"edge", "backlog", "", Level::good, ""};
    found.facts = backlog;
    found.facts.set("lost", lost);
    found.measured = std::to_string(backlog["records"].as_int()) + " reports held";
    if (backlog["oldest"].is_string())
        found.measured += ", the oldest from " + age(backlog["oldest"].as_string(), now.ms);
    found.measured += ", " + std::to_string(bytes * 100 / bytes_max) + " % of the buffer";
    if (backlog["replaying"].as_bool())
        found.measured += ", being replayed";
    if (bytes * 100 / bytes_max >= DoctorLimits::buffer_percent_warning && backlog["records"].as_int() > 0) {
        found.level = Level::warning;
        found.fix = "bring the uplink back, or raise buffer.bytes_max: a full buffer drops or refuses";
    }
    if (lost > 0) {
        found.level = Level::warning;
        found.measured += ", " + std::to_string(lost) + " lost since the start";
        found.fix = "see ledger.dropped of /status for the reasons; raise buffer.bytes_max if it is \"full\"";
    }
    findings.add(std::move(found));
}

void check_edge_disk(Findings& findings, const Json& status) {
    const std::int64_t sync_ms = status["disk"]["syncMs"].as_int();
    const std::int64_t errors = status["backlog"]["syncErrors"].as_int();
    const Level level = errors > 0 || static_cast<double>(sync_ms) > DoctorLimits::sync_ms_bad ? Level::bad
                        : static_cast<double>(sync_ms) > DoctorLimits::sync_ms_warning ? Level::warning
                                                                                       : Level::good;
    findings.add(
        {"edge",
         "sync-time",
         "",
         level,
         std::to_string(sync_ms) + " ms when it started, " + std::to_string(errors) + " failed syncs since",
         level == Level::good ? ""
         : errors > 0         ? "check the disk (dmesg, df): reports are not safe"
                              : "every report waits this long: use a faster disk, or fewer other writers",
         Json::object({{"syncMs", sync_ms}, {"syncErrors", errors}})}
    );
}

void check_edge_clock(Findings& findings, const Json& status) {
    const Json& clock = status["clock"];
    const bool behind = clock["behind"].as_bool();
    findings.add(
        {"edge",
         "clock",
         "",
         behind ? Level::bad : Level::good,
         text_of(clock["now"]) + (behind ? ", kept going from the stored floor " + text_of(clock["floor"]) +
                                               ": the system's clock is behind it"
                                         : ""),
         behind ? "set the clock (timedatectl set-ntp true); reports are stamped by the floor until then"
                : "",
         clock}
    );
}

void check_drivers(Findings& findings, const Json& status) {
    for (const Json& driver : status["drivers"].items()) {
        const std::string state = text_of(driver["state"]);
        const std::string reason = text_of(driver["reason"]);
        const bool connected = driver["connected"].as_bool();
        Finding found{"edge", "driver", text_of(driver["name"]), Level::good, state};
        found.facts = driver;
        found.measured += connected ? ", connected" : ", not connected";
        found.measured += ", " + std::to_string(driver["restarts"].as_int()) + " restarts" +
                          (reason.empty() ? "" : ": " + reason);
        if (state == "parked") {
            found.level = Level::bad;
            found.fix = "mend what its log says, then send SIGHUP to brim-edge";
        } else if (state != "running" || !connected) {
            found.level = Level::warning;
            found.fix = "look at its lines in brim-edge's log";
        }
        findings.add(std::move(found));
    }
}

/// One line for all devices that are well, one for each that the hub refuses.
void check_devices(Findings& findings, const Json& status) {
    std::size_t online = 0;
    for (const Json& device : status["devices"].items()) {
        online += device["online"].as_bool() ? 1 : 0;
        const Json& error = device["sessionError"];
        if (!error.is_object())
            continue;
        std::string fix = text_of(error["fix"]);
        if (fix.empty())
            fix = "look at the device's page at the hub";
        findings.add(
            {"edge",
             "device",
             text_of(device["productKey"]) + "/" + text_of(device["deviceName"]),
             Level::bad,
             "the hub refuses it: " + text_of(error["cause"]) + " (" + error["code"].text() + ")",
             fix,
             Json::object({{"code", error["code"]}})}
        );
    }
    const std::size_t all = status["devices"].items().size();
    findings.add(
        {"edge",
         "devices",
         "",
         Level::good,
         std::to_string(online) + " of " + std::to_string(all) + " online",
         "",
         Json::object({{"online", online}, {"total", all}})}
    );
}

} // namespace

void check_edge(Findings& findings, Probe& probe, const DoctorOptions& options, HubApi* hub) {
    const std::string& where = options.edge_socket;
    const auto endpoint = io::Endpoint::parse(where);
    if (!endpoint)
        return findings.add(
            {"edge",
             "port",
             where,
             Level::bad,
             endpoint.error().cause,
             "write unix:/path or tcp:127.0.0.1:port"}
        );
    const auto status = probe.page(*endpoint, "/status");
    if (!status)
        return findings.add(
            {"edge",
             "port",
             where,
             Level::bad,
             status.error().text(),
             "is brim-edge running, and is this its http.listen? See its log"}
        );
    const WallTime now = probe.now();
    findings.add({"edge", "port", where, Level::good, "answers"});
    check_identity(findings, *status, hub);
    check_uplink(findings, *status, now);
    check_uplink_certificate(findings, probe, *status);
    check_backlog(findings, *status, now);
    check_edge_disk(findings, *status);
    check_edge_clock(findings, *status);
    check_drivers(findings, *status);
    check_devices(findings, *status);
}

} // namespace brim::cli
