// Certificates as findings.

#include "cli/doctor.h"

#include <algorithm>

namespace brim::cli {

namespace {

constexpr std::int64_t day_ms = 86'400'000;

std::string joined(const std::vector<std::string>& texts) {
    std::string all;
    for (const std::string& each : texts)
        all += (all.empty() ? "" : ", ") + each;
    return all;
}

/// The certificate of the chain that ends first: an authority's end breaks the connection as well.
const io::Certificate& first_to_end(const io::CertificateReport& report) {
    return *std::ranges::min_element(report.chain, {}, &io::Certificate::not_after);
}

Json facts_of(const io::CertificateReport& report, std::int64_t days_left) {
    const io::Certificate& own = report.chain.front();
    Json names = Json::array();
    for (const std::string& name : own.names)
        names.push(name);
    return Json::object(
        {{"subject", own.subject},
         {"issuer", own.issuer},
         {"names", std::move(names)},
         {"notBefore", to_rfc3339(own.not_before)},
         {"notAfter", to_rfc3339(own.not_after)},
         {"daysLeft", days_left},
         {"key", own.key},
         {"protocol", report.protocol},
         {"accepted", report.refusals.empty()}}
    );
}

Level level_of(const CertificateAim& aim, io::CertificateFault fault) {
    if (fault == io::CertificateFault::other_name && !aim.name_is_known)
        return Level::warning;
    if (fault == io::CertificateFault::not_trusted && !aim.trust_is_known)
        return Level::warning;
    return Level::bad;
}

std::string fix_of(const CertificateAim& aim, const io::CertificateRefusal& refusal) {
    using enum io::CertificateFault;
    switch (refusal.fault) {
    case expired:
        return "renew the certificate and start the program that shows it again; or set the clock, if that "
               "date "
               "is wrong";
    case other_name:
        return aim.name_is_known ? refusal.why.fix
                                 : "say by which name devices reach the hub with --name, or give it a "
                                   "certificate for " +
                                       aim.name;
    case not_trusted:
        return aim.trust_is_known ? refusal.why.fix
                                  : "name the authority that devices trust with --ca-file; theirs must be "
                                    "this certificate's";
    default:
        return refusal.why.fix;
    }
}

} // namespace

Finding certificate_finding(const CertificateAim& aim, const io::CertificateReport& report, WallTime now) {
    const io::Certificate& own = report.chain.front();
    const io::Certificate& first = first_to_end(report);
    const std::int64_t left_ms = first.not_after.ms - now.ms;
    const std::int64_t days_left = (left_ms < 0 ? left_ms - day_ms + 1 : left_ms) / day_ms;
    Finding found{"", "certificate", aim.object, Level::good, "", "", facts_of(report, days_left)};
    found.group = aim.group;
    found.measured = own.subject + ", " + own.key + ", for " +
                     (own.names.empty() ? "no name" : joined(own.names)) + ", until " +
                     to_rfc3339(own.not_after).substr(0, 10);
    for (const io::CertificateRefusal& refusal : report.refusals) {
        const Level level = level_of(aim, refusal.fault);
        found.measured += "; " + refusal.why.cause;
        // The worst objection's fix comes first in the reader's work.
        if (found.fix.empty() || level > found.level)
            found.fix = fix_of(aim, refusal);
        found.level = std::max(found.level, level);
    }
    if (left_ms >= 0 && found.level != Level::bad) {
        found.measured += ", " + std::to_string(days_left) + " days left";
        if (&first != &own)
            found.measured += " for " + first.subject + " in its chain";
        if (days_left < DoctorLimits::days_left_min) {
            found.level = Level::warning;
            found.fix = "renew it in time, and start the program that shows it again";
        }
    }
    return found;
}

Finding certificate_finding(Probe& probe, const io::Endpoint& at, const CertificateAim& aim) {
    const WallTime now = probe.now();
    const auto report = probe.certificate(at, aim.ca_file, {.name = aim.name, .at = now});
    if (report)
        return certificate_finding(aim, *report, now);
    const Error& why = report.error();
    return {
        aim.group,
        "certificate",
        aim.object,
        Level::bad,
        why.object + ": " + why.cause,
        why.fix.empty() ? "check that TLS is spoken there" : why.fix
    };
}

} // namespace brim::cli
