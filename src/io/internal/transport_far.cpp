#include "io/internal/transport_far.h"

#include "base/assert.h"
#include "io/spread_network.h"

#include <pthread.h>
#include <string>
#include <utility>

namespace brim::io {

/// A socket's stream, told to the home loop.
struct TransportFar::Carried final : StreamHandler {
    Carried(
        TransportFar& owner_, std::unique_ptr<Stream> stream_, std::uint32_t slot_, std::uint32_t generation_
    )
        : owner(owner_), stream(std::move(stream_)), slot(slot_), generation(generation_) {}

    void on_data(ByteView bytes) override {
        owner.out_->add_bytes(Kind::data, slot, generation, bytes);
        owner.arriving_ += bytes.size();
        owner.is_urgent_ = true;
        if (owner.arriving_ > SpreadLimits::arriving_bytes_max && !is_held_back) {
            is_held_back = true;
            owner.held_back_.push_back(slot);
            stream->pause_reading(true);
        }
        owner.turn_has_news();
    }

    void on_drained() override {
        if (!is_touched)
            touch();
        tell(Kind::drained);
        is_full = false;
    }

    void on_closed(const Error& why) override {
        owner.out_->ends.push_back(why);
        tell(Kind::closed);
    }

    void write(ByteView bytes) {
        if (!stream->write(bytes) && !std::exchange(is_full, true))
            tell(Kind::full);
        untold += bytes.size();
        if (!is_touched)
            touch();
    }

    void tell(Kind kind) {
        owner.out_->entries.push_back({slot, generation, 0, kind});
        owner.is_urgent_ = true;
        owner.turn_has_news();
    }

    void touch() {
        is_touched = true;
        owner.touched_.push_back(slot);
    }

    TransportFar& owner;
    std::unique_ptr<Stream> stream;
    const std::uint32_t slot;
    const std::uint32_t generation;
    std::size_t untold = 0; ///< written, and not told to be with the kernel
    bool is_touched = false;
    bool is_full = false;    ///< the stream said so, and nothing else since
    bool is_blocked = false; ///< in blocked_, and looked at again before long
    bool is_paused = false;  ///< by the home loop
    bool is_held_back = false;
};

TransportFar::TransportFar(Log& log, unsigned number, Outbox outbox)
    : loop_(log), net_(loop_, log), outbox_(std::move(outbox)), out_(std::make_unique<TransportMail>()),
      later_(loop_), thread_([this] { loop_.run(); }) {
    // Longer names than 15 bytes are refused; this one is not.
    ::pthread_setname_np(thread_.native_handle(), ("transport" + std::to_string(number)).c_str());
}

TransportFar::~TransportFar() {
    loop_.post([this] { loop_.stop(); });
    thread_.join();
}

void TransportFar::post(std::unique_ptr<TransportMail> mail) {
    loop_.post([this, mail = std::move(mail)]() mutable { handle(std::move(mail)); });
}

void TransportFar::release_buffers() {
    loop_.post([this] { net_.release_buffers(); });
}

void TransportFar::handle(std::unique_ptr<TransportMail> mail) {
    std::size_t read = 0;
    std::size_t opened = 0;
    for (const TransportMail::Entry& entry : mail->entries) {
        switch (entry.kind) {
        case Kind::open:
            open(entry.slot, entry.generation, std::move(mail->sockets[opened++]));
            break;
        case Kind::start:
            at(entry.slot).stream->start(at(entry.slot));
            break;
        case Kind::write:
            at(entry.slot).write(ByteView(mail->bytes).substr(read, entry.length));
            read += entry.length;
            break;
        case Kind::pause:
        case Kind::resume: {
            Carried& stream = at(entry.slot);
            stream.is_paused = entry.kind == Kind::pause;
            stream.stream->pause_reading(stream.is_paused || stream.is_held_back);
            break;
        }
        case Kind::close:
            at(entry.slot).stream->close();
            break;
        case Kind::drop:
            carried_[entry.slot].reset();
            break;
        case Kind::credit:
            credit(entry.length);
            break;
        default:
            BRIM_ASSERT(false, "the home loop does not say this");
        }
    }
    mail->clear();
    spare_ = std::move(mail);
    if (!touched_.empty())
        turn_has_news();
}

void TransportFar::open(std::uint32_t slot, std::uint32_t generation, LooseSocket socket) {
    if (slot >= carried_.size())
        carried_.resize(slot + 1);
    carried_[slot] = std::make_unique<Carried>(*this, net_.adopt(std::move(socket)), slot, generation);
}

void TransportFar::credit(std::size_t length) {
    arriving_ -= length;
    if (held_back_.empty() || arriving_ > SpreadLimits::arriving_bytes_max / 2)
        return;
    for (const std::uint32_t slot : std::exchange(held_back_, {})) {
        // Another stream may have the slot by now: then nothing was held back, and nothing changes.
        Carried* const stream = carried_[slot].get();
        if (stream == nullptr || !std::exchange(stream->is_held_back, false))
            continue;
        stream->stream->pause_reading(stream->is_paused);
    }
}

void TransportFar::turn_has_news() {
    if (std::exchange(ends_turn_, true))
        return;
    // Behind the network's own, which was asked for by the first write: that one sends.
    loop_.at_turn_end([this] { end_turn(); });
}

void TransportFar::look(Carried& stream) {
    const std::size_t left = stream.stream->queued();
    if (stream.untold > left) {
        const std::size_t sent = stream.untold - left;
        out_->entries.push_back({stream.slot, stream.generation, static_cast<std::uint32_t>(sent), Kind::gone}
        );
        untold_ += sent;
        stream.untold = left;
    }
    if (left == 0)
        return;
    is_urgent_ = true; // the home loop must not take it for quick
    if (!std::exchange(stream.is_blocked, true))
        blocked_.push_back(stream.slot);
}

void TransportFar::end_turn() {
    ends_turn_ = false;
    for (const std::uint32_t slot : touched_) {
        Carried* const stream = carried_[slot].get();
        if (stream == nullptr || !std::exchange(stream->is_touched, false))
            continue; // dropped meanwhile
        look(*stream);
    }
    touched_.clear();
    if (is_urgent_ || untold_ >= SpreadLimits::untold_bytes_max)
        tell();
    if ((!out_->entries.empty() || !blocked_.empty()) && !later_.running())
        later_.start(SpreadLimits::untold_max, [this] { look_again(); });
}

void TransportFar::look_again() {
    for (const std::uint32_t slot : std::exchange(blocked_, {})) {
        Carried* const stream = carried_[slot].get();
        // Another stream may have the slot by now.
        if (stream != nullptr && std::exchange(stream->is_blocked, false))
            look(*stream);
    }
    is_urgent_ = true;
    end_turn();
}

void TransportFar::tell() {
    is_urgent_ = false;
    untold_ = 0;
    if (out_->entries.empty())
        return;
    outbox_(std::exchange(out_, spare_ ? std::move(spare_) : std::make_unique<TransportMail>()));
}

} // namespace brim::io
