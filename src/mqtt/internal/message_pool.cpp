#include "mqtt/internal/message_pool.h"

#include "mqtt/internal/prefetch_message.h"

#include <atomic>
#include <utility>

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

/// True when nobody else holds it.
bool is_free(const std::shared_ptr<Message>& message) {
    if (message.use_count() != 1)
        return false;
    // The last other holder may have been on another thread: see all it did before it let go.
#ifndef __SANITIZE_THREAD__ // which knows no fences
    std::atomic_thread_fence(std::memory_order_acquire);
#endif
    return true;
}

} // namespace

std::shared_ptr<Message> MessagePool::take() {
    ++taken_;
    std::shared_ptr<Message> taken;
    if (!free_.empty()) {
        taken = std::move(free_.back());
        free_.pop_back();
    } else if (!held_.empty()) {
        std::shared_ptr<Message> oldest = std::move(held_.front());
        held_.pop_front();
        if (!held_.empty())
            prefetch_message(*held_.front()); // for the next call: long in nobody's cache
        if (is_free(oldest))
            taken = std::move(oldest);
        else
            held_.push_back(std::move(oldest)); // the next one has its turn the next time
    }
    if (!taken)
        return std::make_shared<Message>();
    reset(*taken);
    return taken;
}

void MessagePool::give_back(MessagePtr message) {
    if (message->payload.capacity() > kept_payload_bytes_max)
        return;
    // It was made by take(), and is changed when nobody holds it.
    std::shared_ptr<Message> back = std::const_pointer_cast<Message>(std::move(message));
    const bool is_back = is_free(back);
    if (kept() >= kept_max) {
        if (held_.empty())
            return;
        held_.pop_front(); // whoever holds it frees it
    }
    if (is_back)
        free_.push_back(std::move(back));
    else
        held_.push_back(std::move(back));
}

void MessagePool::trim() {
    if (kept() > taken_)
        clear();
    taken_ = 0;
}

void MessagePool::clear() {
    free_ = {};
    held_.release();
}

} // namespace brim::mqtt
