// Any bytes as WebSocket frames: cut in two anywhere they give the same messages, within the limits; text is
// UTF-8, and nothing follows a close.
#include "io/websocket_codec.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

using Event = brim::io::WebSocketCodec::Event;

const brim::io::WebSocketLimits limits{.message_bytes_max = 512, .fragments_max = 8};

std::string run(brim::ByteView wire, std::size_t split) {
    brim::io::WebSocketCodec codec(limits);
    std::string seen;
    bool closed = false;
    for (const auto part : {wire.substr(0, split), wire.substr(split)}) {
        for (const auto& event : codec.receive(part)) {
            const bool text = event.kind == Event::Kind::text;
            if (closed || event.payload.size() > limits.message_bytes_max ||
                (text && !brim::is_utf8(event.payload)))
                std::abort();
            closed = event.kind == Event::Kind::closed;
            // How a conversation ends is left out: wslay 1.1.1 judges a close reason differently when the
            // frame is cut inside its code, so the same close may be told with its own code or with 1007,
            // sooner or later.
            if (!closed)
                seen += std::to_string(static_cast<int>(event.kind)) + " " + event.payload + "\n";
        }
        if (closed != codec.over())
            std::abort();
    }
    codec.send_binary("after whatever came");
    codec.close(brim::io::WsClose::normal, "done");
    if (codec.take_output().empty() && !wire.empty() && !closed)
        std::abort();
    return seen;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2)
        return 0;
    const brim::ByteView wire(reinterpret_cast<const char*>(data) + 2, size - 2);
    const std::size_t split = (data[0] * 256U + data[1]) % (wire.size() + 1);
    if (run(wire, wire.size()) != run(wire, split))
        std::abort();
    return 0;
}
