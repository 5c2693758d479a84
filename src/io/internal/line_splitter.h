#pragma once
// Output bytes to lines of bounded length. Pure.

#include "base/bytes.h"

#include <optional>

namespace brim::io {

class LineSplitter {
public:
    struct Line {
        Bytes text;
        bool cut = false;
    };

    explicit LineSplitter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

    /// The next complete line of what was kept and `bytes`, from which it takes what it used; empty when
    /// `bytes` is used up without an end of line.
    std::optional<Line> next(ByteView& bytes) {
        const std::size_t end = bytes.find('\n');
        const ByteView part = bytes.substr(0, end);
        const std::size_t room = line_bytes_max_ - line_.text.size();
        line_.text.append(part.substr(0, room));
        line_.cut = line_.cut || part.size() > room;
        if (end == ByteView::npos) {
            bytes = {};
            return std::nullopt;
        }
        bytes.remove_prefix(end + 1);
        return std::exchange(line_, Line());
    }

    /// What came after the last end of line.
    std::optional<Line> rest() {
        if (line_.text.empty())
            return std::nullopt;
        return std::exchange(line_, Line());
    }

private:
    std::size_t line_bytes_max_;
    Line line_;
};

} // namespace brim::io
