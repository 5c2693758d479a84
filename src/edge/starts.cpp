#include "edge/starts.h"

#include <algorithm>

namespace brim::edge {

namespace {
constexpr std::uint8_t starts_format = 1;
} // namespace

Result<Starts> Starts::decode(ByteView bytes) {
    Starts starts;
    if (bytes.empty())
        return starts;
    Reader in(bytes, "starts of the edge");
    if (in.u8() != starts_format)
        in.fail(Errc::corrupt, "unknown format");
    while (in.more()) {
        const Start start{in.u64(), in.u64()};
        if (in.ok() && (start.first == 0 || starts.count() == kept_max))
            in.fail(Errc::corrupt, "a start without a number, or too many");
        starts.starts_.push_back(start);
    }
    return in.finish(std::move(starts));
}

Bytes Starts::encode() const {
    Bytes out;
    put_u8(out, starts_format);
    for (const Start& start : starts_) {
        put_u64(out, start.name);
        put_u64(out, start.first);
    }
    return out;
}

void Starts::begin(std::uint64_t name, store::Seq first) {
    starts_.push_back({name, first});
    if (starts_.size() <= kept_max)
        return;
    // The oldest is the one the hub knows, if any. Those after it lose their names, not their numbers.
    starts_[2].first = std::min(starts_[1].first, starts_[2].first);
    starts_.erase(starts_.begin() + 1);
}

bool Starts::known() {
    if (starts_.size() <= 1)
        return false;
    starts_.erase(starts_.begin(), starts_.end() - 1);
    return true;
}

std::string Starts::text() const {
    std::string out;
    for (auto start = starts_.rbegin(); start != starts_.rend(); ++start) {
        Bytes name;
        put_u64(name, start->name);
        out += (out.empty() ? "" : " ") + to_hex(name) + " " + std::to_string(start->first);
    }
    return out;
}

} // namespace brim::edge
