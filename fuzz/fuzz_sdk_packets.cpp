// What a driver reads from the local bus: any bytes at any split give the same packets, inside of the buffer.

extern "C" {
#include "packet.h"
}

#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

constexpr std::size_t size_max = 4'096;

bool inside(const packet_view& view, const std::uint8_t* data, std::size_t size) {
    const auto* begin = reinterpret_cast<const char*>(data);
    return view.size == 0 || (view.text >= begin && view.text + view.size <= begin + size);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    std::size_t at = 0;
    while (at < size) {
        packet whole{};
        const long taken = packet_read(data + at, size - at, size_max, &whole);
        if (taken <= 0) {
            break;
        }
        const auto length = static_cast<std::size_t>(taken);
        if (length > size - at || length > size_max + 5)
            std::abort();
        if (whole.type == PACKET_PUBLISH &&
            !(inside(whole.topic, data + at, length) && inside(whole.payload, data + at, length)))
            std::abort();
        // Of a part of it, copied so that a read behind its end is seen, more is wanted and nothing else.
        const std::size_t part = length / 2;
        const std::vector<std::uint8_t> half(data + at, data + at + part);
        packet unfinished{};
        if (packet_read(half.data(), half.size(), size_max, &unfinished) > 0)
            std::abort();
        at += length;
    }
    return 0;
}
