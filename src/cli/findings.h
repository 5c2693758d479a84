#pragma once
// What `brim doctor` found: each finding with what was measured and, unless all is well, how to mend it.

#include "base/json.h"
#include "cli/output.h"

#include <string>
#include <vector>

namespace brim::cli {

enum class Level : unsigned char { good, warning, bad };

struct Finding {
    std::string group;  ///< "storage", "time", "hub", "edge" or "file"
    std::string check;  ///< stable, one of the table in README.md
    std::string object; ///< which of several: a listener, a driver, a file; may be empty
    Level level = Level::good;
    std::string measured;
    std::string fix{}; ///< empty only when the level is good
    Json facts{};      ///< the same for programs: an object, or null
};

class Findings {
public:
    /// A finding that is not good and has no fix is a bug.
    void add(Finding finding);
    bool any_bad() const;
    /// Lines for people, or an array for programs, on stdout. Exit::check_failed when something is bad.
    Exit print(Format format) const;

private:
    std::vector<Finding> findings_;
};

std::string_view level_name(Level level) noexcept;
/// "2.41 ms".
std::string ms_text(double ms);

} // namespace brim::cli
