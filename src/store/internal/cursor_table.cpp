#include "store/internal/cursor_table.h"

#include <algorithm>

namespace brim::store {

namespace {
constexpr std::size_t trim_record_bytes = record_head_bytes + 1 + 8 + 16;
} // namespace

std::size_t CursorTable::record_bytes(std::string_view name, const Log::Cursor& cursor) {
    return record_head_bytes + 1 + name.size() + 8 + cursor.extra.size();
}

Bytes CursorTable::body_of(std::string_view name, const Log::Cursor& cursor) {
    Bytes body;
    put_u8(body, static_cast<std::uint8_t>(name.size()));
    body.append(name);
    put_u64(body, cursor.position);
    body.append(cursor.extra);
    return body;
}

Bytes CursorTable::trim_body() const {
    Log::Cursor as_cursor{.position = trim_.trimmed_to, .extra = {}};
    put_u64(as_cursor.extra, trim_.oldest_number);
    put_u64(as_cursor.extra, trim_.oldest_seq);
    return body_of({}, as_cursor);
}

Result<void> CursorTable::set(std::string_view name, Seq position, ByteView extra) {
    const auto object = [&] {
        return "cursor \"" + std::string(name.substr(0, cursor_name_bytes_max)) + "\"";
    };
    if (name.empty() || name.size() > cursor_name_bytes_max)
        return fail(Errc::invalid, object(), "a cursor's name has 1 to 64 bytes", "choose a shorter name");
    if (extra.size() > cursor_extra_bytes_max)
        return fail(
            Errc::too_large, object(), "more than 65,536 bytes of extra data", "keep less beside the position"
        );
    const auto found = cursors_.find(name);
    const std::size_t old_bytes = found == cursors_.end() ? 0 : record_bytes(name, found->second);
    if (position == 0 && extra.empty()) {
        if (found == cursors_.end())
            return {};
        cursors_.erase(found);
        bytes_ -= old_bytes;
        dirty_.emplace(name);
        return {};
    }
    Log::Cursor cursor{.position = position, .extra = Bytes(extra)};
    const std::size_t new_bytes = record_bytes(name, cursor);
    if (bytes_ - old_bytes + new_bytes > bytes_max_)
        return fail(
            Errc::full,
            object(),
            "all cursors together would take more than a quarter of a segment",
            "use larger segments or fewer cursors"
        );
    bytes_ += new_bytes - old_bytes;
    if (found == cursors_.end())
        cursors_.emplace(name, std::move(cursor));
    else
        found->second = std::move(cursor);
    if (!dirty_.contains(name))
        dirty_.emplace(name);
    return {};
}

Log::Cursor CursorTable::get(std::string_view name) const {
    const auto found = cursors_.find(name);
    return found == cursors_.end() ? Log::Cursor{} : found->second;
}

void CursorTable::set_trim(const TrimPoint& point) {
    trim_ = point;
    trim_dirty_ = true;
}

Seq CursorTable::highest() const {
    Seq highest = trim_.trimmed_to;
    for (const auto& [name, cursor] : cursors_)
        highest = std::max(highest, cursor.position);
    return highest;
}

std::size_t CursorTable::all_bytes() const {
    return bytes_ + trim_record_bytes;
}

void CursorTable::append_all(Bytes& out, Seq next_seq) {
    for (const auto& [name, cursor] : cursors_)
        append_record(out, RecordKind::cursor, next_seq, body_of(name, cursor));
    // The trim point comes last: once it is read back, every cursor before it was there too, and a removed
    // one is simply absent.
    append_record(out, RecordKind::cursor, next_seq, trim_body());
    dirty_.clear();
    trim_dirty_ = false;
}

void CursorTable::take_dirty(const std::function<void(ByteView)>& place) {
    const auto dirty = std::exchange(dirty_, {});
    for (const auto& name : dirty)
        place(body_of(name, get(name)));
    if (std::exchange(trim_dirty_, false))
        place(trim_body());
}

void CursorTable::mark_all_dirty() {
    for (const auto& [name, cursor] : cursors_)
        dirty_.insert(name);
    trim_dirty_ = true;
}

void CursorTable::restore(ByteView body, bool missing_only) {
    Reader in(body, "cursor record");
    const ByteView name = in.view(in.u8());
    const Seq position = in.u64();
    const ByteView extra = in.rest();
    if (!in.ok() || name.size() > cursor_name_bytes_max || extra.size() > cursor_extra_bytes_max)
        return;
    if (name.empty()) {
        Reader point(extra, "trim point");
        const TrimPoint read{.trimmed_to = position, .oldest_number = point.u64(), .oldest_seq = point.u64()};
        if (!point.ok() || (missing_only && trim_known_))
            return;
        trim_ = read;
        trim_known_ = true;
        return;
    }
    const auto found = cursors_.find(name);
    if (missing_only && (found != cursors_.end() || removed_.contains(name)))
        return;
    if (found != cursors_.end()) {
        bytes_ -= record_bytes(name, found->second);
        cursors_.erase(found);
    }
    if (position == 0 && extra.empty()) {
        removed_.emplace(name);
        return;
    }
    removed_.erase(std::string(name));
    const auto added = cursors_.emplace(name, Log::Cursor{.position = position, .extra = Bytes(extra)}).first;
    bytes_ += record_bytes(name, added->second);
}

void CursorTable::restore(ByteView body) {
    restore(body, false);
}

void CursorTable::restore_missing(ByteView body) {
    restore(body, true);
}

} // namespace brim::store
