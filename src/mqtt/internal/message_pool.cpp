#include "mqtt/internal/message_pool.h"

#include <algorithm>
#include <atomic>

namespace brim::mqtt {

namespace {

void reset(Message& message) {
    message.qos = 0;
    message.retain = false;
    message.payload_is_utf8 = false;
    message.expiry_s = -1;
    message.content_type.clear();
    message.response_topic.clear();
    message.correlation.clear();
    message.user_properties.clear();
}

bool is_small(const Message& message) {
    return message.payload.capacity() <= MessagePool::kept_payload_bytes_max;
}

bool is_free(const std::shared_ptr<Message>& place) {
    return place.use_count() == 1 && is_small(*place);
}

} // namespace

std::shared_ptr<Message> MessagePool::reuse(std::shared_ptr<Message>& place) {
    // The last other holder may have been on another thread: see all it did before it let go.
#ifndef __SANITIZE_THREAD__ // which knows no fences
    std::atomic_thread_fence(std::memory_order_acquire);
#endif
    reset(*place);
    return place;
}

std::shared_ptr<Message> MessagePool::take() {
    ++taken_;
    if (!ring_.empty()) {
        std::shared_ptr<Message>& newest = ring_[next_ == 0 ? ring_.size() - 1 : next_ - 1];
        if (is_free(newest))
            return reuse(newest);
        std::shared_ptr<Message>& oldest = ring_[next_];
        next_ = next_ + 1 == ring_.size() ? 0 : next_ + 1;
        if (is_free(oldest))
            return reuse(oldest);
        if (ring_.size() == kept_max || !is_small(*oldest)) {
            oldest = std::make_shared<Message>(); // whoever holds the old one frees it
            return oldest;
        }
    }
    // Behind the one that was looked at last: the oldest stays next.
    auto made = std::make_shared<Message>();
    ring_.insert(ring_.begin() + static_cast<std::ptrdiff_t>(next_), made);
    next_ = next_ + 1 == ring_.size() ? 0 : next_ + 1;
    return made;
}

void MessagePool::trim() {
    if (ring_.size() > taken_)
        clear();
    taken_ = 0;
}

void MessagePool::clear() {
    ring_.clear();
    ring_.shrink_to_fit();
    next_ = 0;
}

} // namespace brim::mqtt
