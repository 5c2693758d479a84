#include "hub/reload.h"

#include <algorithm>
#include <array>

namespace brim::hub {

namespace {

constexpr std::array<std::string_view, 7> live_keys{
    "hub.public_url",
    "hub.drain_wait",
    "mqtt.keepalive_min",
    "mqtt.keepalive_max",
    "history.days_max",
    "history.bytes_max",
    "log.level",
};

bool same_value(const Config& a, const Config& b, const ConfigKey& schema, const std::string& key) {
    switch (schema.type) {
    case ConfigType::text:
    case ConfigType::choice:
        return a.text(key) == b.text(key);
    case ConfigType::integer:
        return a.integer(key) == b.integer(key);
    case ConfigType::boolean:
        return a.boolean(key) == b.boolean(key);
    case ConfigType::number:
        return a.number(key) == b.number(key);
    case ConfigType::duration:
        return a.duration(key) == b.duration(key);
    case ConfigType::size:
        return a.size(key) == b.size(key);
    case ConfigType::list:
        return a.list(key) == b.list(key);
    case ConfigType::secret:
        break; // hub_schema() has none
    }
    return false;
}

/// Keys of the schema whose values differ, with the index of an item: "listener[1].address".
std::vector<std::string> differences(const Config& a, const Config& b) {
    std::vector<std::string> keys;
    const auto note = [&keys](std::string key) {
        if (std::find(keys.begin(), keys.end(), key) == keys.end())
            keys.push_back(std::move(key));
    };
    for (const ConfigKey& schema : hub_schema()) {
        const std::size_t item = schema.name.find("[].");
        if (item == std::string::npos) {
            if (!same_value(a, b, schema, schema.name))
                note(schema.name);
            continue;
        }
        const std::string table = schema.name.substr(0, item);
        if (a.count(table) != b.count(table))
            note(table);
        for (std::size_t i = 0; i < std::min(a.count(table), b.count(table)); ++i) {
            const std::string name = schema.name.substr(item + 3);
            if (!same_value(a, b, schema, Config::item(table, i, name)))
                note(table + "[" + std::to_string(i) + "]." + name);
        }
    }
    return keys;
}

} // namespace

bool is_live(std::string_view key) {
    return std::find(live_keys.begin(), live_keys.end(), key) != live_keys.end();
}

Result<Reload::Outcome> Reload::read() {
    auto wanted = Config::load(hub_schema(), source_);
    if (!wanted)
        return fail(std::move(wanted).error());
    auto settings = make_hub_config(*wanted);
    if (!settings)
        return fail(std::move(settings).error());
    Outcome outcome{std::move(*settings), hub::log_level(*wanted), {}, {}};
    for (std::string& key : differences(running_, *wanted)) {
        if (is_live(key))
            outcome.taken.push_back(std::move(key));
    }
    // Against the start, so that what still waits for a restart is named each time.
    for (std::string& key : differences(started_, *wanted)) {
        if (!is_live(key))
            outcome.later.push_back(std::move(key));
    }
    running_ = std::move(*wanted);
    return outcome;
}

} // namespace brim::hub
