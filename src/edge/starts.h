#pragma once
// Which starts of this edge its hub may not know of yet. A log that lost its end gives numbers again; each
// start tells the hub from which number on, and a start that never reached the hub is told by those after it
// (docs/spec/bus.md, "Uplink extension"). Pure.

#include "base/bytes.h"
#include "store/log.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace brim::edge {

class Starts {
public:
    static constexpr std::size_t kept_max = 32; ///< then two are told as one: the hub takes no more

    /// From encode()'s bytes. Errc::corrupt for anything else.
    static Result<Starts> decode(ByteView bytes);
    Bytes encode() const;

    /// This start, named by a random number, whose first report gets the number `first` (at least 1).
    void begin(std::uint64_t name, store::Seq first);
    /// The hub knows this start: the ones before need not be told any more. False when there were none.
    bool known();

    /// The value of `brim-run`: "<16 hex digits> <first number>" of each start, the newest first, with spaces
    /// between.
    std::string text() const;

    std::size_t count() const { return starts_.size(); }

private:
    struct Start {
        std::uint64_t name = 0;
        store::Seq first = 0;
    };

    std::vector<Start> starts_; ///< oldest first
};

} // namespace brim::edge
