#pragma once
// Messages whose buffers stay warm: a broker makes one for each PUBLISH, and most live for microseconds.

#include "base/message.h"
#include "mqtt/internal/ring.h"

#include <memory>
#include <vector>

namespace brim::mqtt {

/// Hands out messages that nobody else holds: the one given back last if it is free (it is still in the
/// cache), else the one that was in somebody's hands longest, and makes new ones when all are in use. Moves
/// pointers and copies none, for counting owners costs two locked operations. Lives on one loop; the messages
/// may be released on any thread.
class MessagePool {
public:
    static constexpr std::size_t kept_max = 1'024;               ///< messages
    static constexpr std::size_t kept_payload_bytes_max = 2'048; ///< of each; longer ones are freed as ever

    /// A message with the fields of a new one but for topic and payload, which the caller assigns. Give it to
    /// nobody for change: from the first copy of the pointer on it is immutable.
    std::shared_ptr<Message> take();
    /// Once it was handed to whom it is for, who may hold it on. One that does not come back is freed as any
    /// other.
    void give_back(MessagePtr message);
    /// Gives back the memory of messages that nobody used since the last call. For now and then.
    void trim();
    /// Gives back all that nobody else holds.
    void clear();

    std::size_t kept() const { return free_.size() + held_.size(); }

private:
    std::vector<std::shared_ptr<Message>> free_;
    Ring<std::shared_ptr<Message>> held_; ///< by others too when they came back, the oldest first
    std::size_t taken_ = 0;               ///< since the last trim()
};

} // namespace brim::mqtt
