#pragma once
// Whose turn it is to have its first TLS message answered. Private to io.

#include "io/loop.h"

#include <cstdint>
#include <map>
#include <memory>

namespace brim::io {

class TlsStream;

/// Of one server context. The answer to a client's first message is what a handshake costs; all that follows
/// is cheap. When thousands connect at once, answering whoever is there first leaves the second messages of
/// the earlier ones waiting behind the first ones of all, until everybody's time is over and all come again.
/// So only a few are answered in a turn, in the order they came, and what is under way goes before. Loop
/// thread only.
class HelloQueue : public std::enable_shared_from_this<HelloQueue> {
public:
    static constexpr int answers_per_turn_max = 8; ///< 2 ms with ECDSA, 10 with RSA

    /// True when it is the caller's turn at once.
    bool enter(Loop& loop);
    /// After enter() said no: TlsStream::take_turn() is called in a later turn of the loop, unless leave()
    /// is.
    std::uint64_t wait(TlsStream& stream);

    void leave(std::uint64_t number) { waiting_.erase(number); }

private:
    void plan(Loop& loop);
    void end_turn(Loop& loop);
    void run(Loop& loop);

    std::map<std::uint64_t, TlsStream*> waiting_; ///< by number: the order they came in
    std::uint64_t last_ = 0;
    int answered_ = 0; ///< in this turn
    bool is_planned_ = false;
};

} // namespace brim::io
