#include "edge/configuration.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace brim::edge {

namespace {

constexpr std::size_t settings_bytes_max = 1'048'576; // of one file
constexpr std::size_t settings_files_max = 256;

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

/// The main file and conf.d/*.toml beside it, in the order of their precedence.
Result<std::vector<std::string>> settings_files(io::Disk& disk, const std::string& main) {
    std::vector<std::string> paths;
    if (main.empty())
        return paths;
    paths.push_back(main);
    const std::string folder = folder_of(main) + "conf.d";
    if (!disk.exists(folder))
        return paths;
    const auto names = disk.list(folder);
    if (!names)
        return fail(names.error());
    for (const std::string& name : *names) {
        if (name.ends_with(".toml"))
            paths.push_back(folder + "/" + name);
    }
    if (paths.size() > settings_files_max) {
        return fail(Errc::too_large, "folder " + folder, "more than 256 files", "merge some of them");
    }
    return paths;
}

std::map<std::string, std::string> settings_of(const std::map<std::string, std::string>& environment) {
    std::map<std::string, std::string> out;
    for (const auto& [name, value] : environment) {
        if (name.starts_with("BRIM_") && name.find("__") != std::string::npos)
            out.emplace(name, value);
    }
    return out;
}

Result<Config> parse_settings(io::Disk& files, const ConfigTexts& texts) {
    std::vector<ConfigText> parts;
    for (const std::string& path : texts.settings) {
        auto text = io::read_file(files, path, settings_bytes_max);
        if (!text)
            return fail(text.error());
        parts.push_back({path, std::move(*text)});
    }
    auto config = Config::parse(
        edge_schema(), parts, {.file = {}, .environment = texts.environment, .sets = texts.sets}
    );
    if (!config) // its cause has a line for each problem, each with its place
        return fail(config.error());
    return config;
}

Result<std::vector<DriverConfig>> read_drivers(io::Disk& files, const EdgeConfig& config) {
    std::vector<DriverConfig> drivers;
    std::map<thing::DeviceKey, std::string> owners;
    for (const DriverSettings& settings : config.drivers) {
        auto driver = load_driver_config(files, settings);
        if (!driver)
            return fail(driver.error());
        for (const Device& device : driver->devices) {
            const auto [owner, fresh] = owners.emplace(device.key, settings.name);
            if (!fresh) {
                return fail(
                    Errc::exists,
                    settings.config_file,
                    "device " + device.key.text() + " is driver " + owner->second + "'s as well",
                    "a device has one driver: remove it from one of them"
                );
            }
        }
        drivers.push_back(std::move(*driver));
    }
    return drivers;
}

Result<std::unique_ptr<io::TlsContext>> read_trust(const UplinkSettings& uplink, io::Disk& files) {
    if (!uplink.tls)
        return nullptr;
    return io::TlsContext::client(
        files, {.ca_file = uplink.ca_file, .crl_file = uplink.crl_file, .protocol = uplink.alpn}
    );
}

Result<Configuration> check(ReadSet& files, ConfigTexts texts) {
    auto config = parse_settings(files, texts);
    if (!config)
        return fail(config.error());
    auto settings = read_settings(*config, texts.secret);
    if (!settings)
        return fail(settings.error());
    if (config->reference("identity.device_secret").starts_with("file:"))
        texts.secret = settings->gateway_secret;
    auto drivers = read_drivers(files, *settings);
    if (!drivers)
        return fail(drivers.error());
    if (const auto trust = read_trust(settings->uplink, files); !trust)
        return fail(trust.error());
    texts.files = files.files();
    Configuration out;
    out.revision = revision_of(encode_texts(texts));
    out.texts = std::move(texts);
    out.settings = std::move(*settings);
    out.drivers = std::move(*drivers);
    return out;
}

} // namespace

Result<Configuration>
read_configuration(io::Disk& disk, const ConfigSource& source, const ReadLimits& limits) {
    auto paths = settings_files(disk, source.file);
    if (!paths)
        return fail(paths.error());
    ConfigTexts texts;
    texts.settings = std::move(*paths);
    texts.environment = settings_of(source.environment);
    texts.sets = source.sets;
    ReadSet files(disk, limits);
    return check(files, std::move(texts));
}

Result<Configuration> check_configuration(ConfigTexts texts) {
    ReadSet files(std::exchange(texts.files, {}));
    return check(files, std::move(texts));
}

Result<std::unique_ptr<io::TlsContext>> uplink_trust(const UplinkSettings& uplink, const ConfigTexts& texts) {
    ReadSet files(texts.files);
    return read_trust(uplink, files);
}

std::string find_data_dir(io::Disk& disk, const ConfigSource& source) {
    constexpr std::string_view key = "edge.data_dir";
    std::vector<ConfigText> texts;
    const auto paths = settings_files(disk, source.file);
    for (const std::string& path : paths ? *paths : std::vector<std::string>{source.file}) {
        if (auto text = io::read_file(disk, path, settings_bytes_max))
            texts.push_back({path, std::move(*text)});
    }
    auto said = Config::glimpse(edge_schema(), texts, source, key);
    if (said && !said->empty())
        return *said;
    const auto known = std::ranges::find(edge_schema(), key, &ConfigKey::name);
    return std::get<std::string>(known->fallback);
}

namespace {

/// Of two fingerprints, lines of key=value: the keys whose lines are not in both.
std::vector<std::string> differing(std::string_view before, std::string_view after) {
    std::set<std::string_view> lines;
    for (std::string_view text : {before, after}) {
        while (!text.empty()) {
            const std::size_t end = text.find('\n');
            const std::string_view line = text.substr(0, end);
            if (!lines.insert(line).second)
                lines.erase(line);
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        }
    }
    std::vector<std::string> keys;
    for (const std::string_view line : lines) {
        std::string key(line.substr(0, line.find('=')));
        if (keys.empty() || keys.back() != key)
            keys.push_back(std::move(key));
    }
    return keys;
}

} // namespace

std::vector<std::string> needing_start(const EdgeConfig& running, const EdgeConfig& fresh) {
    std::vector<std::string> keys;
    const auto compare = [&](const char* key, const auto& before, const auto& after) {
        if (before != after)
            keys.emplace_back(key);
    };
    compare("edge.data_dir", running.data_dir, fresh.data_dir);
    compare("edge.transport_loops", running.transport_loops, fresh.transport_loops);
    compare("identity.product_key", running.gateway.product_key, fresh.gateway.product_key);
    compare("identity.device_name", running.gateway.device_name, fresh.gateway.device_name);
    compare("identity.device_secret", running.gateway_secret.reveal(), fresh.gateway_secret.reveal());
    const UplinkSettings& before = running.uplink;
    const UplinkSettings& after = fresh.uplink;
    if (before.to.text() != after.to.text() || before.tls != after.tls)
        keys.emplace_back("uplink.url");
    compare("uplink.keepalive", before.keepalive, after.keepalive);
    compare("uplink.backoff_min", before.backoff_min, after.backoff_min);
    compare("uplink.backoff_max", before.backoff_max, after.backoff_max);
    compare("uplink.inflight", before.inflight, after.inflight);
    compare("uplink.replay_rate", before.replay_rate, after.replay_rate);
    compare("uplink.replay_share", before.replay_share, after.replay_share);
    compare("buffer.bytes_max", running.buffer.bytes_max, fresh.buffer.bytes_max);
    compare("buffer.segment_bytes", running.buffer.segment_bytes, fresh.buffer.segment_bytes);
    compare("buffer.when_full", running.buffer.when_full, fresh.buffer.when_full);
    compare("bus.socket", running.bus.text(), fresh.bus.text());
    compare("http.listen", running.http.text(), fresh.http.text());
    compare("supervisor.crashes_max", running.crashes_max, fresh.crashes_max);
    compare("supervisor.crash_window", running.crash_window, fresh.crash_window);
    for (std::string& key : differing(running.broker_fingerprint, fresh.broker_fingerprint))
        keys.push_back(std::move(key));
    compare("log.level", running.log_level, fresh.log_level);
    compare("log.format", running.log_format, fresh.log_format);
    return keys;
}

} // namespace brim::edge
