#pragma once
// What a checker says of a run.

#include <string>

namespace brim::sim {

struct Violation {
    unsigned law = 0; ///< 1..5 of the README
    std::string text;
};

} // namespace brim::sim
