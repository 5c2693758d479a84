// Any text as brim-hub's configuration, with its real schema: [hub], [broker], [[listener]], [[bridge]] and
// the rest. It is refused with a reason, or gives settings that keep the promises: no plain listener and no
// open one away from this machine unless asked for. What is shown as effective reads back as the same.
#include "base/internal/toml_read.h"
#include "fuzz/require.h"
#include "hub/hub_config.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace brim;
using namespace brim::hub;

namespace {

using brim::fuzz::require;

constexpr std::size_t text_bytes_max = 8'192; // the format allows more, but only more of the same

void check_listeners(const HubConfig& made, bool insecure_plain) {
    for (const ListenerConfig& listener : made.listeners)
        require(listener.is_tls() || listener.address.is_local() || insecure_plain);
    for (const broker::ListenerSettings& listener : made.broker.listeners) {
        require(listener.is_tls() || listener.address.is_local() || insecure_plain);
        const bool is_open = listener.auth == broker::ListenerAuth::unsafe_anonymous;
        require(!is_open || listener.address.is_local());
        require(is_open || !made.broker.policy.acl_file.empty());
        require(!listener.security().empty() && !listener.protocol_text().empty());
    }
}

void check_bridges(const broker::Settings& settings) {
    for (const broker::BridgeEntry& bridge : settings.bridges) {
        require(!bridge.link.name.empty() && !bridge.link.rules.empty());
        require(bridge.link.queue_bytes_max >= 16ULL * bridge.link.packet_bytes_max);
        require(bridge.link.folder.find("/../") == std::string::npos);
        require(bridge.link.inflight_max > 0 && bridge.link.backoff_min <= bridge.link.backoff_max);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    if (size > text_bytes_max)
        return 0;
    // A first line that begins with "!" goes through --set.
    ConfigSource source;
    if (text.starts_with('!')) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        source.sets.emplace_back(text.substr(1, end - 1));
        text.remove_prefix(end);
    }
    if (!toml_read(text).problems.empty())
        return 0; // fuzz_config's: most inputs, and the whole schema would be laid out for each
    const auto config = Config::parse(hub_schema(), {{"hub.toml", std::string(text)}}, source);
    if (!config)
        return require(!config.error().cause.empty()), 0;
    const auto made = make_hub_config(*config);
    if (!made)
        return require(!made.error().cause.empty()), 0;
    check_listeners(*made, config->boolean("hub.insecure_plain"));
    check_bridges(made->broker);
    const auto again = Config::parse(hub_schema(), {{"shown.toml", config->show_effective()}}, {});
    require(again.has_value());
    for (const char* section : {"hub", "listener", "broker", "bridge", "mqtt", "ingest", "history", "log"})
        require(again->fingerprint(section) == config->fingerprint(section));
    return 0;
}
