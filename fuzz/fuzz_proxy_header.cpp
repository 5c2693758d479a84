// Any bytes as a PROXY protocol header: cut anywhere they give the same header, or the same refusal at the
// same byte; no header is longer than its limit, and nothing behind it is taken.
#include "io/proxy_protocol.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

using brim::io::ProxyHeader;
using brim::io::ProxyHeaderLimits;
using brim::io::ProxyHeaderReader;

struct Outcome {
    bool is_whole = false;
    std::string text; ///< of the header, or of the refusal
    std::size_t taken = 0;
    auto operator<=>(const Outcome&) const = default;
};

Outcome run(brim::ByteView wire, std::size_t piece) {
    Outcome outcome;
    ProxyHeaderReader reader;
    while (outcome.taken < wire.size()) {
        brim::ByteView bytes = wire.substr(outcome.taken, piece);
        const std::size_t given = bytes.size();
        const auto is_whole = reader.take(bytes);
        outcome.taken += given - bytes.size();
        if (!is_whole) {
            outcome.text = is_whole.error().text();
            return outcome;
        }
        if (*is_whole) {
            const ProxyHeader& header = reader.header();
            if (!brim::is_utf8(header.text()) || !brim::is_utf8(header.certificate_name))
                std::abort();
            outcome.is_whole = true;
            outcome.text = header.text() + "|" + header.certificate_name + "|" +
                           std::to_string(static_cast<int>(header.source));
            return outcome;
        }
        if (!bytes.empty())
            std::abort(); // asks for more while it has some
    }
    return outcome;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const brim::ByteView wire(reinterpret_cast<const char*>(data), size);
    const Outcome whole = run(wire, size + 1);
    if (whole.taken > ProxyHeaderLimits::binary_bytes_max)
        std::abort();
    if (whole.is_whole && wire.front() == 'P' && whole.taken > ProxyHeaderLimits::line_bytes_max)
        std::abort();
    // Byte by byte, around the binary header's fixed parts (12, 16), and as the input itself says.
    for (const std::size_t piece :
         {std::size_t{1},
          std::size_t{2},
          std::size_t{7},
          std::size_t{12},
          std::size_t{16},
          std::size_t{1} + (size > 0 ? data[size - 1] % 64U : 0U)}) {
        if (run(wire, piece) != whole)
            std::abort();
    }
    // What was taken is needed: a byte less is no header yet, and what follows makes no difference.
    if (whole.is_whole) {
        if (run(wire.substr(0, whole.taken - 1), size).is_whole ||
            run(wire.substr(0, whole.taken), size) != whole)
            std::abort();
    }
    return 0;
}
