#include "store/internal/disk_log.h"
#include "store/internal/segment_scan.h"

namespace brim::store {

namespace {

class DiskLogReader final : public LogReader {
public:
    DiskLogReader(DiskLog& log, Seq seq) : log_(log), position_(seq) {}

    Result<bool> next(Record& record) override {
        while (true) {
            Segment* const segment = find_segment(log_.segments(), position_);
            if (segment == nullptr) {
                scan_.release_buffer(); // thousands of readers may rest here
                return false;
            }
            const auto ready = enter(*segment);
            if (!ready)
                return fail(ready.error());
            if (!*ready)
                continue;
            const auto step = scan_.next();
            if (!step)
                return fail(step.error());
            if (*step == SegmentScan::Step::end)
                position_ = segment->end_seq;
            if (*step == SegmentScan::Step::damage)
                skip_damage(*segment);
            if (*step != SegmentScan::Step::record)
                continue;
            if (scan_.head().kind != RecordKind::data || scan_.head().seq < position_)
                continue;
            record = {.seq = scan_.head().seq, .body = scan_.body()};
            position_ = record.seq + 1;
            return true;
        }
    }

    void seek(Seq seq) override {
        // Forward inside the segment the scan simply goes on; everything else starts at a segment's head.
        if (seq < position_)
            number_ = 0;
        position_ = seq;
    }

private:
    /// Makes scan_ read `segment`; false when its file is gone, and with it the segment's records.
    Result<bool> enter(Segment& segment) {
        if (segment.number == number_) {
            scan_.extend(segment.end, segment.end_seq);
            return true;
        }
        auto file = log_.disk().open(log_.path(segment.file), io::OpenMode::read);
        if (!file && file.error().code == Errc::not_found) {
            log_.note_damage(segment, {segment.first_seq, segment.end_seq});
            position_ = segment.end_seq;
            return false;
        }
        if (!file)
            return fail(std::move(file).error());
        file_ = std::move(*file);
        number_ = segment.number;
        scan_.reset(
            *file_,
            {.seed = segment.seed,
             .end = segment.end,
             .expected = segment.first_seq,
             .expected_max = segment.end_seq}
        );
        return true;
    }

    void skip_damage(Segment& segment) {
        if (scan_.damage_to() < segment.end) {
            log_.note_damage(segment, {scan_.expected(), scan_.expected() + scan_.lost()});
            return;
        }
        log_.note_damage(segment, {scan_.expected(), segment.end_seq});
        scan_.expect(segment.end_seq);
    }

    DiskLog& log_;
    Seq position_;
    std::uint64_t number_ = 0; ///< of the segment scan_ is in; 0: none
    std::unique_ptr<io::File> file_;
    SegmentScan scan_;
};

} // namespace

std::unique_ptr<LogReader> make_reader(DiskLog& log, Seq seq) {
    return std::make_unique<DiskLogReader>(log, seq);
}

} // namespace brim::store
