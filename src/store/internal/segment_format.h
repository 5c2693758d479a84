#pragma once
// The bytes of the log: segment header and record head. Pure; every field is big-endian. README.md has the
// tables.

#include "base/bytes.h"
#include "store/log.h"

#include <array>
#include <cstdint>
#include <string>

namespace brim::store {

inline constexpr std::uint32_t format_version = 1;
inline constexpr std::uint32_t header_bytes = 512; ///< the first sector; no record write touches it again
inline constexpr std::uint32_t header_copy_offset = 256;
inline constexpr std::uint32_t record_head_bytes = 20;
inline constexpr std::uint32_t segment_bytes_min = 65'536;
inline constexpr std::uint32_t segment_bytes_max = 67'108'864;
inline constexpr std::size_t store_id_bytes = 16;

/// What the first sector of a segment says. `salt` makes two uses of one file tell apart: it is mixed, with
/// the store id and the number, into the checksum of every record.
struct SegmentHeader {
    std::array<char, store_id_bytes> store_id{};
    std::uint64_t number = 0;
    std::uint64_t salt = 0;
    Seq first_seq = 1;
    std::uint32_t segment_bytes = 0;
    // How the segment before this one ended; zero when there was none. What lies behind that end was never
    // acknowledged and is not read.
    std::uint64_t previous_number = 0;
    Seq previous_end_seq = 0;       ///< number after its last record
    std::uint32_t previous_end = 0; ///< offset after its last record

    bool operator==(const SegmentHeader&) const = default;
    /// Start value of every record checksum in this segment.
    std::uint32_t seed() const noexcept;
};

/// The whole first sector: the header twice, so that one flipped bit does not cost a segment.
void encode_header(const SegmentHeader& header, char* sector);

enum class HeaderState : std::uint8_t {
    valid,
    blank,   ///< empty, short or all zero: a file that was made but never used
    damaged, ///< neither copy passes its checksum
    newer,   ///< written by a later version: hands off
};

struct DecodedHeader {
    HeaderState state = HeaderState::damaged;
    SegmentHeader header;      ///< when valid
    std::uint32_t version = 0; ///< when valid or newer
};

/// `sector` is what could be read of the first 512 bytes.
DecodedHeader decode_header(ByteView sector);

enum class RecordKind : std::uint8_t {
    data = 1,
    cursor = 2, ///< a cursor, or with an empty name the log's own trim point
    close = 3,  ///< end of an orderly shutdown; no body
};

/// Set in the kind byte of the first record of a group: everything before it in the segment was on disk when
/// it was written. A hole before such a record is damage; a hole with none behind it is a torn,
/// unacknowledged tail.
inline constexpr std::uint8_t group_start_flag = 0x80;

struct RecordHead {
    std::uint32_t crc = 0;
    std::uint32_t length = 0; ///< of the body
    Seq seq = 0;              ///< data: its number; others: the number of the next data record
    RecordKind kind = RecordKind::data;
    bool group_start = false;
};

/// Appends head (checksum left zero: the writer seals it) and body.
void append_record(Bytes& out, RecordKind kind, Seq seq, ByteView body);
/// Marks the record that begins at `record` as the first of its group.
void mark_group_start(char* record) noexcept;
/// Fills in the checksum of each record in `records`, which must be whole records made by append_record().
void seal_records(char* records, std::size_t count_bytes, std::uint32_t seed) noexcept;

/// Reads a head from at least record_head_bytes; false when kind or reserved bytes cannot be ours.
bool decode_record_head(const char* at, RecordHead& head) noexcept;
/// Checks the checksum of a whole record (head and body).
bool record_is_intact(ByteView record, std::uint32_t crc, std::uint32_t seed) noexcept;

/// "seg-0000000000000012.log" for number 18.
std::string segment_file_name(std::uint64_t number);
/// The number in such a name, or 0 when the name is not one of a segment.
std::uint64_t segment_number_of(std::string_view file_name) noexcept;

} // namespace brim::store
