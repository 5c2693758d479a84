#pragma once

// BRIM_ASSERT(condition, "what should have held"): a broken invariant of our own. On in release; ends the
// process, because going on with a state nobody understands loses more than a restart.

namespace brim {
[[noreturn]] void
assert_failed(const char* condition, const char* message, const char* file, int line) noexcept;
} // namespace brim

#define BRIM_ASSERT(condition, message)                                                                      \
    do {                                                                                                     \
        if (!(condition)) [[unlikely]]                                                                       \
            ::brim::assert_failed(#condition, message, __FILE__, __LINE__);                                  \
    } while (false)
