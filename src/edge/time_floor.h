#pragma once
// Wall time that survives a dead clock battery: never before the last time this gateway is known to have
// lived through.

#include "io/disk.h"
#include "io/loop.h"

#include <string>

namespace brim::edge {

/// Reports are stamped and certificates judged by now(): the later of the system's clock and the stored floor
/// plus the time since start. The floor is a small file, rewritten about every minute on a worker. Loop
/// thread only.
class TimeFloor {
public:
    TimeFloor(io::Loop& loop, io::Disk& disk, std::string path);

    /// Reads the stored floor; blocking, used at start. A missing or unreadable file is a floor of 0.
    void load();
    /// Stores now() every minute, on `worker`, until destroyed.
    void keep(io::Worker& worker);

    /// Ends keep(): the worker may go.
    void stop() { timer_.stop(); }

    /// Stores now(); blocking, used at the end.
    Result<void> save();

    WallTime now() const;

    /// What was stored when the program started.
    WallTime floor() const { return floor_; }

    /// True while the system's clock is behind the floor.
    bool clock_is_behind() const;

    static constexpr std::chrono::seconds save_every{60};

private:
    io::Loop& loop_;
    io::Disk& disk_;
    std::string path_;
    WallTime floor_;
    Mono started_{};
    io::Timer timer_;
};

} // namespace brim::edge
