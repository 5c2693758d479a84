#include "io/thread_worker.h"

#include "base/assert.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <pthread.h>
#include <vector>

namespace brim::io {

struct ThreadWorker::Shared : std::enable_shared_from_this<ThreadWorker::Shared> {
    struct Job {
        Work job;
        Work done;
    };

    Shared(Loop& owner, Log& log_of_owner) : loop(owner), log(log_of_owner) {}

    Loop& loop;
    Log& log;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Job> waiting;
    std::vector<Work> ended;
    bool stopping = false;
    std::size_t unfinished = 0; ///< loop thread only
    bool abandoned = false;     ///< loop thread only
};

ThreadWorker::ThreadWorker(Loop& loop, Log& log, std::string_view name, std::size_t queue_max)
    : shared_(std::make_shared<Shared>(loop, log)), queue_max_(queue_max),
      thread_([shared = shared_.get()] { work(*shared); }) {
    ::pthread_setname_np(thread_.native_handle(), std::string(name.substr(0, 15)).c_str());
}

ThreadWorker::~ThreadWorker() {
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->stopping = true;
    }
    shared_->changed.notify_one();
    thread_.join();
    shared_->abandoned = true;
    shared_->ended.clear(); // the thread is gone: no lock needed
}

void ThreadWorker::run(Work job, Work done) {
    BRIM_ASSERT(shared_->unfinished < queue_max_, "a worker's queue is not overrun by its caller");
    ++shared_->unfinished;
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->waiting.push_back({std::move(job), std::move(done)});
    }
    shared_->changed.notify_one();
}

std::size_t ThreadWorker::queued() const {
    return shared_->unfinished;
}

void ThreadWorker::work(Shared& shared) {
    std::unique_lock lock(shared.mutex);
    for (;;) {
        shared.changed.wait(lock, [&shared] { return shared.stopping || !shared.waiting.empty(); });
        if (shared.waiting.empty())
            return;
        Shared::Job next = std::move(shared.waiting.front());
        shared.waiting.pop_front();
        lock.unlock();
        try {
            next.job();
        } catch (const std::exception& error) {
            shared.log.error("worker", "a job threw an exception", {{"exception", error.what()}});
        } catch (...) {
            shared.log.error("worker", "a job threw an exception", {{"exception", "not a std::exception"}});
        }
        next.job = nullptr;
        lock.lock();
        const bool first = shared.ended.empty();
        shared.ended.push_back(std::move(next.done));
        if (first && !shared.stopping)
            shared.loop.post([self = shared.shared_from_this()] { drain(self); });
    }
}

void ThreadWorker::drain(const std::shared_ptr<Shared>& shared) {
    std::vector<Work> ended;
    {
        const std::lock_guard lock(shared->mutex);
        ended.swap(shared->ended);
    }
    for (Work& done : ended) {
        if (shared->abandoned)
            return; // an earlier one destroyed the worker
        --shared->unfinished;
        try {
            done();
        } catch (const std::exception& error) {
            shared->log.error("worker", "the end of a job threw an exception", {{"exception", error.what()}});
        }
        done = nullptr;
    }
}

} // namespace brim::io
