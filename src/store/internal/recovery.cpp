#include "store/internal/recovery.h"

#include "store/internal/segment_scan.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace brim::store {

namespace {

struct Candidate {
    std::string file;
    DecodedHeader decoded;
};

/// The end of the last segment.
struct Tail {
    std::uint32_t group = 0;    ///< where the last group begins; 0: it came with the header
    std::uint32_t stale_to = 0; ///< intact records behind a torn place reach to here; 0: there are none
};

class Recovery {
public:
    Recovery(const RecoveryInput& input, CursorTable& cursors) : in_(input), cursors_(cursors) {}

    Result<Recovered> run() {
        BRIM_TRY(read_headers());
        choose_store_id();
        BRIM_TRY(set_aside());
        BRIM_TRY(read_last());
        BRIM_TRY(walk_chain());
        out_.next_seq = std::max(out_.next_seq + numbers_skipped_, cursors_.highest() + 1);
        return std::move(out_);
    }

private:
    std::string path(const std::string& file) const { return in_.options.folder + "/" + file; }

    void warn(std::string_view message, const std::string& file) {
        in_.log.warn("store", message, {{"log", in_.options.name}, {"file", file}});
    }

    Result<void> read_headers();
    void choose_store_id();
    Result<void> set_aside();
    Result<void> quarantine(const std::string& file);
    Result<void> read_last();
    Result<Tail> scan_last(io::File& file, Segment& segment);
    Result<void> make_safe(io::File& file, const Segment& segment, const Tail& tail);
    Result<void> cursors_from(const Candidate& candidate, std::uint32_t end);
    Result<void> walk_chain();
    Result<void> scan_orphan(Segment& segment);
    void note_missing(SeqRange range, std::string_view message, const std::string& file);

    const RecoveryInput& in_;
    CursorTable& cursors_;
    Recovered out_;
    std::uint64_t numbers_skipped_ = 0; ///< that a lost newest segment may have used
    std::vector<Candidate> candidates_;
    std::vector<Candidate> segments_; ///< of this store, one for each number, by number
};

Result<void> Recovery::read_headers() {
    auto names = in_.disk.list(in_.options.folder);
    if (!names)
        return fail(names.error());
    for (auto& name : *names) {
        const auto number = segment_number_of(name);
        if (number == 0)
            continue;
        out_.next_number = std::max(out_.next_number, number + 1);
        auto file = in_.disk.open(path(name), io::OpenMode::read);
        if (!file)
            return fail(file.error());
        std::array<char, header_bytes> sector{};
        const auto got = (*file)->read_at(0, std::span(sector.data(), sector.size()));
        Candidate candidate{.file = std::move(name), .decoded = {}};
        // A first sector that cannot be read is damage like any other; the rest of the store is worth opening
        // for.
        if (got)
            candidate.decoded = decode_header(ByteView(sector.data(), *got));
        if (candidate.decoded.state == HeaderState::newer)
            return fail(
                Errc::unsupported,
                "segment \"" + path(candidate.file) + "\"",
                "format " + std::to_string(candidate.decoded.version) + " is newer than this program's " +
                    std::to_string(format_version),
                "start the version that wrote it, or a later one"
            );
        if (candidate.decoded.state == HeaderState::valid)
            out_.next_number = std::max(out_.next_number, candidate.decoded.header.number + 1);
        candidates_.push_back(std::move(candidate));
    }
    return {};
}

void Recovery::choose_store_id() {
    // Segments of another store may have been copied in: the majority is at home, on a tie the highest
    // number.
    std::map<std::array<char, store_id_bytes>, std::pair<std::size_t, std::uint64_t>> votes;
    for (const auto& [file, decoded] : candidates_) {
        if (decoded.state != HeaderState::valid)
            continue;
        auto& [count, number] = votes[decoded.header.store_id];
        ++count;
        number = std::max(number, decoded.header.number);
    }
    std::pair<std::size_t, std::uint64_t> best{0, 0};
    for (const auto& [id, vote] : votes) {
        if (vote <= best)
            continue;
        best = vote;
        out_.store_id = id;
    }
    if (best.first > 0)
        return;
    for (std::size_t at = 0; at < store_id_bytes; at += 8) {
        const std::uint64_t part = in_.random.u64();
        std::memcpy(out_.store_id.data() + at, &part, sizeof part);
    }
}

Result<void> Recovery::quarantine(const std::string& file) {
    std::string target = path(file) + ".quarantine";
    for (unsigned copy = 2; in_.disk.exists(target); ++copy)
        target = path(file) + "." + std::to_string(copy) + ".quarantine";
    BRIM_TRY(in_.disk.rename(path(file), target));
    ++out_.quarantined_segments;
    return in_.disk.sync_dir(in_.options.folder);
}

Result<void> Recovery::set_aside() {
    std::map<std::uint64_t, Candidate> by_number;
    for (auto& candidate : candidates_) {
        const auto& header = candidate.decoded.header;
        if (candidate.decoded.state == HeaderState::blank) {
            out_.free_files.push_back(candidate.file);
            continue;
        }
        if (candidate.decoded.state != HeaderState::valid || header.store_id != out_.store_id) {
            warn(
                candidate.decoded.state == HeaderState::valid ? "segment of another store set aside"
                                                              : "segment with a damaged header set aside",
                candidate.file
            );
            BRIM_TRY(quarantine(candidate.file));
            continue;
        }
        if (header.number != segment_number_of(candidate.file))
            warn("segment under another one's name", candidate.file);
        const auto [held, added] = by_number.try_emplace(header.number, candidate);
        if (added)
            continue;
        // Two files say they are the same segment: the one under the right name stays.
        if (header.number == segment_number_of(candidate.file))
            std::swap(held->second, candidate);
        warn("second copy of a segment set aside", candidate.file);
        BRIM_TRY(quarantine(candidate.file));
    }
    for (auto& [number, candidate] : by_number)
        segments_.push_back(std::move(candidate));
    const std::uint64_t newest = segments_.empty() ? 0 : segments_.back().decoded.header.number;
    for (const auto& candidate : candidates_)
        // Its record numbers were given out once; consumers would take new records under them for old ones.
        if (candidate.decoded.state == HeaderState::damaged && segment_number_of(candidate.file) > newest)
            numbers_skipped_ += segment_bytes_max / record_head_bytes;
    return {};
}

Segment segment_of(const Candidate& candidate) {
    const auto& header = candidate.decoded.header;
    return Segment{
        .file = candidate.file,
        .number = header.number,
        .seed = header.seed(),
        .segment_bytes = header.segment_bytes,
        .first_seq = header.first_seq,
        .end_seq = header.first_seq,
        .end = header_bytes,
    };
}

Result<void> Recovery::read_last() {
    if (segments_.empty())
        return {};
    const Candidate& last = segments_.back();
    Segment segment = segment_of(last);
    auto file = in_.disk.open(path(last.file), io::OpenMode::write);
    if (!file)
        return fail(file.error());
    // What a killed process had written may be in the page cache only; before it is served, it must be safe.
    BRIM_TRY((*file)->sync());
    // So must its name: a rotation that failed at the very end leaves a segment whose name no sync has
    // covered.
    BRIM_TRY(in_.disk.sync_dir(in_.options.folder));
    const auto size = (*file)->size();
    if (!size)
        return fail(size.error());
    const auto tail = scan_last(**file, segment);
    if (!tail)
        return fail(tail.error());
    BRIM_TRY(make_safe(**file, segment, *tail));
    if (*size < segment.segment_bytes) {
        warn("shortened segment made whole again", last.file);
        BRIM_TRY((*file)->allocate(segment.segment_bytes));
        BRIM_TRY((*file)->sync());
    }
    if ((!cursors_.trim_known() || !segment.damaged.empty()) && segments_.size() > 1) {
        const auto& previous = segments_[segments_.size() - 2];
        const auto& header = last.decoded.header;
        const bool in_chain = previous.decoded.header.number == header.previous_number;
        BRIM_TRY(
            cursors_from(previous, in_chain ? header.previous_end : previous.decoded.header.segment_bytes)
        );
        cursors_.mark_all_dirty();
    }
    out_.active = std::move(*file);
    out_.next_seq = segment.end_seq;
    out_.segments.push_back(std::move(segment));
    return {};
}

Result<Tail> Recovery::scan_last(io::File& file, Segment& segment) {
    SegmentScan scan;
    scan.reset(
        file,
        {.seed = segment.seed,
         .end = segment.segment_bytes,
         .expected = segment.first_seq,
         .wants_stale = true}
    );

    // Records behind a hole count only once a later group shows that everything before it had been on disk;
    // until then they are kept apart.
    struct Hole {
        SeqRange lost;
        std::uint32_t from;
    };

    std::vector<Hole> open_holes;
    Tail tail;
    std::vector<Bytes> held_back;
    while (true) {
        const auto step = scan.next();
        if (!step)
            return fail(step.error());
        if (*step == SegmentScan::Step::end)
            break;
        if (*step == SegmentScan::Step::damage) {
            if (scan.damage_to() == segment.segment_bytes)
                break; // nothing valid follows: the tail
            open_holes.push_back({{scan.expected(), scan.expected() + scan.lost()}, scan.damage_from()});
            continue;
        }
        if (scan.head().group_start && !open_holes.empty()) {
            for (const auto& hole : open_holes) {
                out_.quarantined_records += segment.add_damage(hole.lost);
                note_missing(hole.lost, "damaged records skipped", segment.file);
            }
            open_holes.clear();
            for (const auto& body : held_back)
                cursors_.restore(body);
            held_back.clear();
        }
        if (!open_holes.empty()) {
            tail.stale_to = scan.offset();
            if (scan.head().kind == RecordKind::cursor)
                held_back.emplace_back(scan.body());
            continue;
        }
        if (scan.head().kind == RecordKind::cursor)
            cursors_.restore(scan.body());
        if (scan.head().group_start)
            tail.group = scan.record_offset() == header_bytes ? 0 : scan.record_offset();
        segment.end = scan.offset();
        segment.end_seq = scan.expected();
    }
    if (open_holes.empty())
        tail.stale_to = 0;
    tail.stale_to = std::max(tail.stale_to, scan.stale_to());
    return tail;
}

Result<void> zero_out(io::File& file, std::uint32_t from, std::uint32_t to) {
    const Bytes zeros(std::min<std::size_t>(to - from, 65'536), '\0');
    while (from < to) {
        const auto count = std::min<std::size_t>(zeros.size(), to - from);
        BRIM_TRY(file.write_at(from, ByteView(zeros).substr(0, count)));
        from += static_cast<std::uint32_t>(count);
    }
    return {};
}

Result<void> Recovery::make_safe(io::File& file, const Segment& segment, const Tail& tail) {
    // Groups before the last one were on disk before the next was begun. The last one may have met a sync
    // that failed, after which a kill: then it reads well and is nowhere but in memory.
    BRIM_TRY(io::rewrite(file, tail.group, segment.end));
    const std::uint32_t stale_to = std::max(tail.stale_to, segment.end);
    if (stale_to > segment.end) {
        // Valid records behind the torn place were never acknowledged. Left there, they could come back to
        // life behind records yet to be written.
        warn("torn, unacknowledged tail cut off", segment.file);
        BRIM_TRY(zero_out(file, segment.end, stale_to));
    }
    auto synced = file.sync();
    // The next start reads these zeros and cannot know what they hide: written again, its first sync takes
    // them.
    if (!synced)
        (void)zero_out(file, segment.end, stale_to);
    return synced;
}

Result<void> Recovery::cursors_from(const Candidate& candidate, std::uint32_t end) {
    auto file = in_.disk.open(path(candidate.file), io::OpenMode::read);
    if (!file)
        return fail(file.error());
    const Segment segment = segment_of(candidate);
    SegmentScan scan;
    scan.reset(**file, {.seed = segment.seed, .end = end, .expected = segment.first_seq});
    std::vector<Bytes> bodies;
    while (true) {
        const auto step = scan.next();
        if (!step)
            return fail(step.error());
        if (*step == SegmentScan::Step::end)
            break;
        if (*step == SegmentScan::Step::record && scan.head().kind == RecordKind::cursor)
            bodies.emplace_back(scan.body());
    }
    // Newest first: the first one seen of each name is the one that counts.
    for (auto body = bodies.rbegin(); body != bodies.rend(); ++body)
        cursors_.restore_missing(*body);
    return {};
}

void Recovery::note_missing(SeqRange range, std::string_view message, const std::string& file) {
    in_.log.error(
        "store",
        message,
        {{"log", in_.options.name}, {"file", file}, {"first_seq", range.first}, {"records", range.count()}}
    );
}

Result<void> Recovery::scan_orphan(Segment& segment) {
    // The segment that would tell where this one ends is gone: read on as long as there are records.
    auto file = in_.disk.open(path(segment.file), io::OpenMode::read);
    if (!file)
        return fail(file.error());
    SegmentScan scan;
    scan.reset(**file, {.seed = segment.seed, .end = segment.segment_bytes, .expected = segment.first_seq});
    while (true) {
        const auto step = scan.next();
        if (!step)
            return fail(step.error());
        if (*step == SegmentScan::Step::end)
            return {};
        if (*step != SegmentScan::Step::record)
            continue;
        segment.end = scan.offset();
        segment.end_seq = scan.expected();
    }
}

Result<void> Recovery::walk_chain() {
    if (segments_.empty())
        return {};
    const SegmentHeader* after = &segments_.back().decoded.header;
    const TrimPoint trim = cursors_.trim();
    for (std::size_t at = segments_.size() - 1; at-- > 0;) {
        const Candidate& candidate = segments_[at];
        const auto& header = candidate.decoded.header;
        if (header.number < trim.oldest_number || header.number > after->previous_number) {
            // Released, or given up after a failed write before anything in it was acknowledged.
            out_.free_files.push_back(candidate.file);
            continue;
        }
        Segment segment = segment_of(candidate);
        if (header.number == after->previous_number) {
            segment.end = after->previous_end;
            segment.end_seq = after->previous_end_seq;
        } else {
            BRIM_TRY(scan_orphan(segment));
            const SeqRange missing{segment.end_seq, after->first_seq};
            out_.quarantined_records += missing.count();
            note_missing(missing, "segment missing", segment_file_name(after->previous_number));
        }
        out_.segments.push_front(std::move(segment));
        after = &header;
    }
    if (after->previous_number >= std::max<std::uint64_t>(trim.oldest_number, 1)) {
        const SeqRange missing{std::max<Seq>(trim.oldest_seq, 1), after->first_seq};
        out_.quarantined_records += missing.count();
        note_missing(missing, "oldest segment missing", segment_file_name(after->previous_number));
    }
    return {};
}

} // namespace

Result<Recovered> recover(const RecoveryInput& input, CursorTable& cursors) {
    Recovery recovery(input, cursors);
    return recovery.run();
}

} // namespace brim::store
