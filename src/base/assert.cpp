#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace brim {

void assert_failed(const char* condition, const char* message, const char* file, int line) noexcept {
    // stderr is unbuffered, so this allocates nothing: the heap may be what is broken.
    std::fprintf(stderr, "%s:%d: broken invariant: %s [%s]\n", file, line, message, condition);
    std::abort();
}

} // namespace brim
