#pragma once
// What a target holds to be true. Says where it was not, then ends the process: libFuzzer keeps the input.

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace brim::fuzz {

inline void require(bool holds, const std::source_location& place = std::source_location::current()) {
    if (holds)
        return;
    std::fprintf(stderr, "%s:%u: does not hold\n", place.file_name(), static_cast<unsigned>(place.line()));
    std::abort();
}

} // namespace brim::fuzz
