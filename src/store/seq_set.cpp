#include "store/seq_set.h"

#include "base/assert.h"

#include <algorithm>
#include <iterator>

namespace brim::store {

namespace {

void put_leb(Bytes& out, std::uint64_t value) {
    while (value >= 0x80) {
        out.push_back(static_cast<char>(0x80 | (value & 0x7f)));
        value >>= 7;
    }
    out.push_back(static_cast<char>(value));
}

bool take_leb(ByteView& in, std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 63;
         shift += 7) { // 63 bits: numbers stay far below an overflow when added up
        if (in.empty())
            return false;
        const auto byte = static_cast<unsigned char>(in.front());
        in.remove_prefix(1);
        value |= std::uint64_t{byte & 0x7fU} << shift;
        if ((byte & 0x80U) == 0)
            return true;
    }
    return false;
}

} // namespace

std::size_t SeqSet::find(std::uint64_t seq) const {
    const auto at = std::ranges::lower_bound(runs_, seq, {}, &Run::last);
    return static_cast<std::size_t>(std::distance(runs_.begin(), at));
}

bool SeqSet::contains(std::uint64_t seq) const {
    if (seq <= floor_)
        return true;
    const std::size_t at = find(seq);
    return at < runs_.size() && runs_[at].first <= seq;
}

SeqSet::Insert SeqSet::insert(std::uint64_t seq) {
    if (contains(seq))
        return Insert::already;
    if (seq == floor_ + 1) {
        floor_ = seq;
        absorb();
        return Insert::added;
    }
    const std::size_t at = find(seq); // the run above; at - 1 is the one below
    const bool joins_below = at > 0 && runs_[at - 1].last + 1 == seq;
    const bool joins_above = at < runs_.size() && runs_[at].first == seq + 1;
    if (joins_below && joins_above) {
        runs_[at - 1].last = runs_[at].last;
        runs_.erase(runs_.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (joins_below) {
        runs_[at - 1].last = seq;
    } else if (joins_above) {
        runs_[at].first = seq;
    } else {
        if (runs_.size() >= intervals_max_)
            return Insert::full;
        runs_.insert(runs_.begin() + static_cast<std::ptrdiff_t>(at), Run{seq, seq});
    }
    return Insert::added;
}

std::uint64_t SeqSet::raise(std::uint64_t low_wanted) {
    if (low_wanted <= low())
        return 0;
    const std::uint64_t added = missing(low(), low_wanted);
    floor_ = low_wanted - 1;
    absorb();
    return added;
}

bool SeqSet::cut(std::uint64_t first) {
    BRIM_ASSERT(first >= 1, "numbers start at 1");
    if (floor_ >= first) {
        floor_ = first - 1;
        runs_.clear();
        return true;
    }
    const std::size_t at = find(first);
    if (at == runs_.size())
        return false;
    const bool within = runs_[at].first < first;
    if (within)
        runs_[at].last = first - 1;
    runs_.erase(runs_.begin() + static_cast<std::ptrdiff_t>(within ? at + 1 : at), runs_.end());
    return true;
}

void SeqSet::absorb() {
    std::size_t gone = 0;
    while (gone < runs_.size() && runs_[gone].first <= floor_ + 1) {
        floor_ = std::max(floor_, runs_[gone].last);
        ++gone;
    }
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(gone));
}

std::uint64_t SeqSet::next_missing(std::uint64_t from) const {
    from = std::max(from, low());
    const std::size_t at = find(from);
    if (at == runs_.size() || runs_[at].first > from)
        return from;
    return runs_[at].last + 1; // runs never touch: the next number is free
}

std::uint64_t SeqSet::missing(std::uint64_t first, std::uint64_t end) const {
    first = std::max(first, low());
    if (first >= end)
        return 0;
    std::uint64_t inside = 0;
    for (std::size_t i = find(first); i < runs_.size() && runs_[i].first < end; ++i) {
        inside += std::min(runs_[i].last, end - 1) - std::max(runs_[i].first, first) + 1;
    }
    return end - first - inside;
}

Bytes SeqSet::encode(std::size_t bytes_max) const {
    Bytes out;
    std::uint64_t before = floor_;
    for (const Run& run : runs_) {
        const std::size_t size = out.size();
        put_leb(out, run.first - before);
        put_leb(out, run.last - run.first);
        if (out.size() > bytes_max) {
            out.resize(size);
            break;
        }
        before = run.last;
    }
    return out;
}

Result<SeqSet> SeqSet::decode(std::uint64_t floor, ByteView bytes, std::size_t intervals_max) {
    SeqSet set(intervals_max);
    set.floor_ = floor;
    std::uint64_t before = floor;
    while (!bytes.empty()) {
        std::uint64_t gap = 0;
        std::uint64_t length = 0;
        const bool whole = take_leb(bytes, gap) && take_leb(bytes, length);
        // A gap of 1 would touch the run below: encode() never writes it.
        if (!whole || gap < 2 || before > (UINT64_MAX >> 1) - gap ||
            before + gap > (UINT64_MAX >> 1) - length) {
            return fail(Errc::corrupt, "set of record numbers", "bytes are cut off or out of order");
        }
        if (set.runs_.size() >= intervals_max) {
            return fail(Errc::too_large, "set of record numbers", "more runs than the limit");
        }
        set.runs_.push_back({before + gap, before + gap + length});
        before += gap + length;
    }
    return set;
}

} // namespace brim::store
