#include "io/internal/transport_loop.h"

#include "base/assert.h"
#include "io/internal/transport_far.h"
#include "io/spread_network.h"

#include <utility>

namespace brim::io {

namespace {

/// Data taken by the home loop that is worth a mail of its own.
constexpr std::size_t credit_bytes_max = SpreadLimits::arriving_bytes_max / 16;

} // namespace

TransportLoop::TransportLoop(EpollLoop& home, Log& log, unsigned number)
    : home_(home), out_(std::make_unique<TransportMail>()), alive_(std::make_shared<Alive>(this)),
      far_(std::make_unique<TransportFar>(
          log,
          number,
          [&home, alive = alive_](std::unique_ptr<TransportMail> mail) {
              home.post([alive, mail = std::move(mail)]() mutable {
                  if (alive->loop != nullptr)
                      alive->loop->receive(std::move(mail));
              });
          }
      )) {}

TransportLoop::~TransportLoop() {
    send();
    far_.reset();
    alive_->loop = nullptr;
}

std::unique_ptr<Stream> TransportLoop::take(LooseSocket socket) {
    std::uint32_t slot = 0;
    if (free_.empty()) {
        slot = static_cast<std::uint32_t>(places_.size());
        places_.emplace_back();
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    auto stream = std::make_unique<SpreadStream>(*this, slot, socket.peer);
    places_[slot].stream = stream.get();
    TransportMail& out = mail();
    out.entries.push_back({slot, places_[slot].generation, 0, Kind::open});
    out.sockets.push_back(std::move(socket));
    return stream;
}

void TransportLoop::release_buffers() {
    spare_.reset();
    far_->release_buffers();
}

TransportMail& TransportLoop::mail() {
    if (!std::exchange(leaving_, true))
        home_.at_turn_end([alive = alive_] {
            if (alive->loop != nullptr)
                alive->loop->send();
        });
    return *out_;
}

void TransportLoop::send() {
    leaving_ = false;
    if (untold_ != 0)
        out_->entries.push_back({0, 0, static_cast<std::uint32_t>(std::exchange(untold_, 0)), Kind::credit});
    if (!out_->entries.empty())
        far_->post(std::exchange(out_, spare_ ? std::move(spare_) : std::make_unique<TransportMail>()));
}

SpreadStream* TransportLoop::find(std::uint32_t slot, std::uint32_t generation) const {
    const Place& place = places_[slot];
    return place.generation == generation ? place.stream : nullptr;
}

void TransportLoop::forget(std::uint32_t slot) {
    put(Kind::drop, slot);
    places_[slot].stream = nullptr;
    ++places_[slot].generation;
    free_.push_back(slot);
}

void TransportLoop::receive(std::unique_ptr<TransportMail> mail) {
    std::size_t read = 0;
    std::size_t ended = 0;
    for (const TransportMail::Entry& entry : mail->entries) {
        SpreadStream* const stream = find(entry.slot, entry.generation);
        switch (entry.kind) {
        case Kind::data:
            if (stream != nullptr)
                stream->arrived(ByteView(mail->bytes).substr(read, entry.length));
            read += entry.length;
            break;
        case Kind::gone:
            if (stream != nullptr)
                stream->gone(entry.length);
            break;
        case Kind::full:
        case Kind::drained:
            if (stream != nullptr)
                stream->full(entry.kind == Kind::full);
            break;
        case Kind::closed:
            if (stream != nullptr)
                stream->ended(std::move(mail->ends[ended]));
            ++ended;
            break;
        default:
            BRIM_ASSERT(false, "a transport loop does not say this");
        }
    }
    untold_ += read;
    if (untold_ >= credit_bytes_max)
        (void)this->mail();
    mail->clear();
    spare_ = std::move(mail);
}

void TransportLoop::deliver_later(std::uint32_t slot) {
    resumed_.emplace_back(slot, places_[slot].generation);
    if (resumed_.size() == 1)
        home_.at_turn_end([alive = alive_] {
            if (alive->loop != nullptr)
                alive->loop->deliver_held();
        });
}

void TransportLoop::deliver_held() {
    for (const auto& [slot, generation] : std::exchange(resumed_, {}))
        if (SpreadStream* const stream = find(slot, generation))
            stream->deliver();
}

void SpreadStream::start(StreamHandler& handler) {
    BRIM_ASSERT(!started_, "a stream is started once");
    started_ = true;
    if (done_)
        return; // closed before it began
    handler_ = &handler;
    loop_.put(TransportMail::Kind::start, slot_);
}

bool SpreadStream::write(ByteView bytes) {
    if (done_)
        return true;
    if (!bytes.empty()) {
        loop_.mail().add_bytes(TransportMail::Kind::write, slot_, 0, bytes);
        waiting_ += bytes.size();
    }
    if (!is_full_ && waiting_ <= SpreadLimits::waiting_bytes_max)
        return true;
    over_high_water_ = over_high_water_ || !bytes.empty();
    return false;
}

void SpreadStream::pause_reading(bool paused) {
    if (paused_ == paused || done_)
        return;
    paused_ = paused;
    loop_.put(paused ? TransportMail::Kind::pause : TransportMail::Kind::resume, slot_);
    if (!paused && held_)
        loop_.deliver_later(slot_);
}

void SpreadStream::close() {
    if (std::exchange(done_, true))
        return;
    handler_ = nullptr;
    held_.reset();
    waiting_ = 0;
    loop_.put(TransportMail::Kind::close, slot_);
}

void SpreadStream::arrived(ByteView bytes) {
    if (handler_ == nullptr)
        return;
    if (!paused_ && !held_)
        return handler_->on_data(bytes);
    if (!held_)
        held_ = std::make_unique<Held>();
    held_->bytes.append(bytes);
}

void SpreadStream::gone(std::size_t count) {
    if (done_)
        return;
    waiting_ -= count;
    look_whether_drained();
}

void SpreadStream::full(bool is_full) {
    if (done_)
        return;
    is_full_ = is_full;
    look_whether_drained();
}

void SpreadStream::look_whether_drained() {
    if (!over_high_water_ || is_full_ || waiting_ > SpreadLimits::waiting_bytes_max / 2)
        return;
    over_high_water_ = false;
    if (handler_ != nullptr)
        handler_->on_drained();
}

void SpreadStream::ended(Error why) {
    if (handler_ == nullptr)
        return;
    if (held_) {
        held_->end = std::move(why); // behind what came before it
        return;
    }
    done_ = true;
    waiting_ = 0;
    std::exchange(handler_, nullptr)->on_closed(why);
}

void SpreadStream::deliver() {
    if (paused_ || !held_ || handler_ == nullptr)
        return;
    const std::unique_ptr<Held> held = std::move(held_);
    // The handler may destroy this stream: whoever has its slot then is another.
    TransportLoop& loop = loop_;
    const std::uint32_t slot = slot_;
    const std::uint32_t generation = loop.places_[slot].generation;
    handler_->on_data(held->bytes);
    if (!held->end)
        return;
    if (SpreadStream* const still = loop.find(slot, generation)) {
        if (still->paused_) {
            still->held_ = std::make_unique<Held>(Bytes(), std::move(held->end));
            return;
        }
        still->ended(std::move(*held->end));
    }
}

} // namespace brim::io
