// Any text as brim-edge's configuration, with its real schema: [edge], [uplink], [buffer], [[driver]],
// [broker],
// [[listener]], [[bridge]] and the rest. It is refused with a reason, or gives settings that keep the
// promises. A line of its own identity stands before the text, so that what follows is reached.
#include "base/internal/toml_read.h"
#include "edge/settings.h"
#include "fuzz/require.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

using namespace brim;
using namespace brim::edge;

namespace {

using brim::fuzz::require;

constexpr std::size_t text_bytes_max = 8'192;
constexpr std::string_view identity = "[identity]\nproduct_key = \"gw\"\ndevice_name = \"g1\"\n";

void check(const EdgeConfig& made, bool plain_uplink, bool plain_listeners) {
    require(!made.data_dir.empty());
    require(thing::valid_product_key(made.gateway.product_key));
    require(thing::valid_device_name(made.gateway.device_name));
    require(made.uplink.tls || made.uplink.to.is_local() || plain_uplink);
    require(made.uplink.backoff_min <= made.uplink.backoff_max && made.uplink.inflight > 0);
    require(made.buffer.bytes_max / 4 >= made.buffer.segment_bytes);
    require(made.bus.is_local() && made.http.is_local());
    std::set<std::string> names;
    for (const DriverSettings& driver : made.drivers)
        require(
            valid_driver_name(driver.name) && names.insert(driver.name).second && !driver.program.empty()
        );
    for (const broker::ListenerSettings& listener : made.broker.listeners) {
        require(listener.is_tls() || listener.address.is_local() || plain_listeners);
        require(listener.auth != broker::ListenerAuth::unsafe_anonymous || listener.address.is_local());
    }
}

/// As it is, or behind the identity when it begins with "+".
std::string text_of(std::string_view input) {
    return input.starts_with('+') ? std::string(identity).append(input.substr(1)) : std::string(input);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > text_bytes_max)
        return 0;
    const std::string text = text_of({reinterpret_cast<const char*>(data), size});
    if (!toml_read(text).problems.empty())
        return 0; // fuzz_config's: most inputs, and the whole schema would be laid out for each
    const auto config = Config::parse(edge_schema(), {{"edge.toml", text}}, {});
    if (!config)
        return require(!config.error().cause.empty()), 0;
    // The secret is a file's: it is not read here.
    const auto made = read_settings(*config, Secret("secret"));
    if (!made)
        return require(!made.error().cause.empty()), 0;
    check(*made, config->boolean("uplink.insecure_plain"), config->boolean("edge.insecure_plain"));
    const auto again = Config::parse(edge_schema(), {{"shown.toml", config->show_effective()}}, {});
    require(again && read_settings(*again, Secret("secret")).has_value());
    for (const char* section :
         {"identity", "edge", "uplink", "buffer", "driver", "listener", "broker", "bridge"})
        require(again->fingerprint(section) == config->fingerprint(section));
    return 0;
}
