#include "io/internal/hello_queue.h"

#include "io/internal/tls_stream.h"

namespace brim::io {

bool HelloQueue::enter(Loop& loop) {
    if (!waiting_.empty() || answered_ >= answers_per_turn_max)
        return false;
    ++answered_;
    plan(loop);
    return true;
}

std::uint64_t HelloQueue::wait(TlsStream& stream) {
    waiting_.emplace(++last_, &stream);
    return last_;
}

void HelloQueue::plan(Loop& loop) {
    if (is_planned_)
        return;
    is_planned_ = true;
    loop.at_turn_end([self = shared_from_this(), &loop] { self->end_turn(loop); });
}

void HelloQueue::end_turn(Loop& loop) {
    is_planned_ = false;
    answered_ = 0;
    // In the next turn, which does not sleep and has looked at the sockets meanwhile.
    if (!waiting_.empty())
        loop.post([self = shared_from_this(), &loop] { self->run(loop); });
}

void HelloQueue::run(Loop& loop) {
    plan(loop);
    while (answered_ < answers_per_turn_max && !waiting_.empty()) {
        TlsStream* const next = waiting_.begin()->second;
        waiting_.erase(waiting_.begin());
        ++answered_;
        next->take_turn();
    }
}

} // namespace brim::io
