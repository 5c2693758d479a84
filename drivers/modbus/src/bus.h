#pragma once
// The driver's side of the local bus: configuration in, channels made, reports and states out, requests
// turned around. Lives on the runner of brim/driver.h; report() and state() are called by the channels'
// threads.

#include "brim/driver.h"
#include "channel.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace brim::modbus {

class Bus final : public Sink {
public:
    explicit Bus(Log& log) : log_(log) {}

    ~Bus() override;

    /// Before the first brim_driver_run().
    void attach(brim_driver* driver) { driver_ = driver; }

    /// Takes a new configuration: channels that did not change keep running.
    void configure(std::string_view json);
    /// Stops all channels; before brim_driver_close().
    void stop();

    void report(const DeviceSettings& device, const std::vector<PointValue>& values, std::int64_t time_ms)
        override;
    void state(const DeviceSettings& device, bool online) override;

private:
    /// A device of a running channel; its address is the callbacks' user pointer.
    struct Entry {
        Bus* bus = nullptr;
        Channel* channel = nullptr;
        std::size_t index = 0;
        brim_device* handle = nullptr;
    };

    struct Running {
        std::vector<std::unique_ptr<Entry>> entries;
        std::unique_ptr<Channel> channel; ///< after entries: stopped before they go
    };

    void start_channel(ChannelSettings settings);
    void stop_channel(const std::string& id);
    static void on_set(brim_device* device, const char* params, brim_request* request, void* user);
    static void on_get(
        brim_device* device,
        const char* const* identifiers,
        std::size_t count,
        brim_request* request,
        void* user
    );
    static void post(Entry& entry, Command command, brim_request* request);

    Log& log_;
    brim_driver* driver_ = nullptr;
    std::map<std::string, Running> running_;
    std::mutex lock_; ///< guards handles_, which the channels' threads look into
    std::map<std::string, brim_device*> handles_;
    std::uint64_t turned_away_ = 0;
};

/// A value to write out of JSON: a number, a text that is one, true and false; texts for text points.
Result<Value> value_to_write(const Point& point, const Json& json);

} // namespace brim::modbus
