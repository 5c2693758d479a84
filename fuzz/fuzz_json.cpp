// Any bytes as JSON: reading ends within the limits, and what was read survives writing and reading again.
#include "base/json.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const brim::JsonLimits limits{.bytes_max = 65'536, .depth_max = 32, .values_max = 4'096};
    const auto parsed = brim::Json::parse(text, limits);
    if (!parsed) {
        // The two refusals that a parser may give, and a place or a reason with each.
        const bool known =
            parsed.error().code == brim::Errc::malformed || parsed.error().code == brim::Errc::too_large;
        if (!known || parsed.error().cause.empty())
            std::abort();
        return 0;
    }
    // Escapes may be longer than what they stand for, so only bytes may grow.
    const brim::JsonLimits again{.bytes_max = 1'048'576, .depth_max = 32, .values_max = 4'096};
    for (const bool pretty : {false, true}) {
        const auto back = brim::Json::parse(parsed->text(pretty), again);
        if (!back || *back != *parsed)
            std::abort();
    }
    std::string escaped;
    brim::json_append_string(escaped, text);
    if (!brim::Json::parse(escaped, again))
        std::abort();
    return 0;
}
