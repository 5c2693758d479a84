// What the edge finds on its disk: stored reports, the progress beside them, the applied configuration, its
// starts.
// Whatever decodes must encode to what decodes to the same again.

#include "edge/applied.h"
#include "edge/record.h"
#include "edge/starts.h"
#include "store/seq_set.h"

#include <cstdlib>

namespace {

using namespace brim;

void report(ByteView bytes) {
    const auto decoded = edge::decode_report(bytes);
    if (!decoded)
        return;
    const Bytes again = edge::encode_report(decoded->kind, decoded->time, decoded->topic, decoded->payload);
    if (again != bytes)
        std::abort();
}

void progress(ByteView bytes) {
    constexpr std::size_t runs_max = 64;
    const std::uint64_t floor = bytes.empty() ? 0 : static_cast<unsigned char>(bytes.front());
    const auto decoded = store::SeqSet::decode(floor, bytes.substr(bytes.empty() ? 0 : 1), runs_max);
    if (!decoded)
        return;
    if (decoded->intervals() > runs_max || decoded->low() <= floor)
        std::abort();
    const auto again = store::SeqSet::decode(decoded->low() - 1, decoded->encode(65'536), runs_max);
    if (!again || !(*again == *decoded))
        std::abort();
}

void configuration(ByteView bytes) {
    if (const auto texts = edge::decode_texts(bytes)) {
        const auto twice = edge::decode_texts(edge::encode_texts(*texts));
        if (!twice || edge::encode_texts(*twice) != edge::encode_texts(*texts))
            std::abort();
        // With the checksums right, so that what lies behind them is reached too.
        const auto applied = edge::decode_applied(edge::encode_applied(*texts, WallTime{1}));
        if (!applied || edge::encode_texts(applied->texts) != edge::encode_texts(*texts))
            std::abort();
    }
    (void)edge::decode_applied(bytes);
}

void starts(ByteView bytes) {
    auto decoded = edge::Starts::decode(bytes);
    if (!decoded)
        return;
    if (decoded->count() > edge::Starts::kept_max || (!bytes.empty() && decoded->encode() != bytes))
        std::abort();
    decoded->begin(1, 1);
    if (decoded->count() == 0 || decoded->count() > edge::Starts::kept_max || decoded->text().empty())
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0)
        return 0;
    const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        report(bytes);
        break;
    case 1:
        progress(bytes);
        break;
    case 2:
        starts(bytes);
        break;
    default:
        configuration(bytes);
    }
    return 0;
}
