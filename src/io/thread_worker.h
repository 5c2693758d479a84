#pragma once
// A Worker with a real thread.
//
// The mutex guards the two queues and the stop flag; jobs and their ends run outside it. Completed jobs reach
// the loop in batches: one post for as many as ended since the last.

#include "base/log.h"
#include "io/loop.h"

#include <memory>
#include <string_view>
#include <thread>

namespace brim::io {

class ThreadWorker final : public Worker {
public:
    static constexpr std::size_t queue_max_default = 4'096;

    /// `name` is what top(1) shows; the kernel keeps 15 bytes of it.
    ThreadWorker(Loop& loop, Log& log, std::string_view name, std::size_t queue_max = queue_max_default);
    ~ThreadWorker() override;

    /// A job that throws is logged; its `done` runs all the same, so that who waits for it goes on.
    void run(Work job, Work done) override;
    /// Jobs whose `done` has not run yet.
    std::size_t queued() const override;

private:
    struct Shared;
    static void work(Shared& shared);
    static void drain(const std::shared_ptr<Shared>& shared);

    /// Shared with the thread and with posts under way, which may outlive this object.
    std::shared_ptr<Shared> shared_;
    const std::size_t queue_max_;
    std::thread thread_;
};

} // namespace brim::io
