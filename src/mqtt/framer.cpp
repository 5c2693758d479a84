#include "mqtt/codec.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

struct Header {
    std::uint32_t header_bytes = 0; ///< 0: not complete yet
    std::uint32_t body_bytes = 0;
};

/// Reads a fixed header off the front of `bytes`. The length must be in its shortest form: 3.1.1 does not say
/// so, but no encoder does otherwise, and one spelling per packet keeps lengths comparable.
Decoded<Header> read_header(ByteView bytes) {
    std::uint32_t value = 0;
    for (std::uint32_t i = 1; i < bytes.size() && i <= 4; ++i) {
        const auto byte = static_cast<std::uint8_t>(bytes[i]);
        value |= (byte & 0x7Fu) << (7 * (i - 1));
        if (byte < 0x80) {
            if (byte == 0 && i > 1)
                return refuse_packet(
                    ReasonCode::malformed_packet, "a remaining length is longer than needed"
                );
            return Header{i + 1, value};
        }
    }
    if (bytes.size() >= 5)
        return refuse_packet(ReasonCode::malformed_packet, "a remaining length has more than four bytes");
    return Header{};
}

Frame frame_of(ByteView packet, std::uint32_t header_bytes) {
    const auto first = static_cast<std::uint8_t>(packet[0]);
    return {
        static_cast<PacketType>(first >> 4),
        static_cast<std::uint8_t>(first & 0x0F),
        packet.substr(header_bytes)
    };
}

} // namespace

Decoded<std::optional<Frame>> Framer::next(ByteView& input) {
    if (done_) {
        partial_.reset();
        done_ = false;
    }
    if (partial_)
        return next_partial(input);
    if (input.empty())
        return std::optional<Frame>{};
    if (static_cast<std::uint8_t>(input[0]) >> 4 == 0)
        return refuse_packet(ReasonCode::malformed_packet, "packet type 0");
    const Decoded<Header> header = read_header(input);
    if (!header)
        return std::unexpected<PacketError>(header.error());
    const std::uint64_t whole = std::uint64_t{header->header_bytes} + header->body_bytes;
    if (header->header_bytes != 0 && whole > packet_bytes_max_) {
        return refuse_packet(ReasonCode::packet_too_large, "a packet over the size limit");
    }
    if (header->header_bytes == 0 || whole > input.size()) {
        partial_ = std::make_unique<Bytes>(input);
        input = {};
        return std::optional<Frame>{};
    }
    const Frame frame = frame_of(input.substr(0, whole), header->header_bytes);
    input.remove_prefix(whole);
    return std::optional<Frame>{frame};
}

Decoded<std::optional<Frame>> Framer::next_partial(ByteView& input) {
    for (;;) {
        const Decoded<Header> header = read_header(*partial_);
        if (!header)
            return std::unexpected<PacketError>(header.error());
        if (header->header_bytes == 0) {
            if (input.empty())
                return std::optional<Frame>{};
            partial_->push_back(input.front());
            input.remove_prefix(1);
            continue;
        }
        const std::uint64_t whole = std::uint64_t{header->header_bytes} + header->body_bytes;
        if (whole > packet_bytes_max_)
            return refuse_packet(ReasonCode::packet_too_large, "a packet over the size limit");
        const std::size_t take = std::min<std::size_t>(whole - partial_->size(), input.size());
        partial_->append(input.substr(0, take));
        input.remove_prefix(take);
        if (partial_->size() < whole)
            return std::optional<Frame>{};
        done_ = true;
        return std::optional<Frame>{frame_of(*partial_, header->header_bytes)};
    }
}

} // namespace brim::mqtt
