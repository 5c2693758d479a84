// The hub's ingress record: whatever decodes must encode to what decodes to the same again.

#include "hub/ingress_record.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const auto decoded = brim::hub::decode_record({reinterpret_cast<const char*>(data), size});
    if (!decoded)
        return 0;
    brim::Bytes again;
    brim::hub::encode_record(*decoded, again);
    const auto twice = brim::hub::decode_record(again);
    if (!twice)
        std::abort();
    brim::Bytes third;
    brim::hub::encode_record(*twice, third);
    if (third != again)
        std::abort();
    return 0;
}
