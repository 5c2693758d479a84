// The Modbus driver's configuration, and registers through every encoding it allows: what is accepted keeps
// its limits.

#include "poll.h"
#include "settings.h"

#include <cstdlib>
#include <string_view>

namespace {

using namespace brim;
using namespace brim::modbus;

void check(const ChannelSettings& channel) {
    using Limits = SettingsLimits;
    if (channel.timeout_ms < Limits::timeout_ms_min || channel.timeout_ms > Limits::timeout_ms_max ||
        channel.retries > Limits::retries_max || channel.reads.gap_max > Limits::gap_max)
        std::abort();
    for (const DeviceSettings& device : channel.devices) {
        DevicePoll poll(device, channel.reads, 0);
        std::vector<PointValue> values;
        for (const Group& group : poll.groups) {
            for (const Read& read : group.reads) {
                if (std::uint32_t{read.address} + read.count > 65'536)
                    std::abort();
                std::vector<std::uint16_t> data(read.count);
                for (std::size_t i = 0; i < data.size(); ++i)
                    data[i] = static_cast<std::uint16_t>(i * 40'503 + read.address);
                poll.collect(read, data, values);
            }
        }
        for (const PointValue& entry : values) {
            const Encoding& encoding = device.points[entry.point].encoding;
            const auto written = encode(encoding, entry.value);
            if (written && written->size() != encoding.register_count)
                std::abort();
        }
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const auto settings = read_settings({reinterpret_cast<const char*>(data), size});
    if (!settings)
        return 0;
    if (settings->channels.size() > SettingsLimits::channels_max)
        std::abort();
    for (const ChannelSettings& channel : settings->channels)
        check(channel);
    return 0;
}
