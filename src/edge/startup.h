#pragma once
// Which configuration the edge starts on: the files when they are good and can be kept, else the one applied
// before.

#include "edge/applied.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brim::edge {

/// Which configuration runs and where it came from, for status.
struct ConfigState {
    std::string revision;
    WallTime applied_at;                ///< when it was first kept
    bool from_files = true;             ///< else the files were unusable at the start
    bool kept = true;                   ///< the data folder holds it (or `next`)
    std::optional<Error> error;         ///< why the files as they are now do not run
    std::string next;                   ///< revision of what is kept and waits for a start; empty: none
    std::vector<std::string> waits_for; ///< the settings that make it wait
};

/// All an Edge is made of.
struct Startup {
    Configuration configuration;
    ConfigState state;
    std::vector<Error> notes;       ///< told by the log once there is one
    std::unique_ptr<io::File> lock; ///< of the data folder, held for life
};

/// Reads the files; good ones that differ from what was applied are kept before anything runs on them. When
/// they are not good, or cannot be kept, what was applied runs. Takes the data folder's lock. Blocking.
///
/// Errc::invalid: the files are wrong and nothing usable was applied; the cause has both reasons.
/// Errc::busy: another process holds the data folder. Errc::unsupported: a newer brim-edge applied what is
/// there; nothing was written. Else the data folder cannot be made.
Result<Startup>
prepare_start(io::Disk& disk, const ConfigSource& source, WallTime clock, const ReadLimits& limits = {});

} // namespace brim::edge
