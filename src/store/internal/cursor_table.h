#pragma once
// The cursors of a log as values, and as records. Pure.

#include "store/internal/segment_format.h"

#include <functional>
#include <map>
#include <set>
#include <string>

namespace brim::store {

inline constexpr std::size_t cursor_name_bytes_max = 64;
inline constexpr std::size_t cursor_extra_bytes_max = 65'536;

/// What trim() reached: kept in the log as the cursor with the empty name.
struct TrimPoint {
    Seq trimmed_to = 0;              ///< all records up to this one are released
    std::uint64_t oldest_number = 0; ///< segments below are free
    Seq oldest_seq = 0;              ///< first record of that segment
};

class CursorTable {
public:
    /// `bytes_max`: what all cursors together may take as records, since each new segment begins with them.
    explicit CursorTable(std::size_t bytes_max) : bytes_max_(bytes_max) {}

    /// Errc::invalid for a bad name, Errc::too_large for a too large extra, Errc::full above bytes_max.
    /// Position 0 without extra removes the cursor.
    Result<void> set(std::string_view name, Seq position, ByteView extra);
    Log::Cursor get(std::string_view name) const;
    void set_trim(const TrimPoint& point);

    const TrimPoint& trim() const { return trim_; }

    bool dirty() const { return trim_dirty_ || !dirty_.empty(); }

    /// Highest position of any cursor.
    Seq highest() const;

    /// Appends every cursor: the head of a new segment, the trim point last. Afterwards nothing is dirty.
    void append_all(Bytes& out, Seq next_seq);
    /// Bytes that append_all() would add.
    std::size_t all_bytes() const;
    /// Calls `place` with the body of each changed cursor; afterwards nothing is dirty.
    void take_dirty(const std::function<void(ByteView)>& place);
    /// Everything has to be written again (the group that carried it failed).
    void mark_all_dirty();

    /// From recovery: a later record replaces an earlier one; damaged bodies are ignored (the checksum held,
    /// so they cannot come from this version).
    void restore(ByteView body);
    /// restore(), but only what is not known yet: for segments older than what was restored before.
    void restore_missing(ByteView body);

    /// True once a trim point was restored: the cursors of that segment are complete.
    bool trim_known() const { return trim_known_; }

private:
    static std::size_t record_bytes(std::string_view name, const Log::Cursor& cursor);
    static Bytes body_of(std::string_view name, const Log::Cursor& cursor);
    Bytes trim_body() const;
    void restore(ByteView body, bool missing_only);

    std::size_t bytes_max_;
    std::size_t bytes_ = 0;
    std::map<std::string, Log::Cursor, std::less<>> cursors_;
    std::set<std::string, std::less<>> dirty_;
    std::set<std::string, std::less<>> removed_; ///< known to be gone while restoring
    TrimPoint trim_;
    bool trim_known_ = false;
    bool trim_dirty_ = false;
};

} // namespace brim::store
