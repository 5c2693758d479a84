#pragma once
// What time the hub has: a question and an answer (`/ext/ntp/...`), and what the answer means by now.

#include "base/time.h"

#include <optional>
#include <string>
#include <string_view>

namespace brim::edge {

/// One question at a time. No I/O.
class HubClock {
public:
    /// An answer after longer says too little about now.
    static constexpr std::chrono::seconds round_trip_max{10};

    /// The payload of a question asked at `now`, in place of an earlier one.
    std::string ask(Mono now, WallTime wall);
    /// The hub's time at `now`; nothing when the payload is no answer to the last question, or came too late.
    std::optional<WallTime> answer(std::string_view payload, Mono now);

private:
    std::optional<Mono> asked_;
    std::string mark_; ///< deviceSendTime, which the hub repeats
};

} // namespace brim::edge
