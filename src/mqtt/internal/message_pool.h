#pragma once
// Messages whose buffers stay warm: a broker makes one for each PUBLISH, and most live for microseconds.

#include "base/message.h"

#include <memory>
#include <vector>

namespace brim::mqtt {

/// Hands out messages that nobody else holds, the one handed out last if it is free (it is still in the
/// cache), else the oldest, and makes new ones when all are in use. Lives on one loop; the messages may be
/// released on any thread.
class MessagePool {
public:
    static constexpr std::size_t kept_max = 1'024;               ///< messages
    static constexpr std::size_t kept_payload_bytes_max = 2'048; ///< of each; longer ones are freed as ever

    /// A message with the fields of a new one but for topic and payload, which the caller assigns. Give it to
    /// nobody for change: from the first copy of the pointer on it is immutable.
    std::shared_ptr<Message> take();
    /// Gives back the memory of messages that nobody used since the last call. For now and then.
    void trim();
    /// Gives back all that nobody else holds.
    void clear();

    std::size_t kept() const { return ring_.size(); }

private:
    static std::shared_ptr<Message> reuse(std::shared_ptr<Message>& place);

    std::vector<std::shared_ptr<Message>> ring_;
    std::size_t next_ = 0;  ///< the oldest
    std::size_t taken_ = 0; ///< since the last trim()
};

} // namespace brim::mqtt
