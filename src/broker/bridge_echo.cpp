#include "broker/bridge_echo.h"

#include "base/hash.h"

namespace brim::broker {

EchoMemory::Key EchoMemory::key_of(std::string_view topic, ByteView payload) {
    Bytes both;
    both.reserve(topic.size() + payload.size() + 1);
    both.append(topic).append(1, '\0').append(payload); // no topic has a U+0000
    const Bytes hash = digest(Digest::sha256, both);
    Reader in(hash, "hash");
    const std::uint64_t high = in.u64();
    return {high, in.u64()};
}

void EchoMemory::forget_old(Mono now) {
    while (!order_.empty() && (order_.size() > count_max_ || now - order_.front().second > age_max_)) {
        const auto [key, at] = order_.front();
        order_.pop_front();
        const auto place = expected_.find(key);
        if (place == expected_.end() || place->second.front() != at)
            continue;
        place->second.pop_front();
        if (place->second.empty())
            expected_.erase(place);
    }
}

void EchoMemory::sent(std::string_view topic, ByteView payload, Mono now) {
    const Key key = key_of(topic, payload);
    expected_[key].push_back(now);
    order_.emplace_back(key, now);
    forget_old(now);
}

bool EchoMemory::is_echo(std::string_view topic, ByteView payload, Mono now) {
    forget_old(now);
    if (expected_.empty())
        return false;
    const auto place = expected_.find(key_of(topic, payload));
    if (place == expected_.end())
        return false;
    place->second.pop_front();
    if (place->second.empty())
        expected_.erase(place);
    return true;
}

} // namespace brim::broker
