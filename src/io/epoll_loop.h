#pragma once
// The real event loop: epoll, an eventfd for posts from other threads, a timer wheel on CLOCK_BOOTTIME.
//
// A turn: wait for descriptors -> posted work -> descriptors -> timers -> turn-end work. Only post() and
// stop() may be called from other threads; the mutex guards the mailbox vector alone and nothing runs while
// it is held.

#include "base/error.h"
#include "base/log.h"
#include "io/internal/descriptor.h"
#include "io/internal/timer_wheel.h"
#include "io/loop.h"

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace brim::io {

/// Told when a watched descriptor is ready. `events` are epoll's (EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR).
class Watcher {
public:
    virtual ~Watcher() = default;
    virtual void on_ready(std::uint32_t events) = 0;
};

/// Names a watch; 0 is "none". Generation-checked, so that an event of a descriptor number that was closed
/// and used again in the same turn reaches nobody.
using WatchId = std::uint64_t;

class EpollLoop final : public Loop {
public:
    /// Ends the process when the kernel gives no descriptor: no program of ours can start without a loop.
    explicit EpollLoop(Log& log);
    ~EpollLoop() override;
    EpollLoop(const EpollLoop&) = delete;
    EpollLoop& operator=(const EpollLoop&) = delete;

    const Clock& clock() const override { return clock_; }

    Mono now() const override;
    void post(Work work) override;
    TimerId after(Duration delay, Work work) override;
    void cancel(TimerId timer) override;
    void at_turn_end(Work work) override;

    /// Turns until stop(). May be called again afterwards.
    void run();
    /// Ends run() after the turn under way. Any thread.
    void stop();
    /// One turn that waits at most `wait_max` for something to do.
    void turn(Duration wait_max);

    /// Calls `watcher` on this loop whenever `fd` is ready for `events` (level-triggered). Unwatch before
    /// closing `fd`.
    Result<WatchId> watch(int fd, std::uint32_t events, Watcher& watcher);
    void rewatch(WatchId watch, std::uint32_t events);
    void unwatch(WatchId watch);

    std::size_t timers() const noexcept { return wheel_.size(); }

    std::size_t watches() const noexcept { return watch_count_; }

    Log& log() noexcept { return log_; }

private:
    struct Watch {
        Watcher* watcher = nullptr;
        int fd = -1;
        std::uint32_t generation = 1;
    };

    std::uint64_t tick_of(Mono time) const;
    int wait_ms(Duration wait_max) const;
    void run_mailbox();
    void fetch(std::uint64_t key) const;
    void dispatch(std::uint64_t key, std::uint32_t events);
    void run_timers();
    void run_turn_end();
    template <class Call> void guarded(std::string_view what, Call&& call);
    bool on_own_thread() const;
    void wake();

    SystemClock clock_;
    Log& log_;
    Descriptor epoll_;
    Descriptor wakeup_;
    Mono origin_;
    Mono now_;
    std::atomic<std::thread::id> thread_{};
    std::atomic<bool> stopping_{false};

    std::mutex mailbox_mutex_;
    std::vector<Work> mailbox_;
    std::atomic<bool> mailbox_filled_{false};
    std::vector<Work> batch_; ///< the mailbox's other half, kept for its capacity

    TimerWheel wheel_;
    std::vector<Work> turn_end_;
    std::vector<Watch> watches_;
    std::vector<std::uint32_t> free_watches_;
    std::size_t watch_count_ = 0;
};

/// Delivers signals as loop work. The signals are blocked in the calling thread, so make it before other
/// threads start.
class SignalWatch final : private Watcher {
public:
    using Handler = std::function<void(int signal)>;

    /// SIGTERM, SIGINT and SIGHUP unless told otherwise. SIGPIPE is ignored as well.
    static Result<std::unique_ptr<SignalWatch>> create(EpollLoop& loop, Handler handler);
    static Result<std::unique_ptr<SignalWatch>>
    create(EpollLoop& loop, std::initializer_list<int> signals, Handler handler);
    ~SignalWatch() override;

private:
    SignalWatch(EpollLoop& loop, Descriptor fd, Handler handler);
    void on_ready(std::uint32_t events) override;

    EpollLoop& loop_;
    Descriptor fd_;
    Handler handler_;
    WatchId watch_ = 0;
};

} // namespace brim::io
