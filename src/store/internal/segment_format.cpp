#include "store/internal/segment_format.h"

#include "base/hash.h"

#include <algorithm>
#include <cstring>

namespace brim::store {

namespace {

constexpr std::string_view magic = "BRIMLOG\n";
constexpr std::size_t header_crc_offset = 92;
constexpr std::size_t header_used_bytes = 96;

void store_u32(char* at, std::uint32_t value) noexcept {
    value = __builtin_bswap32(value);
    std::memcpy(at, &value, sizeof value);
}

void store_u64(char* at, std::uint64_t value) noexcept {
    value = __builtin_bswap64(value);
    std::memcpy(at, &value, sizeof value);
}

std::uint32_t load_u32(const char* at) noexcept {
    std::uint32_t value = 0;
    std::memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

std::uint64_t load_u64(const char* at) noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}

DecodedHeader decode_copy(ByteView copy) {
    DecodedHeader out;
    if (copy.size() < header_used_bytes || copy.substr(0, magic.size()) != magic)
        return out;
    const char* at = copy.data();
    // Checksum first, version second: a flipped version bit is damage, not a message from the future.
    if (crc32c(copy.substr(0, header_crc_offset)) != load_u32(at + header_crc_offset))
        return out;
    out.version = load_u32(at + 8);
    if (out.version > format_version) {
        out.state = HeaderState::newer;
        return out;
    }
    SegmentHeader& header = out.header;
    header.segment_bytes = load_u32(at + 12);
    std::memcpy(header.store_id.data(), at + 16, store_id_bytes);
    header.number = load_u64(at + 32);
    header.salt = load_u64(at + 40);
    header.first_seq = load_u64(at + 48);
    header.previous_number = load_u64(at + 56);
    header.previous_end_seq = load_u64(at + 64);
    header.previous_end = load_u32(at + 72);
    const bool sane = out.version == format_version && header.number > header.previous_number &&
                      header.first_seq >= 1 && header.segment_bytes >= segment_bytes_min &&
                      header.segment_bytes <= segment_bytes_max && header.previous_end <= segment_bytes_max;
    if (sane)
        out.state = HeaderState::valid;
    return out;
}

} // namespace

std::uint32_t SegmentHeader::seed() const noexcept {
    std::array<char, store_id_bytes + 16> identity{};
    std::memcpy(identity.data(), store_id.data(), store_id_bytes);
    store_u64(identity.data() + store_id_bytes, number);
    store_u64(identity.data() + store_id_bytes + 8, salt);
    return crc32c(ByteView(identity.data(), identity.size()));
}

void encode_header(const SegmentHeader& header, char* sector) {
    std::memset(sector, 0, header_bytes);
    std::memcpy(sector, magic.data(), magic.size());
    store_u32(sector + 8, format_version);
    store_u32(sector + 12, header.segment_bytes);
    std::memcpy(sector + 16, header.store_id.data(), store_id_bytes);
    store_u64(sector + 32, header.number);
    store_u64(sector + 40, header.salt);
    store_u64(sector + 48, header.first_seq);
    store_u64(sector + 56, header.previous_number);
    store_u64(sector + 64, header.previous_end_seq);
    store_u32(sector + 72, header.previous_end);
    store_u32(sector + header_crc_offset, crc32c(ByteView(sector, header_crc_offset)));
    std::memcpy(sector + header_copy_offset, sector, header_used_bytes);
}

DecodedHeader decode_header(ByteView sector) {
    DecodedHeader out = decode_copy(sector);
    if (out.state == HeaderState::damaged && sector.size() > header_copy_offset)
        out = decode_copy(sector.substr(header_copy_offset));
    if (out.state == HeaderState::damaged && std::ranges::all_of(sector, [](char c) { return c == 0; }))
        out.state = HeaderState::blank;
    return out;
}

void append_record(Bytes& out, RecordKind kind, Seq seq, ByteView body) {
    std::array<char, record_head_bytes> head{};
    store_u32(head.data() + 4, static_cast<std::uint32_t>(body.size()));
    store_u64(head.data() + 8, seq);
    head[16] = static_cast<char>(kind);
    out.append(head.data(), head.size());
    out.append(body);
}

void mark_group_start(char* record) noexcept {
    record[16] = static_cast<char>(static_cast<std::uint8_t>(record[16]) | group_start_flag);
}

void seal_records(char* records, std::size_t count_bytes, std::uint32_t seed) noexcept {
    const char* const end = records + count_bytes;
    while (records < end) {
        const std::size_t size = std::size_t{record_head_bytes} + load_u32(records + 4);
        store_u32(records, crc32c(ByteView(records + 4, size - 4), seed));
        records += size;
    }
}

bool decode_record_head(const char* at, RecordHead& head) noexcept {
    const auto kind_byte = static_cast<std::uint8_t>(at[16]);
    const auto kind = static_cast<std::uint8_t>(kind_byte & ~group_start_flag);
    if (kind < 1 || kind > 3 || at[17] != 0 || at[18] != 0 || at[19] != 0)
        return false;
    head.crc = load_u32(at);
    head.length = load_u32(at + 4);
    head.seq = load_u64(at + 8);
    head.kind = static_cast<RecordKind>(kind);
    head.group_start = (kind_byte & group_start_flag) != 0;
    return true;
}

bool record_is_intact(ByteView record, std::uint32_t crc, std::uint32_t seed) noexcept {
    return crc32c(record.substr(4), seed) == crc;
}

std::string segment_file_name(std::uint64_t number) {
    Bytes raw;
    put_u64(raw, number);
    return "seg-" + to_hex(raw) + ".log";
}

std::uint64_t segment_number_of(std::string_view file_name) noexcept {
    if (file_name.size() != 24 || !file_name.starts_with("seg-") || !file_name.ends_with(".log"))
        return 0;
    std::uint64_t number = 0;
    for (const char c : file_name.substr(4, 16)) {
        const bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f'))
            return 0;
        number = number << 4 | static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
    }
    return number;
}

} // namespace brim::store
