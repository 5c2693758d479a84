#pragma once
// What a session log found at its start, until a broker takes it.

#include "mqtt/session_log.h"

namespace brim::mqtt {

struct SessionLog::Recovered {
    RestoredState state;
    bool is_damaged = false; ///< what the disk says is not all of it: it must be written anew
};

} // namespace brim::mqtt
