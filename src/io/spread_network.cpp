#include "io/spread_network.h"

#include "base/assert.h"
#include "io/internal/transport_loop.h"

#include <algorithm>
#include <utility>

namespace brim::io {

SpreadNetwork::SpreadNetwork(EpollLoop& home, SocketNetwork& below, Log& log, unsigned loops)
    : home_(home), below_(below), log_(log), loops_max_(loops) {
    BRIM_ASSERT(loops >= 1 && loops <= SpreadLimits::loops_max, "a network is spread over 1 to 64 loops");
}

SpreadNetwork::~SpreadNetwork() = default;

Result<std::unique_ptr<Listener>> SpreadNetwork::listen(const Endpoint& at, Accepted accepted) {
    return below_.listen(at, [this, accepted = std::move(accepted)](std::unique_ptr<Stream> stream) {
        accepted(emptiest().take(SocketNetwork::take_apart(std::move(stream))));
    });
}

std::unique_ptr<Connecting> SpreadNetwork::connect(const Endpoint& to, Duration timeout, Connected done) {
    return below_.connect(to, timeout, std::move(done));
}

void SpreadNetwork::release_buffers() {
    for (const auto& loop : loops_)
        loop->release_buffers();
}

TransportLoop& SpreadNetwork::emptiest() {
    if (loops_.size() < loops_max_) {
        loops_.push_back(
            std::make_unique<TransportLoop>(home_, log_, static_cast<unsigned>(loops_.size() + 1))
        );
        return *loops_.back();
    }
    return **std::ranges::min_element(loops_, {}, [](const auto& loop) { return loop->streams(); });
}

} // namespace brim::io
