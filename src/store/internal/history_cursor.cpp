#include "store/internal/history_cursor.h"

#include "base/bytes.h"

namespace brim::store {

std::string encode_history_cursor(const HistoryKey& key) {
    Bytes raw;
    put_u64(raw, static_cast<std::uint64_t>(key.time_ms));
    put_u64(raw, static_cast<std::uint64_t>(key.seq));
    put_u32(raw, static_cast<std::uint32_t>(key.ordinal));
    return to_hex(raw);
}

Result<HistoryKey> decode_history_cursor(std::string_view text) {
    const auto raw = text.size() == 40 ? from_hex(text) : Result<Bytes>(fail(Errc::invalid, "", ""));
    if (!raw)
        return fail(
            Errc::invalid, "history cursor", "it is not one that a page returned", "start at the first page"
        );
    Reader in(*raw, "history cursor");
    HistoryKey key;
    key.time_ms = static_cast<std::int64_t>(in.u64());
    key.seq = static_cast<std::int64_t>(in.u64());
    key.ordinal = in.u32();
    return key;
}

} // namespace brim::store
