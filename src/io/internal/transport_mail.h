#pragma once
// What one loop tells another at the end of a turn. Private to io.

#include "base/bytes.h"
#include "base/error.h"
#include "io/internal/descriptor.h"
#include "io/internal/peer_record.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace brim::io {

/// A socket between two loops.
struct LooseSocket {
    Descriptor fd;
    PeerRecord peer;
};

/// Filled by one loop, emptied by the other, which fills it for the way back: its memory is used again.
struct TransportMail {
    enum class Kind : std::uint8_t {
        // to the transport loop
        open,  ///< the next of `sockets`
        start, ///< Stream::start() and the like
        write, ///< the next `length` of `bytes`
        pause,
        resume,
        close,
        drop,   ///< the stream is destroyed; its slot may be used again
        credit, ///< `length` bytes of data were taken; of no slot
        // to the home loop
        data,    ///< the next `length` of `bytes`
        gone,    ///< `length` bytes of those written are with the kernel
        full,    ///< Stream::write() has said false
        drained, ///< Stream::write() says true again
        closed,  ///< the next of `ends`
    };

    struct Entry {
        std::uint32_t slot;
        /// To the home loop: of the stream that had the slot then. Another one may have it by now.
        std::uint32_t generation;
        std::uint32_t length;
        Kind kind;
    };

    static constexpr std::size_t kept_bytes_max = 1'024 * 1'024;

    std::vector<Entry> entries;
    Bytes bytes;
    std::vector<LooseSocket> sockets;
    std::vector<Error> ends;

    /// Bytes of one stream that follow each other become one entry.
    void add_bytes(Kind kind, std::uint32_t slot, std::uint32_t generation, ByteView more) {
        bytes.append(more);
        const auto length = static_cast<std::uint32_t>(more.size());
        if (!entries.empty()) {
            Entry& last = entries.back();
            if (last.kind == kind && last.slot == slot && last.generation == generation &&
                last.length <= ~std::uint32_t{0} - length) {
                last.length += length;
                return;
            }
        }
        entries.push_back({slot, generation, length, kind});
    }

    void clear() {
        entries.clear();
        bytes.clear();
        sockets.clear();
        ends.clear();
        if (bytes.capacity() > kept_bytes_max)
            Bytes().swap(bytes);
    }
};

} // namespace brim::io
