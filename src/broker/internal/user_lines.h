#pragma once
// A password file as lines that can be put together again byte for byte.

#include <cstdint>
#include <string_view>

namespace brim::broker {

/// One line: `raw` with its line end, `text` without.
struct UserLine {
    std::string_view raw;
    std::string_view text;
    std::uint32_t number = 0;
    std::string_view name; ///< before the first ':'; the whole text when there is none
    std::string_view hash; ///< behind it
    bool has_colon = false;

    /// Blank, or begins with #.
    bool is_comment() const noexcept {
        return text.starts_with('#') || text.find_first_not_of(" \t") == std::string_view::npos;
    }

    bool is_scram() const noexcept { return hash.starts_with("SCRAM-"); }
};

/// Gives one line after another.
class UserLines {
public:
    explicit UserLines(std::string_view text) noexcept : rest_(text) {}

    bool next(UserLine& line) noexcept;

private:
    std::string_view rest_;
    std::uint32_t number_ = 0;
};

inline constexpr std::string_view user_file_mark = "\xEF\xBB\xBF"; ///< a byte order mark

} // namespace brim::broker
