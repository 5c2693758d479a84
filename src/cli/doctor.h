#pragma once
// The parts of `brim doctor`, one per thing it looks at.

#include "cli/commands.h"
#include "cli/findings.h"
#include "cli/hub_api.h"
#include "io/certificate.h"
#include "io/real_env.h"

#include <optional>
#include <string>
#include <string_view>

namespace brim::cli {

struct DoctorLimits {
    static constexpr Duration probe_wait_max = 5s; ///< one connection, handshake or status page
    static constexpr std::size_t status_bytes_max = 4'194'304;
    static constexpr std::int64_t days_left_min = 30; ///< a certificate that ends earlier is a warning
    static constexpr double sync_ms_warning = 10;
    static constexpr double sync_ms_bad = 50;
    static constexpr std::uint64_t free_bytes_min = 1'073'741'824;
    static constexpr std::int64_t skew_ms_warning = 2'000;
    static constexpr std::int64_t skew_ms_bad = 60'000;
    static constexpr std::int64_t buffer_percent_warning = 80;
};

/// A loop to ask the world with, one question at a time; each call blocks until it is answered.
class Probe {
public:
    Probe() : log_(clock_), env_(log_, metrics_) {}

    io::RealEnv& env() { return env_; }

    WallTime now() const { return clock_.wall(); }

    /// How long a connection takes, in ms.
    Result<double> connect_ms(const io::Endpoint& to);
    /// What a TLS port shows, judged by `ca_file` alone (empty: the system's authorities).
    Result<io::CertificateReport>
    certificate(const io::Endpoint& at, const std::string& ca_file, const io::CertificateQuestion& question);
    /// The body of a GET, over TCP or a unix socket, of a server on this machine.
    Result<Json> page(const io::Endpoint& at, std::string_view path);

private:
    SystemClock clock_;
    Log log_;
    Metrics metrics_;
    io::RealEnv env_;
};

/// What is looked at, and which of its faults make a client fail for sure.
struct CertificateAim {
    std::string group, object;
    std::string name;    ///< empty: not checked
    std::string ca_file; ///< as configured; empty: the system's
    /// False where devices may well know the hub by another name or trust another authority than we: then
    /// these faults are warnings.
    bool name_is_known = true;
    bool trust_is_known = true;
};

/// One finding about a report that was asked for at `now`.
Finding certificate_finding(const CertificateAim& aim, const io::CertificateReport& report, WallTime now);
/// The same for a TLS port; what keeps it from being seen is bad.
Finding certificate_finding(Probe& probe, const io::Endpoint& at, const CertificateAim& aim);

/// Own clock minus the hub's in ms, when the hub answered. `api` may be null after a warning was added.
std::optional<std::int64_t>
check_hub(Findings& findings, Probe& probe, const DoctorOptions& options, HubApi& api);
/// `hub` is asked why a login is refused; null when no hub is known.
void check_edge(Findings& findings, Probe& probe, const DoctorOptions& options, HubApi* hub);
void check_disk(Findings& findings, const std::string& folder);
void check_clock(Findings& findings, std::optional<std::int64_t> skew_ms);
void check_files(Findings& findings, Probe& probe, const DoctorOptions& options, const std::string& ca_file);

} // namespace brim::cli
