#pragma once
// Wall time that survives a dead clock battery and outlives a clock that was wrong for a while.

#include "io/disk.h"
#include "io/loop.h"

#include <optional>
#include <string>

namespace brim::edge {

/// Reports are stamped and certificates judged by now(): the later of the system's clock and the floor. The
/// floor is the last time known to have been lived through; it goes on with the monotonic clock and is a
/// small file, rewritten about every minute on a worker.
///
/// The system's clock moves the floor forward when it is ahead by no more than drift explains, or has been
/// ahead by the same for believe_after, or the hub's clock agrees with it. Only with the hub's agreement does
/// it move the floor back. So a step back of the clock never turns stamps back, and a clock that is years
/// ahead for a minute stamps that minute, not everything after it. Loop thread only.
class TimeFloor {
public:
    TimeFloor(io::Loop& loop, io::Disk& disk, std::string path);

    /// What is stored at `path`; 0 when there is nothing readable. Blocking.
    static WallTime stored(io::Disk& disk, const std::string& path);
    /// Reads the stored floor; blocking, used at start. When there is none, the clock is all there is to
    /// believe.
    void load();
    /// Looks at the clock every look_every and stores the floor every save_every, on `worker`, until stop().
    void keep(io::Worker& worker);

    /// Ends keep(): the worker may go.
    void stop() { timer_.stop(); }

    /// Stores the floor; blocking, used at the end.
    Result<void> save();

    /// The hub's clock shows `hub` now.
    void confirm(WallTime hub);

    WallTime now() const;
    /// The time that was certainly lived through by now.
    WallTime floor() const;

    /// True while the system's clock is behind the floor by more than agree_max.
    bool clock_is_behind() const;

    /// True while the system's clock is ahead of the floor and not believed yet.
    bool clock_is_doubted() const { return claim_.has_value(); }

    static constexpr std::chrono::seconds save_every{60};
    static constexpr std::chrono::seconds look_every{10};
    static constexpr std::chrono::seconds drift_max{1};  ///< in look_every; a bad quartz makes 1 ms of it
    static constexpr std::chrono::seconds agree_max{60}; ///< between the clock and the hub's
    static constexpr std::chrono::minutes believe_after{5};

private:
    /// The system's clock says something the floor does not explain.
    struct Claim {
        std::chrono::milliseconds ahead; ///< of the monotonic clock
        Mono since;
    };

    void look();
    void believe(WallTime wall);
    std::chrono::milliseconds wall_over_mono() const;

    io::Loop& loop_;
    io::Disk& disk_;
    std::string path_;
    WallTime known_{}; ///< the floor at known_at_
    Mono known_at_;
    std::optional<Claim> claim_;
    unsigned looks_ = 0;
    io::Timer timer_;
};

} // namespace brim::edge
