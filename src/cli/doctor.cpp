// brim doctor: measured findings about this machine, the hub and an edge, each with its fix.

#include "cli/commands.h"
#include "cli/hub_api.h"
#include "io/posix_disk.h"
#include "io/real_env.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <unistd.h>

namespace brim::cli {

namespace {

enum class Level : unsigned char { good, warning, bad };

struct Finding {
    std::string group, what, measured, fix;
    Level level = Level::good;
};

class Report {
public:
    void add(std::string group, std::string what, Level level, std::string measured, std::string fix = {}) {
        findings_.push_back({std::move(group), std::move(what), std::move(measured), std::move(fix), level});
    }

    Exit print(Format format) const {
        bool bad = false;
        Json rows = Json::array();
        for (const Finding& finding : findings_) {
            bad = bad || finding.level == Level::bad;
            const char* mark = finding.level == Level::good      ? "ok"
                               : finding.level == Level::warning ? "warning"
                                                                 : "bad";
            if (format == Format::json) {
                Json row = Json::object({{"group", finding.group}, {"check", finding.what}, {"level", mark}});
                row.set("measured", finding.measured);
                row.set("fix", finding.fix);
                rows.push(std::move(row));
                continue;
            }
            const char* sign = finding.level == Level::good      ? "\u2713"
                               : finding.level == Level::warning ? "\u203c"
                                                                 : "\u00d7";
            std::printf(
                "%s %-8s %-22s %s\n",
                sign,
                finding.group.c_str(),
                finding.what.c_str(),
                printable(finding.measured).c_str()
            );
            if (!finding.fix.empty())
                std::printf("    fix: %s\n", printable(finding.fix).c_str());
        }
        if (format == Format::json)
            print_json(rows);
        return bad ? Exit::check_failed : Exit::ok;
    }

private:
    std::vector<Finding> findings_;
};

std::string ms_text(double ms) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f ms", ms);
    return text;
}

void check_disk(Report& report, const std::string& folder) {
    io::PosixDisk disk;
    const std::string path = (folder.empty() ? "." : folder) + "/.brim-doctor-" + std::to_string(getpid());
    auto file = disk.open(path, io::OpenMode::create_new);
    if (!file) {
        report.add("storage", "disk", Level::bad, file.error().text(), file.error().fix);
        return;
    }
    constexpr int rounds = 20;
    std::vector<double> times;
    for (int i = 0; i < rounds; ++i) {
        const auto before = std::chrono::steady_clock::now();
        const bool good = (*file)->write_at(static_cast<std::uint64_t>(i) * 4'096, std::string(4'096, 'x')) &&
                          (*file)->sync();
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - before;
        if (good)
            times.push_back(took.count());
    }
    file->reset();
    const auto removed = disk.remove(path);
    std::sort(times.begin(), times.end());
    if (times.size() < rounds || !removed) {
        report.add("storage", "disk", Level::bad, "writing and syncing failed", "check the disk (dmesg, df)");
        return;
    }
    const double median = times[rounds / 2];
    const Level level = median > 50 ? Level::bad : median > 10 ? Level::warning : Level::good;
    report.add(
        "storage",
        "sync time",
        level,
        ms_text(median) + " (median of 20 x 4 KiB), worst " + ms_text(times.back()),
        level == Level::good
            ? ""
            : "every acknowledgement waits this long: use a faster disk, or fewer other writers"
    );
    const auto free = disk.free_bytes(folder.empty() ? "." : folder);
    if (free) {
        const bool low = *free < 1'073'741'824;
        report.add(
            "storage",
            "free space",
            low ? Level::warning : Level::good,
            std::to_string(*free / 1'048'576) + " MiB",
            low ? "free some space: at 0 the log refuses new messages" : ""
        );
    }
}

void check_clock(Report& report, std::optional<std::int64_t> hub_ms) {
    const std::int64_t own = SystemClock().wall().ms;
    constexpr std::int64_t built_after_ms = 1'760'000'000'000;
    if (own < built_after_ms) {
        report.add(
            "time",
            "clock",
            Level::bad,
            to_rfc3339({own}) + " is before this program was written",
            "set the clock (timedatectl)"
        );
        return;
    }
    if (!hub_ms) {
        report.add("time", "clock", Level::good, to_rfc3339({own}));
        return;
    }
    const std::int64_t skew = own - *hub_ms;
    const Level level = std::abs(skew) > 60'000  ? Level::bad
                        : std::abs(skew) > 2'000 ? Level::warning
                                                 : Level::good;
    report.add(
        "time",
        "clock",
        level,
        std::to_string(skew) + " ms ahead of the hub",
        level == Level::good ? "" : "set both clocks by NTP (timedatectl set-ntp true)"
    );
}

std::optional<std::int64_t> check_hub(Report& report, const Common& common) {
    const auto context = load_context(common.context);
    if (!context) {
        report.add("hub", "context", Level::warning, context.error().cause, context.error().fix);
        return std::nullopt;
    }
    HubApi api(*context);
    const auto before = std::chrono::steady_clock::now();
    const auto system = api.call("GET", "/api/v1/system");
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - before;
    if (!system) {
        report.add(
            "hub", "port", Level::bad, system.error().object + ": " + system.error().cause, system.error().fix
        );
        return std::nullopt;
    }
    report.add("hub", "port", Level::good, context->url + " answers in " + ms_text(took.count()));
    report.add("hub", "version", Level::good, std::string((*system)["version"].as_string()));
    for (const Json& listener : (*system)["listeners"].items()) {
        const std::string_view security = listener["security"].as_string();
        const std::string where = std::string(listener["protocol"].as_string()) + " " +
                                  std::string(listener["address"].as_string()) + " " + std::string(security);
        const bool loopback = listener["address"].as_string().find("127.0.0.1") != std::string_view::npos;
        const Level level = security == "unsafe-anonymous"     ? Level::bad
                            : security == "plain" && !loopback ? Level::warning
                                                               : Level::good;
        report.add(
            "hub",
            "listener",
            level,
            where,
            level == Level::good ? "" : "serve it by TLS (protocol = \"mqtts\" / \"https\")"
        );
    }
    const auto& messages = (*system)["messages"];
    report.add(
        "hub",
        "storage",
        messages["rejected"].as_int() == 0 ? Level::good : Level::warning,
        std::to_string(messages["stored"].as_int()) + " reports stored, " +
            std::to_string(messages["rejected"].as_int()) + " refused",
        messages["rejected"].as_int() == 0 ? "" : "look at the hub's log for \"could not be stored\""
    );
    return parse_time((*system)["time"].as_string());
}

/// One GET over any endpoint, without a library: unix sockets included.
Result<Json> status_of_edge(const io::Endpoint& at) {
    const SystemClock clock;
    Log log(clock);
    Metrics metrics;
    io::RealEnv env(log, metrics);

    struct Reader final : io::StreamHandler {
        explicit Reader(io::EpollLoop& run) : loop(run) {}

        void on_data(ByteView bytes) override {
            text += bytes;
            if (text.size() > 4'194'304)
                loop.stop();
        }

        void on_closed(const Error&) override { loop.stop(); }

        io::EpollLoop& loop;
        std::string text;
    } reader(env.loop());

    std::unique_ptr<io::Stream> stream;
    std::optional<Error> error;
    io::Timer deadline(env.loop());
    deadline.start(std::chrono::seconds{5}, [&] { env.loop().stop(); });
    const auto attempt =
        env.net().connect(at, std::chrono::seconds{5}, [&](Result<std::unique_ptr<io::Stream>> made) {
            if (!made) {
                error = made.error();
                return env.loop().stop();
            }
            stream = std::move(*made);
            stream->start(reader);
            stream->write("GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        });
    env.loop().run();
    if (error)
        return fail(std::move(*error));
    const std::size_t body = reader.text.find("\r\n\r\n");
    if (body == std::string::npos) {
        return fail(Errc::timeout, at.text(), "no answer", "check that this is brim-edge's status address");
    }
    return Json::parse(std::string_view(reader.text).substr(body + 4));
}

void check_edge(Report& report, const std::string& where) {
    const auto endpoint = io::Endpoint::parse(where);
    if (!endpoint) {
        report.add(
            "edge", "address", Level::bad, endpoint.error().cause, "write unix:/path or tcp:127.0.0.1:port"
        );
        return;
    }
    const auto status = status_of_edge(*endpoint);
    if (!status) {
        report.add("edge", "port", Level::bad, status.error().text(), "is brim-edge running? See its log");
        return;
    }
    report.add("edge", "port", Level::good, where + " answers");
    const Json& identity = (*status)["identity"];
    report.add(
        "edge", "identity", Level::good, identity.is_object() ? identity.text() : (*status)["gateway"].text()
    );
    const Json& uplink = (*status)["uplink"];
    const std::string_view state = uplink["state"].as_string("unknown");
    const bool up = state == "up" || state == "online" || state == "connected";
    report.add(
        "edge",
        "uplink",
        up ? Level::good : Level::warning,
        up ? std::string(state)
           : std::string(state) + ": " +
                 std::string(uplink["lastError"]["cause"].as_string(uplink["lastError"].text())),
        up ? ""
           : std::string(uplink["lastError"]["fix"].as_string("look at the hub's log for \"login refused\""))
    );
    const Json& backlog = (*status)["backlog"];
    report.add("edge", "backlog", Level::good, backlog.text());
    for (const Json& driver : (*status)["drivers"].items()) {
        const bool parked = driver["state"].as_string() == "parked";
        report.add(
            "edge",
            "driver " + std::string(driver["name"].as_string()),
            parked ? Level::bad : Level::good,
            std::string(driver["state"].as_string()) +
                (parked ? ": " + std::string(driver["parkedReason"].as_string(driver["reason"].as_string()))
                        : ""),
            parked ? "mend what its log says, then send SIGHUP to brim-edge" : ""
        );
    }
}

} // namespace

Exit doctor(const Common& common, const DoctorOptions& options) {
    Report report;
    check_disk(report, options.data_dir);
    std::optional<std::int64_t> hub_time;
    if (!options.skip_hub)
        hub_time = check_hub(report, common);
    check_clock(report, hub_time);
    if (!options.edge_socket.empty())
        check_edge(report, options.edge_socket);
    return report.print(common.format);
}

} // namespace brim::cli
