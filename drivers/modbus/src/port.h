#pragma once
// One Modbus connection, TCP or serial: the only file pair that knows libmodbus. Blocking; one thread.

#include "settings.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace brim::modbus {

enum class Failure : std::uint8_t {
    none,
    exception, ///< the slave answered with an exception code: it is alive and says no
    timeout,   ///< no whole answer in time, or one that fails its checks: the slave is missing or confused
    broken,    ///< the connection or the serial line is gone; every slave behind it is affected
};

struct Answer {
    Failure failure = Failure::none;
    int exception = 0; ///< 1..11 with Failure::exception
    std::string text;  ///< for a log

    explicit operator bool() const { return failure == Failure::none; }
};

/// What an exception code means (application protocol, section 7).
std::string_view exception_meaning(int code) noexcept;

class Port {
public:
    explicit Port(const ChannelSettings& settings);
    ~Port();
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    /// Connects when closed; at most one timeout long. Waits of 100 ms to 5 s between failed attempts answer
    /// at once.
    Answer open(std::int64_t now_ms);
    void close();

    /// `data` gets `read.count` registers, or one 0 or 1 for each bit. At most one timeout long.
    Answer read(int slave, const Read& read, std::vector<std::uint16_t>& data);
    /// Bits of a register are written by function 0x16 (mask write); a slave that does not know it is read
    /// and written.
    Answer write(int slave, const Write& write);

private:
    Answer write_bits(int slave, const Write& write);
    struct Context;
    Answer failed(const char* what);

    const ChannelSettings& settings_;
    std::unique_ptr<Context> context_;
    std::int64_t retry_at_ms_ = 0;
    unsigned failures_ = 0;
};

} // namespace brim::modbus
