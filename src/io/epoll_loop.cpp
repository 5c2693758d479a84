#include "io/epoll_loop.h"

#include "base/assert.h"
#include "base/prefetch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <span>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

namespace brim::io {

namespace {

constexpr std::uint64_t wakeup_key = 0;
constexpr std::size_t events_per_turn_max = 256;
/// epoll's timeout does not count suspended time: waking this often bounds how late a timer is after a
/// resume.
constexpr Duration sleep_max = 5s;
/// Turn-end work may queue turn-end work (a session flushes into its stream); past this many rounds it waits
/// a turn.
constexpr int turn_end_rounds_max = 16;
constexpr Duration tick = 1ms;
constexpr std::size_t fetch_ahead = 2;

} // namespace

EpollLoop::EpollLoop(Log& log)
    : log_(log), epoll_(::epoll_create1(EPOLL_CLOEXEC)), wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      origin_(clock_.mono()), now_(origin_), watches_(1) {
    BRIM_ASSERT(
        epoll_ && wakeup_,
        "the kernel gives an epoll and an eventfd descriptor (is the open-file limit reached?)"
    );
    // Edge-triggered: the counter is never read, each write wakes once.
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = wakeup_key}};
    const int added = ::epoll_ctl(epoll_.value(), EPOLL_CTL_ADD, wakeup_.value(), &event);
    BRIM_ASSERT(added == 0, "epoll takes the wake-up descriptor");
}

EpollLoop::~EpollLoop() {
    // Dropped work may own streams and timers that call back into this loop, and may queue more work.
    for (int round = 0; round < turn_end_rounds_max; ++round) {
        std::vector<Work> dropped = std::move(turn_end_);
        turn_end_.clear();
        {
            const std::lock_guard lock(mailbox_mutex_);
            std::move(mailbox_.begin(), mailbox_.end(), std::back_inserter(dropped));
            mailbox_.clear();
        }
        wheel_.collect(TimerWheel::tick_max);
        while (auto work = wheel_.pop())
            dropped.push_back(std::move(*work));
        if (dropped.empty())
            break;
    }
}

Mono EpollLoop::now() const {
    return thread_.load(std::memory_order_relaxed) == std::thread::id() ? clock_.mono() : now_;
}

bool EpollLoop::on_own_thread() const {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

void EpollLoop::wake() {
    const std::uint64_t one = 1;
    // Cannot block before 2^64 writes; EINTR does not happen on an eventfd that is not full.
    [[maybe_unused]] const auto written = ::write(wakeup_.value(), &one, sizeof one);
}

void EpollLoop::post(Work work) {
    bool first = false;
    {
        const std::lock_guard lock(mailbox_mutex_);
        first = mailbox_.empty();
        mailbox_.push_back(std::move(work));
        mailbox_filled_.store(true, std::memory_order_release);
    }
    // The loop's own thread looks into the mailbox before it sleeps.
    if (first && !on_own_thread())
        wake();
}

std::uint64_t EpollLoop::tick_of(Mono time) const {
    return static_cast<std::uint64_t>(std::max<Duration::rep>((time - origin_) / tick, 0));
}

TimerId EpollLoop::after(Duration delay, Work work) {
    // 100 years: keeps the sum below within 64 bits whatever the caller asks for.
    delay = std::clamp<Duration>(delay, Duration::zero(), 24h * 36'500);
    const Duration due = now() - origin_ + delay;
    // A tick is over at its end, so round up: never early.
    return wheel_.start(static_cast<std::uint64_t>((due + tick - Duration{1}) / tick), std::move(work));
}

void EpollLoop::cancel(TimerId timer) {
    wheel_.cancel(timer);
}

void EpollLoop::at_turn_end(Work work) {
    turn_end_.push_back(std::move(work));
}

void EpollLoop::run() {
    while (!stopping_.load(std::memory_order_acquire))
        turn(sleep_max);
    stopping_.store(false, std::memory_order_release);
}

void EpollLoop::stop() {
    stopping_.store(true, std::memory_order_release);
    wake();
}

int EpollLoop::wait_ms(Duration wait_max) const {
    if (!turn_end_.empty() || mailbox_filled_.load(std::memory_order_acquire))
        return 0;
    Duration wait = std::min(wait_max, sleep_max);
    if (const auto next = wheel_.next_tick()) {
        const Mono due = origin_ + static_cast<std::int64_t>(*next) * tick;
        wait = std::min(wait, due - clock_.mono());
    }
    if (wait <= Duration::zero())
        return 0;
    return static_cast<int>((wait + tick - Duration{1}) / tick);
}

void EpollLoop::turn(Duration wait_max) {
    const std::thread::id outer = thread_.exchange(std::this_thread::get_id(), std::memory_order_relaxed);
    BRIM_ASSERT(
        outer == std::thread::id(), "a loop's turn is not entered from inside a turn or by two threads"
    );
    std::array<epoll_event, events_per_turn_max> events;
    int count =
        ::epoll_wait(epoll_.value(), events.data(), static_cast<int>(events.size()), wait_ms(wait_max));
    if (count < 0) {
        BRIM_ASSERT(errno == EINTR, "epoll_wait fails only by a signal");
        count = 0;
    }
    now_ = clock_.mono();
    run_mailbox();
    const std::span<const epoll_event> ready(events.data(), static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < ready.size(); ++i) {
        if (i + fetch_ahead < ready.size())
            fetch(ready[i + fetch_ahead].data.u64);
        if (ready[i].data.u64 != wakeup_key)
            dispatch(ready[i].data.u64, ready[i].events);
    }
    run_timers();
    run_turn_end();
    thread_.store(std::thread::id(), std::memory_order_relaxed);
}

template <class Call> void EpollLoop::guarded(std::string_view what, Call&& call) {
    try {
        call();
    } catch (const std::exception& error) {
        log_.error(
            "loop", "work threw an exception and was dropped", {{"work", what}, {"exception", error.what()}}
        );
    } catch (...) {
        log_.error(
            "loop",
            "work threw an exception and was dropped",
            {{"work", what}, {"exception", "not a std::exception"}}
        );
    }
}

void EpollLoop::run_mailbox() {
    if (!mailbox_filled_.load(std::memory_order_acquire))
        return;
    {
        const std::lock_guard lock(mailbox_mutex_);
        batch_.swap(mailbox_);
        mailbox_filled_.store(false, std::memory_order_relaxed);
    }
    for (Work& work : batch_) {
        guarded("posted", [&work] { work(); });
        work = nullptr; // what it owned goes before the next one runs
    }
    batch_.clear();
}

/// Watchers are spread over memory, and a system call lies between two of them: time enough to bring the next
/// ones near.
void EpollLoop::fetch(std::uint64_t key) const {
    prefetch_object(watches_[static_cast<std::uint32_t>(key)].watcher);
}

void EpollLoop::dispatch(std::uint64_t key, std::uint32_t events) {
    const auto index = static_cast<std::uint32_t>(key);
    const Watch& watch = watches_[index];
    if (watch.generation != key >> 32 || watch.watcher == nullptr)
        return;
    guarded("descriptor", [&watcher = *watch.watcher, events] { watcher.on_ready(events); });
}

void EpollLoop::run_timers() {
    wheel_.collect(tick_of(now_));
    while (auto work = wheel_.pop())
        guarded("timer", [&work] { (*work)(); });
}

void EpollLoop::run_turn_end() {
    for (int round = 0; round < turn_end_rounds_max && !turn_end_.empty(); ++round) {
        std::vector<Work> works;
        works.swap(turn_end_);
        for (Work& work : works) {
            guarded("turn end", [&work] { work(); });
            work = nullptr;
        }
        if (turn_end_.empty()) {
            works.clear();
            turn_end_.swap(works); // keeps the capacity for the next turn
        }
    }
}

Result<WatchId> EpollLoop::watch(int fd, std::uint32_t events, Watcher& watcher) {
    std::uint32_t index = 0;
    if (free_watches_.empty()) {
        index = static_cast<std::uint32_t>(watches_.size());
        // By an eighth, not by doubling: idle connections are many and stay.
        if (watches_.size() == watches_.capacity())
            watches_.reserve(watches_.size() + watches_.size() / 8 + 64);
        watches_.emplace_back();
    } else {
        index = free_watches_.back();
        free_watches_.pop_back();
    }
    Watch& watch = watches_[index];
    const WatchId id = (WatchId{watch.generation} << 32) | index;
    epoll_event event{.events = events, .data = {.u64 = id}};
    if (::epoll_ctl(epoll_.value(), EPOLL_CTL_ADD, fd, &event) != 0) {
        const int error = errno;
        free_watches_.push_back(index);
        return fail(errno_error("descriptor " + std::to_string(fd) + " in the event loop", error));
    }
    watch.watcher = &watcher;
    watch.fd = fd;
    ++watch_count_;
    return id;
}

void EpollLoop::rewatch(WatchId watch, std::uint32_t events) {
    const Watch& entry = watches_[static_cast<std::uint32_t>(watch)];
    BRIM_ASSERT(entry.generation == watch >> 32, "only a living watch is changed");
    epoll_event event{.events = events, .data = {.u64 = watch}};
    // Fails only for a descriptor that was closed behind our back; then there is nothing to wait for.
    ::epoll_ctl(epoll_.value(), EPOLL_CTL_MOD, entry.fd, &event);
}

void EpollLoop::unwatch(WatchId watch) {
    const auto index = static_cast<std::uint32_t>(watch);
    Watch& entry = watches_[index];
    BRIM_ASSERT(index != 0 && entry.generation == watch >> 32, "a watch is ended once");
    ::epoll_ctl(epoll_.value(), EPOLL_CTL_DEL, entry.fd, nullptr);
    entry.watcher = nullptr;
    entry.fd = -1;
    ++entry.generation;
    free_watches_.push_back(index);
    --watch_count_;
}

Result<std::unique_ptr<SignalWatch>> SignalWatch::create(EpollLoop& loop, Handler handler) {
    return create(loop, {SIGTERM, SIGINT, SIGHUP}, std::move(handler));
}

Result<std::unique_ptr<SignalWatch>>
SignalWatch::create(EpollLoop& loop, std::initializer_list<int> signals, Handler handler) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals)
        sigaddset(&set, signal);
    if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0)
        return fail(errno_error("signal mask", error));
    struct sigaction ignore = {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, nullptr);
    Descriptor fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd)
        return fail(errno_error("signal descriptor", errno));
    std::unique_ptr<SignalWatch> made(new SignalWatch(loop, std::move(fd), std::move(handler)));
    auto watch = loop.watch(made->fd_.value(), EPOLLIN, *made);
    if (!watch)
        return fail(std::move(watch).error());
    made->watch_ = *watch;
    return made;
}

SignalWatch::SignalWatch(EpollLoop& loop, Descriptor fd, Handler handler)
    : loop_(loop), fd_(std::move(fd)), handler_(std::move(handler)) {}

SignalWatch::~SignalWatch() {
    if (watch_ != 0)
        loop_.unwatch(watch_);
}

void SignalWatch::on_ready(std::uint32_t) {
    signalfd_siginfo info{};
    if (::read(fd_.value(), &info, sizeof info) != static_cast<ssize_t>(sizeof info))
        return;
    const Handler handler = handler_; // it may destroy this watch
    handler(static_cast<int>(info.ssi_signo));
}

} // namespace brim::io
