#pragma once
// Standard input as messages: line by line, or all of it as one. Read on a thread of its own, because a
// terminal or a pipe may stay silent for hours.

#include "base/bytes.h"
#include "base/error.h"
#include "io/env.h"

#include <deque>
#include <functional>
#include <memory>
#include <optional>

namespace brim::cli {

/// Loop thread only. At most about a MiB of lines waits; a line, or all input, is at most
/// MqttLimits::payload_bytes_max.
class MqttInput {
public:
    MqttInput(io::Env& env, bool lines);

    /// Called after something came, the end included.
    void on_more(std::function<void()> more) { more_ = std::move(more); }

    void start();
    /// The next message, when one is there.
    std::optional<Bytes> take();

    /// Nothing more will come and all was taken.
    bool ended() const { return at_end_ && ready_.empty(); }

    const std::optional<Error>& failure() const { return failure_; }

private:
    struct Read {
        Bytes bytes;
        bool at_end = false;
        int error = 0;
    };

    void read_more();
    void came(Read& read);

    const bool lines_;
    std::function<void()> more_;
    std::deque<Bytes> ready_;
    std::size_t ready_bytes_ = 0;
    Bytes partial_;
    std::optional<Error> failure_;
    bool at_end_ = false;
    bool reading_ = false;
    std::unique_ptr<io::Worker> worker_; ///< goes first: its job may be under way
};

} // namespace brim::cli
