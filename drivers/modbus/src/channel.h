#pragma once
// A channel: one connection, one thread, the devices behind it polled in turn.

#include "base/log.h"
#include "poll.h"
#include "port.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace brim::modbus {

/// Where a channel's news go. Called on the channel's thread.
class Sink {
public:
    virtual ~Sink() = default;
    virtual void
    report(const DeviceSettings& device, const std::vector<PointValue>& values, std::int64_t time_ms) = 0;
    virtual void state(const DeviceSettings& device, bool online) = 0;
};

/// What somebody wants from a device between two cycles. `done` is called exactly once, on the channel's
/// thread, with a code of brim/driver.h and, for `reads`, the values.
struct Command {
    std::size_t device = 0;
    std::vector<Write> writes;      ///< done first, in this order, stopping at the first failure
    std::vector<std::size_t> reads; ///< points read then, reported and handed to `done`
    std::function<void(int code, const std::vector<PointValue>& values)> done;
};

/// `lock_` guards commands_ and stopping_ only; nothing is called and no I/O done under it.
class Channel {
public:
    static constexpr std::size_t commands_max = 256;

    /// Starts the thread. `sink` and `log` outlive the channel.
    Channel(ChannelSettings settings, Sink& sink, Log& log);
    /// Stops within one timeout; commands that are left end with BRIM_E_UNREACHABLE.
    ~Channel();
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    const ChannelSettings& settings() const { return settings_; }

    /// False when commands_max of them wait already; `done` is not called then.
    bool post(Command command);

private:
    void run();
    void run_cycle(std::size_t device, std::size_t group);
    void run_command(Command& command);
    /// Reads all of a group or list; splits shared requests that the slave refuses. False: the device did not
    /// answer.
    bool read_all(std::size_t device, std::vector<Read>& reads, std::vector<PointValue>& values);
    Answer read_once(std::size_t device, const Read& read, std::vector<std::uint16_t>& data);
    void note_exception(std::size_t device, const Read& read, const Answer& answer);
    void note_health(std::size_t device, bool answered, const std::string& cause);
    std::optional<std::size_t> due_device(std::int64_t now_ms, std::int64_t& wait_ms) const;

    const ChannelSettings settings_;
    Sink& sink_;
    Log& log_;
    Port port_;
    std::vector<DevicePoll> polls_;
    std::string last_failure_;

    std::mutex lock_;
    std::condition_variable wake_;
    std::deque<Command> commands_;
    bool stopping_ = false;
    std::thread thread_;
};

} // namespace brim::modbus
