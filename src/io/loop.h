#pragma once
// The event loop as its users see it. The real one is epoll_loop.h, the simulated one sim/.

#include "base/time.h"

#include <cstddef>
#include <cstdint>
#include <functional>

namespace brim::io {

/// A one-shot piece of work. Move-only, so it may own what it needs.
using Work = std::move_only_function<void()>;

/// Names a pending timer; 0 is "none". Generation-checked: cancelling a fired timer is harmless.
using TimerId = std::uint64_t;

/// One thread's event loop: timers, posted work, end-of-turn work. All members but post() are for the loop's
/// own thread only. Work that throws is logged and dropped; the loop goes on.
class Loop {
public:
    virtual ~Loop() = default;

    virtual const Clock& clock() const = 0;
    /// The monotonic time at the start of this turn: cheap, the same for all work of the turn.
    virtual Mono now() const = 0;

    /// Runs `work` once on the loop's thread, after work posted before it. Callable from any thread; wakes
    /// the loop at most once per batch.
    virtual void post(Work work) = 0;
    /// Runs `work` on this loop, not earlier than `delay` from now. Resolution 1 ms.
    virtual TimerId after(Duration delay, Work work) = 0;
    virtual void cancel(TimerId timer) = 0;
    /// Runs `work` once when everything read in this turn has been handled, before the loop sleeps: the place
    /// to flush what a turn has gathered.
    virtual void at_turn_end(Work work) = 0;
};

/// A timer that is cancelled with its owner. Loop thread only.
class Timer {
public:
    explicit Timer(Loop& loop) : loop_(loop) {}

    ~Timer() { stop(); }

    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    /// (Re)starts: only the last start fires.
    void start(Duration delay, Work work);
    void stop();

    bool running() const noexcept { return id_ != 0; }

private:
    Loop& loop_;
    TimerId id_ = 0;
};

/// A background thread that takes one job after another, for what blocks: fsync, SQLite, DNS. Jobs run in the
/// order given; `done` runs on the loop that owns the worker. In the simulator jobs run on the one thread, at
/// a later virtual time. Destroying a worker waits for the job under way, runs the queued ones, and drops
/// their `done`.
class Worker {
public:
    virtual ~Worker() = default;
    /// Loop thread only. At most `queue_max` (given at creation) jobs wait; asserting more is a bug of the
    /// caller.
    virtual void run(Work job, Work done) = 0;
    virtual std::size_t queued() const = 0;
};

} // namespace brim::io
