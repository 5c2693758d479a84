#include "store/internal/segment_scan.h"

#include <algorithm>
#include <cstring>

namespace brim::store {

namespace {
constexpr std::size_t page_bytes = 4096;
/// A payload could imitate many record heads; looking for the next record never costs more than this many
/// passes.
constexpr std::uint64_t resynchronise_passes_max = 16;
/// The same for intact records that are only to be cleared away: they do not overlap, one pass would do.
constexpr std::uint64_t stale_passes_max = 2;
} // namespace

void SegmentScan::reset(io::File& file, const Region& region) {
    file_ = &file;
    region_ = region;
    offset_ = region.begin;
    buffered_ = 0;
    found_ = false;
    lost_ = 0;
    stale_to_ = 0;
    stale_checked_bytes_ = 0;
}

void SegmentScan::release_buffer() {
    buffer_ = {};
    buffered_ = 0;
}

Result<void> SegmentScan::read_pages(std::uint32_t offset, std::size_t count) {
    // A bad sector must not hide its neighbours: unreadable pages become zeros, which no record passes.
    std::size_t readable = 0;
    std::fill_n(buffer_.begin(), count, char{0});
    Error last;
    for (std::size_t at = 0; at < count; at += page_bytes) {
        const std::size_t size = std::min(page_bytes, count - at);
        const auto got = file_->read_at(offset + at, std::span(buffer_.data() + at, size));
        if (got)
            ++readable;
        else
            last = got.error();
    }
    buffered_ = count;
    if (readable == 0)
        return fail(std::move(last));
    return {};
}

Result<bool> SegmentScan::load(std::uint32_t offset, std::size_t count) {
    if (offset + count > region_.end)
        return false;
    if (offset >= buffer_at_ && offset + count <= buffer_at_ + buffered_)
        return true;
    const std::size_t want = std::min<std::size_t>(std::max(count, read_block_bytes), region_.end - offset);
    if (buffer_.size() < want)
        buffer_.resize(want);
    buffer_at_ = offset;
    buffered_ = 0;
    const auto got = file_->read_at(offset, std::span(buffer_.data(), want));
    if (got)
        buffered_ = *got;
    else
        BRIM_TRY(read_pages(offset, want));
    return buffered_ >= count;
}

void SegmentScan::take(std::uint32_t offset) {
    record_offset_ = offset;
    offset_ = offset + record_head_bytes + head_.length;
    body_ = ByteView(buffer_.data() + (offset - buffer_at_) + record_head_bytes, head_.length);
    region_.expected = head_.seq + (head_.kind == RecordKind::data ? 1 : 0);
}

Result<bool> SegmentScan::valid_at(std::uint32_t offset, bool strict) {
    auto has_head = load(offset, record_head_bytes);
    if (!has_head || !*has_head)
        return has_head;
    if (!decode_record_head(buffer_.data() + (offset - buffer_at_), head_))
        return false;
    if (head_.length > region_.end - offset - record_head_bytes)
        return false;
    // After damage at least one head's worth of bytes stands for each missing number.
    const std::uint64_t skipped = strict ? 0 : (offset - damage_from_) / record_head_bytes;
    const bool can_be_here = head_.seq >= region_.expected && head_.seq - region_.expected <= skipped &&
                             head_.seq <= region_.expected_max;
    const std::size_t size = std::size_t{record_head_bytes} + head_.length;
    if (!can_be_here) {
        if (region_.wants_stale)
            BRIM_TRY(note_stale(offset, size));
        return false;
    }
    auto whole = load(offset, size);
    if (!whole || !*whole)
        return whole;
    checked_bytes_ += size;
    return is_intact(offset, size);
}

bool SegmentScan::is_intact(std::uint32_t offset, std::size_t size) const {
    return record_is_intact(ByteView(buffer_.data() + (offset - buffer_at_), size), head_.crc, region_.seed);
}

Result<void> SegmentScan::note_stale(std::uint32_t offset, std::size_t size) {
    // A budget of its own: what is only to be cleared away must not keep us from finding what is to be
    // served.
    if (stale_checked_bytes_ > stale_passes_max * region_.end) {
        stale_to_ = region_.end;
        return {};
    }
    stale_checked_bytes_ += size;
    const auto whole = load(offset, size);
    if (!whole)
        return fail(whole.error());
    if (*whole && is_intact(offset, size))
        stale_to_ = std::max(stale_to_, offset + static_cast<std::uint32_t>(size));
    return {};
}

Result<SegmentScan::Step> SegmentScan::next() {
    if (found_) {
        // The record behind the damage was checked before the damage was reported.
        found_ = false;
        take(record_offset_);
        return Step::record;
    }
    if (offset_ >= region_.end)
        return Step::end;
    const auto valid = valid_at(offset_, true);
    if (!valid)
        return fail(valid.error());
    if (!*valid)
        return resynchronise();
    take(offset_);
    return Step::record;
}

bool SegmentScan::skip_to_kind(std::uint32_t& at) const {
    const std::uint32_t end = buffer_at_ + static_cast<std::uint32_t>(buffered_) - record_head_bytes + 1;
    for (; at < end; ++at) {
        const auto kind = static_cast<std::uint8_t>(buffer_[at - buffer_at_ + 16]) & 0x7f;
        if (kind >= 1 && kind <= 3)
            return true;
    }
    return false;
}

Result<SegmentScan::Step> SegmentScan::resynchronise() {
    damage_from_ = offset_;
    checked_bytes_ = 0;
    const std::uint64_t budget = resynchronise_passes_max * region_.end;
    const std::uint32_t last = region_.end < record_head_bytes ? 0 : region_.end - record_head_bytes;
    for (std::uint32_t at = offset_ + 1; at <= last && checked_bytes_ <= budget;) {
        auto has_head = load(at, record_head_bytes);
        if (!has_head)
            return fail(has_head.error());
        if (!*has_head)
            break;
        if (!skip_to_kind(at))
            continue;
        const auto valid = valid_at(at, false);
        if (!valid)
            return fail(valid.error());
        if (!*valid) {
            ++at;
            continue;
        }
        found_ = true;
        record_offset_ = at;
        damage_to_ = at;
        lost_ = head_.seq - region_.expected;
        return Step::damage;
    }
    damage_to_ = region_.end;
    offset_ = region_.end;
    lost_ = 0;
    return Step::damage;
}

} // namespace brim::store
