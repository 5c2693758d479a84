#include "io/loop.h"

#include <utility>

namespace brim::io {

void Timer::start(Duration delay, Work work) {
    stop();
    id_ = loop_.after(delay, [this, work = std::move(work)]() mutable {
        // The work may destroy this timer: nothing of it is touched afterwards.
        id_ = 0;
        work();
    });
}

void Timer::stop() {
    if (id_ != 0)
        loop_.cancel(std::exchange(id_, 0));
}

} // namespace brim::io
