#pragma once
// Walks the records of one segment in order, in blocks, checking every checksum, and finds its way again
// after damage. Used by recovery, by readers and to verify a segment after a failed sync.

#include "io/disk.h"
#include "store/internal/segment_format.h"

#include <cstdint>
#include <vector>

namespace brim::store {

inline constexpr std::size_t read_block_bytes = 262'144;

class SegmentScan {
public:
    enum class Step : std::uint8_t {
        record, ///< head() and body() are of a valid record
        damage, ///< bytes [damage_from, damage_to) hold no valid record; lost() numbers are missing
        end,
    };

    struct Region {
        std::uint32_t seed = 0;
        std::uint32_t begin = header_bytes;
        std::uint32_t end = 0;      ///< no record reaches beyond
        Seq expected = 1;           ///< number of the first record in the region
        Seq expected_max = ~Seq{0}; ///< no valid record is numbered above
        bool wants_stale = false;   ///< stale_to() is wanted, which costs a checksum of each old record
    };

    /// `file` outlives the scan or is replaced by reset().
    SegmentScan() = default;
    /// Starts over; keeps the buffer.
    void reset(io::File& file, const Region& region);

    /// The region grew (the active segment): goes on from where it stopped.
    void extend(std::uint32_t end, Seq expected_max) {
        region_.end = end;
        region_.expected_max = expected_max;
    }

    /// Damage reached the end of the region; the caller knows which number comes next.
    void expect(Seq expected) { region_.expected = expected; }

    /// Errc::io when nothing of a block can be read; single unreadable pages count as damage.
    Result<Step> next();

    const RecordHead& head() const { return head_; }

    ByteView body() const { return body_; } ///< valid until next() or reset()

    std::uint32_t record_offset() const { return record_offset_; }

    std::uint32_t offset() const { return offset_; } ///< behind what was returned last

    Seq expected() const { return region_.expected; } ///< number the next data record should have

    std::uint32_t damage_from() const { return damage_from_; }

    std::uint32_t damage_to() const { return damage_to_; }

    std::uint64_t lost() const { return lost_; }

    /// Intact records of this segment whose numbers were too high or too low for where they are were passed
    /// over up to here: not served, but another scan, which comes to them from elsewhere, might. 0: there
    /// were none.
    std::uint32_t stale_to() const { return stale_to_; }

    /// Gives the buffer back; for scans that rest.
    void release_buffer();

private:
    Result<bool> load(std::uint32_t offset, std::size_t count);
    Result<void> read_pages(std::uint32_t offset, std::size_t count);
    Result<bool> valid_at(std::uint32_t offset, bool strict);
    /// Moves `at`, where a head is loaded, on to the next loaded head whose kind can be one, or behind the
    /// last one (false). A look at one byte, before anything else: the unused end of a segment is megabytes
    /// of zeros or old bytes.
    bool skip_to_kind(std::uint32_t& at) const;
    Result<Step> resynchronise();
    Result<void> note_stale(std::uint32_t offset, std::size_t size);
    bool is_intact(std::uint32_t offset, std::size_t size) const;
    void take(std::uint32_t offset);

    io::File* file_ = nullptr;
    Region region_;
    std::vector<char> buffer_;
    std::uint32_t buffer_at_ = 0; ///< file offset of buffer_[0]
    std::size_t buffered_ = 0;
    std::uint32_t offset_ = 0;
    std::uint32_t record_offset_ = 0;
    RecordHead head_;
    ByteView body_;
    std::uint32_t damage_from_ = 0;
    std::uint32_t damage_to_ = 0;
    std::uint64_t lost_ = 0;
    std::uint64_t checked_bytes_ = 0; ///< of candidates while looking for the next record
    std::uint32_t stale_to_ = 0;
    std::uint64_t stale_checked_bytes_ = 0;
    bool found_ = false; ///< a record was found behind the damage just reported
};

} // namespace brim::store
