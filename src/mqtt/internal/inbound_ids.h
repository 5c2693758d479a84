#pragma once
// The QoS 2 packet ids of one session between PUBLISH and PUBREL, in the order they came.

#include "mqtt/broker.h"
#include "mqtt/internal/ring.h"
#include "mqtt/journal.h"

#include <bitset>
#include <memory>

namespace brim::mqtt {

/// A QoS 2 packet id between PUBLISH and PUBREL.
struct InboundQos2 {
    std::uint16_t packet_id = 0;
    /// Asked for on the present connection: what counts against Receive Maximum, for a client begins each
    /// connection with its whole send quota (MQTT 5 section 4.9).
    bool is_counted = false;
    AckToken pending = 0;     ///< 0: the host has decided
    JournalNumber number = 0; ///< what was written of it
};

/// Clients count their ids up and release them in order: then nothing is searched. Each id is there at most
/// once.
class InboundIds {
public:
    static constexpr std::size_t none = ~std::size_t{0};

    bool empty() const { return ring_.empty(); }

    std::size_t size() const { return ring_.size(); }

    /// Of them, those asked for on the present connection.
    std::size_t counted() const { return counted_; }

    InboundQos2& operator[](std::size_t i) { return ring_[i]; }

    /// Its place, or `none`.
    std::size_t find(std::uint16_t packet_id) {
        if (held_ && !held_->test(packet_id))
            return none;
        if (ring_.empty())
            return none;
        const auto distance = static_cast<std::uint16_t>(packet_id - ring_.front().packet_id);
        if (distance < ring_.size() && ring_[distance].packet_id == packet_id)
            return distance;
        for (std::size_t i = 0; i < ring_.size(); ++i) {
            if (ring_[i].packet_id == packet_id)
                return i;
        }
        return none;
    }

    /// `packet_id` is not among them.
    void push_back(std::uint16_t packet_id, bool is_counted, AckToken pending) {
        ring_.push_back({packet_id, is_counted, pending, 0});
        counted_ += is_counted ? 1 : 0;
        if (held_) {
            held_->set(packet_id);
        } else if (ring_.size() > searched_max) {
            held_ = std::make_unique<Held>();
            for (std::size_t i = 0; i < ring_.size(); ++i)
                held_->set(ring_[i].packet_id);
        }
    }

    /// The client has asked again for the one at `i`, on the present connection.
    void count(std::size_t i) {
        counted_ += ring_[i].is_counted ? 0 : 1;
        ring_[i].is_counted = true;
    }

    void erase(std::size_t i) {
        counted_ -= ring_[i].is_counted ? 1 : 0;
        if (held_)
            held_->reset(ring_[i].packet_id);
        ring_.erase(i);
        if (ring_.empty())
            held_.reset();
    }

    /// The connection is over: the next one begins with none counted.
    void uncount() {
        for (std::size_t i = 0; counted_ != 0 && i < ring_.size(); ++i) {
            counted_ -= ring_[i].is_counted ? 1 : 0;
            ring_[i].is_counted = false;
        }
    }

private:
    using Held = std::bitset<65'536>;

    /// Up to here a search for one that is not there costs less than 8 KiB of memory.
    static constexpr std::size_t searched_max = 32;

    Ring<InboundQos2> ring_;
    std::size_t counted_ = 0;
    std::unique_ptr<Held> held_; ///< which ids are in the ring; null while they are few
};

} // namespace brim::mqtt
