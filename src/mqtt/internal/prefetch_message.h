#pragma once

#include "base/message.h"
#include "base/prefetch.h"

namespace brim::mqtt {

/// Brings near what tells how many hold a message, and its first fields. make_shared puts them side by side.
inline void prefetch_message(const Message& message) {
    constexpr std::size_t count_bytes = 16;
    prefetch_object(reinterpret_cast<const char*>(&message) - count_bytes);
}

} // namespace brim::mqtt
