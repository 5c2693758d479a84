// brim doctor: measured findings about this machine, a hub and an edge, each with its fix.

#include "cli/doctor.h"

#include "io/posix_disk.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <unistd.h>

namespace brim::cli {

namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

/// How long 20 synced writes of 4 KiB took, sorted; fewer when some failed.
std::vector<double> sync_times(io::File& file) {
    constexpr int rounds = 20;
    constexpr std::size_t block_bytes = 4'096;
    std::vector<double> times;
    for (std::size_t i = 0; i < rounds; ++i) {
        const auto before = std::chrono::steady_clock::now();
        if (!file.write_at(i * block_bytes, std::string(block_bytes, 'x')) || !file.sync())
            return {};
        times.push_back(Milliseconds(std::chrono::steady_clock::now() - before).count());
    }
    std::ranges::sort(times);
    return times;
}

void check_free_space(Findings& findings, io::PosixDisk& disk, const std::string& folder) {
    const auto free = disk.free_bytes(folder);
    if (!free)
        return findings.add(
            {"storage", "free-space", folder, Level::bad, free.error().cause, "check the folder and its disk"}
        );
    const bool low = *free < DoctorLimits::free_bytes_min;
    findings.add(
        {"storage",
         "free-space",
         folder,
         low ? Level::warning : Level::good,
         std::to_string(*free / 1'048'576) + " MiB",
         low ? "free some space: at 0 the log refuses new messages" : "",
         Json::object({{"bytes", *free}})}
    );
}

} // namespace

void check_disk(Findings& findings, const std::string& folder) {
    io::PosixDisk disk;
    const std::string path = folder + "/.brim-doctor-" + std::to_string(getpid());
    auto file = disk.open(path, io::OpenMode::create_new);
    if (!file)
        return findings.add(
            {"storage",
             "sync-time",
             folder,
             Level::bad,
             file.error().text(),
             "name a folder that this user may write to, with --data-dir"}
        );
    const std::vector<double> times = sync_times(**file);
    file->reset();
    const auto removed = disk.remove(path);
    if (times.empty() || !removed)
        return findings.add(
            {"storage",
             "sync-time",
             folder,
             Level::bad,
             "writing and syncing failed",
             "check the disk (dmesg, df)"}
        );
    const double median = times[times.size() / 2];
    const Level level = median > DoctorLimits::sync_ms_bad       ? Level::bad
                        : median > DoctorLimits::sync_ms_warning ? Level::warning
                                                                 : Level::good;
    findings.add(
        {"storage",
         "sync-time",
         folder,
         level,
         ms_text(median) + " (median of 20 x 4 KiB), worst " + ms_text(times.back()),
         level == Level::good
             ? ""
             : "every acknowledgement waits this long: use a faster disk, or fewer other writers",
         Json::object({{"medianMs", median}, {"worstMs", times.back()}})}
    );
    check_free_space(findings, disk, folder);
}

void check_clock(Findings& findings, std::optional<std::int64_t> skew_ms) {
    const WallTime own = SystemClock().wall();
    constexpr std::int64_t built_after_ms = 1'760'000'000'000;
    const std::string shown = to_rfc3339(own);
    if (own.ms < built_after_ms)
        return findings.add(
            {"time",
             "clock",
             "",
             Level::bad,
             shown + " is before this program was written",
             "set the clock (timedatectl)"}
        );
    if (!skew_ms)
        return findings.add({"time", "clock", "", Level::good, shown + ", compared with no hub"});
    const std::int64_t away = std::abs(*skew_ms);
    const Level level = away > DoctorLimits::skew_ms_bad       ? Level::bad
                        : away > DoctorLimits::skew_ms_warning ? Level::warning
                                                               : Level::good;
    findings.add(
        {"time",
         "clock",
         "",
         level,
         shown + ", " + std::to_string(away) + " ms " + (*skew_ms < 0 ? "behind" : "ahead of") + " the hub",
         level == Level::good ? "" : "set both clocks by NTP (timedatectl set-ntp true)",
         Json::object({{"skewMs", *skew_ms}})}
    );
}

void check_files(Findings& findings, Probe& probe, const DoctorOptions& options, const std::string& ca_file) {
    io::PosixDisk disk;
    for (const std::string& file : options.certificates) {
        const CertificateAim aim{"file", file, options.name, ca_file, true, !ca_file.empty()};
        const auto trust = io::TlsContext::client(disk, {.ca_file = ca_file});
        auto report =
            trust
                ? io::inspect_certificate_file(disk, file, **trust, {.name = options.name, .at = probe.now()})
                : Result<io::CertificateReport>(fail(trust.error()));
        if (report)
            findings.add(certificate_finding(aim, *report, probe.now()));
        else
            findings.add(
                {"file",
                 "certificate",
                 file,
                 Level::bad,
                 report.error().object + ": " + report.error().cause,
                 report.error().fix.empty() ? "give a PEM certificate" : report.error().fix}
            );
    }
}

Exit doctor(const Common& common, const DoctorOptions& options) {
    Findings findings;
    Probe probe;
    check_disk(findings, options.data_dir.empty() ? "." : options.data_dir);
    std::optional<std::int64_t> skew_ms;
    std::optional<HubApi> hub;
    if (!options.skip_hub) {
        auto context = load_context(common.context);
        if (context) {
            if (!options.ca_file.empty())
                context->ca_file = options.ca_file;
            hub.emplace(std::move(*context));
            skew_ms = check_hub(findings, probe, options, *hub);
        } else {
            findings.add({"hub", "context", "", Level::warning, context.error().cause, context.error().fix});
        }
    }
    check_clock(findings, skew_ms);
    if (!options.edge_socket.empty())
        check_edge(findings, probe, options, hub ? &*hub : nullptr);
    const std::string& ca_file = options.ca_file.empty() && hub ? hub->context().ca_file : options.ca_file;
    check_files(findings, probe, options, ca_file);
    return findings.print(common.format);
}

} // namespace brim::cli
