#include "io/sim/sim_connection.h"

#include "io/sim/sim_env.h"
#include "io/sim/sim_world.h"

#include <algorithm>
#include <utility>

namespace brim::io {

namespace {

constexpr Duration close_wait_max = 5s;
constexpr std::uint64_t retransmit_ms_max = 1000;

Error gone(const std::string& name, std::string cause) {
    return Error{Errc::closed, name, std::move(cause), ""};
}

} // namespace

std::string SimConnection::name() const {
    return "connection " + ends[0].machine + "-" + ends[1].machine;
}

bool SimConnection::joins(const std::string& a, const std::string& b) const {
    return (ends[0].machine == a && ends[1].machine == b) || (ends[0].machine == b && ends[1].machine == a);
}

bool SimConnection::reachable(unsigned side) const {
    const auto* machine = links.world().find_machine(ends[side].machine);
    return !links.blocked(ends[1 - side].machine, ends[side].machine) && machine && machine->powered();
}

void SimConnection::pump(unsigned side) {
    End& end = ends[side];
    if (end.fate || end.dead)
        return;
    auto& random = links.world().random();
    const bool whole = links.link(end.machine, ends[1 - side].machine).whole_chunks;
    while (!end.outgoing.empty() && end.sent - end.acknowledged < SimLinks::window_bytes) {
        const auto room = SimLinks::window_bytes - (end.sent - end.acknowledged);
        auto count = std::min<std::uint64_t>(end.outgoing.size(), room);
        // Where a stream is cut is nobody's promise: sometimes single bytes, mostly large pieces.
        if (!whole && random.below(4) == 0)
            count = 1 + random.below(count);
        end.sent += count;
        send(side, Packet{end.next_sequence++, end.outgoing.substr(0, count), false});
        end.outgoing.erase(0, count);
    }
    if (end.fin_wanted && !end.fin_sent && end.outgoing.empty()) {
        end.fin_sent = true;
        send(side, Packet{end.next_sequence++, {}, true});
    }
    if (!end.waits_for_drain || end.outgoing.size() >= SimStream::low_water_bytes)
        return;
    end.waits_for_drain = false;
    links.world().schedule(links.world().now(), lane, [self = shared_from_this(), side] {
        End& drained = self->ends[side];
        if (!drained.handler || drained.fate)
            return;
        drained.env->sim_loop().enter("drained", [self, side] {
            if (auto* handler = self->ends[side].handler)
                handler->on_drained();
        });
    });
}

void SimConnection::send(unsigned side, Packet packet) {
    if (!ends[side].stalled.empty())
        stall(side, std::move(packet));
    else
        put_on_wire(side, std::move(packet), {});
}

void SimConnection::put_on_wire(unsigned side, Packet packet, Duration extra) {
    End& end = ends[side];
    auto& world = links.world();
    const auto& to = ends[1 - side].machine;
    const auto arrival = world.now() + extra + links.travel_time(end.machine, to, packet.bytes.size());
    end.last_arrival = std::max(end.last_arrival, arrival);
    world.schedule(
        end.last_arrival,
        lane,
        [self = shared_from_this(), side, held = std::move(packet)]() mutable {
            self->arrive(1 - side, std::move(held));
        }
    );
}

void SimConnection::stall(unsigned side, Packet packet) {
    End& end = ends[side];
    const bool first = end.stalled.empty();
    end.stalled.push_back(std::move(packet));
    if (!first)
        return;
    auto& world = links.world();
    const auto give_up = [self = shared_from_this(), side, which = ++end.stall] {
        const End& waiting = self->ends[side];
        if (waiting.stall != which || waiting.stalled.empty())
            return;
        self->abort(
            side, Error{Errc::timeout, self->name(), "the peer acknowledges nothing", "check the network"}
        );
    };
    world.schedule(world.now() + SimLinks::retransmit_max, lane, give_up);
}

void SimConnection::arrive(unsigned side, Packet packet) {
    End& end = ends[side];
    if (!reachable(side))
        return stall(1 - side, std::move(packet));
    if (end.dead)
        return send_reset(side);
    if (end.fate)
        return;
    end.early.emplace(packet.sequence, std::move(packet));
    for (auto next = end.early.find(end.expected); next != end.early.end();
         next = end.early.find(end.expected)) {
        ++end.expected;
        if (next->second.fin)
            end.fin_arrived = true;
        else if (end.stream)
            end.incoming += next->second.bytes;
        else
            consume(side, next->second.bytes.size());
        end.early.erase(next);
    }
    offer(side);
}

void SimConnection::send_reset(unsigned from) {
    auto& world = links.world();
    const auto& to = ends[1 - from].machine;
    if (links.blocked(ends[from].machine, to))
        return;
    const auto at = world.now() + links.travel_time(ends[from].machine, to, 0);
    world.schedule(at, lane, [self = shared_from_this(), from] {
        self->abort(1 - from, gone(self->name(), "connection reset by peer"));
    });
}

void SimConnection::send_acknowledgement(unsigned from) {
    auto& world = links.world();
    if (links.blocked(ends[from].machine, ends[1 - from].machine))
        return;
    const auto at = world.now() + links.travel_time(ends[from].machine, ends[1 - from].machine, 0);
    world.schedule(at, lane, [self = shared_from_this(), from, total = ends[from].consumed] {
        End& sender = self->ends[1 - from];
        sender.acknowledged = std::max(sender.acknowledged, total);
        self->pump(1 - from);
    });
}

void SimConnection::consume(unsigned side, std::size_t count) {
    ends[side].consumed += count;
    if (count > 0)
        send_acknowledgement(side);
}

void SimConnection::offer(unsigned side) {
    End& end = ends[side];
    if (end.offering || !end.handler || end.dead)
        return;
    const bool data = !end.incoming.empty() && !end.paused;
    const bool over = end.fate || (end.fin_arrived && end.incoming.empty());
    if (!data && !over)
        return;
    end.offering = true;
    auto& world = links.world();
    const auto delay = std::chrono::microseconds(1 + world.random().below(10));
    world.schedule(world.now() + delay, end.env->lane(), [self = shared_from_this(), side] {
        self->ends[side].env->sim_loop().enter("socket", [self, side] { self->give(side); });
    });
}

void SimConnection::give(unsigned side) {
    End& end = ends[side];
    end.offering = false;
    if (!end.handler)
        return;
    if (end.fate || (end.fin_arrived && end.incoming.empty())) {
        if (!end.fate)
            end.fate = gone(name(), "the peer closed the connection");
        auto* handler = std::exchange(end.handler, nullptr);
        const Error why =
            *end.fate; // the handler may destroy the stream, and with it this connection's last user
        handler->on_closed(why);
        return;
    }
    if (end.paused || end.incoming.empty())
        return;
    auto& world = links.world();
    auto count = end.incoming.size();
    const bool whole = links.link(ends[1 - side].machine, end.machine).whole_chunks;
    if (!whole && world.random().below(4) == 0)
        count = 1 + world.random().below(count);
    const Bytes bytes = end.incoming.substr(0, count);
    end.incoming.erase(0, count);
    world.note(end.machine, "gets " + std::to_string(count) + " bytes from " + ends[1 - side].machine);
    consume(side, count);
    end.handler->on_data(bytes);
    offer(side);
}

void SimConnection::abort(unsigned side, Error why) {
    End& end = ends[side];
    if (end.fate)
        return;
    end.fate = std::move(why);
    end.outgoing.clear();
    end.stalled.clear();
    end.incoming.clear(); // as a reset does to bytes that were not read yet
    offer(side);
}

void SimConnection::close(unsigned side, bool drop) {
    End& end = ends[side];
    end.stream = nullptr;
    end.handler = nullptr;
    consume(side, end.incoming.size());
    end.incoming.clear();
    if (!end.env->alive())
        return;
    if (drop)
        end.outgoing.clear();
    end.fin_wanted = true;
    pump(side);
    if (end.fin_sent)
        return;
    auto& world = links.world();
    world.schedule(world.now() + close_wait_max, lane, [self = shared_from_this(), side] {
        if (self->ends[side].fin_sent || self->ends[side].fate)
            return;
        self->ends[side].outgoing.clear();
        self->send_reset(side);
    });
}

void SimConnection::process_died(unsigned side, bool silent) {
    End& end = ends[side];
    end.outgoing.clear();
    end.incoming.clear();
    end.handler = nullptr;
    // The kernel of a killed process ends its sockets, by FIN or, when bytes were left unread, by a reset.
    if (!silent && !end.dead && !end.fate) {
        if (links.world().random().below(2) == 0)
            send_reset(side);
        else if (!end.fin_sent)
            send(side, Packet{end.next_sequence++, {}, true});
        end.fin_sent = true;
    }
    end.dead = true;
}

void SimConnection::path_healed(unsigned side) {
    auto waiting = std::exchange(ends[side].stalled, {});
    ++ends[side].stall;
    const auto extra = std::chrono::milliseconds(links.world().random().below(retransmit_ms_max));
    for (auto& packet : waiting)
        put_on_wire(side, std::move(packet), extra);
    if (!ends[side].dead)
        send_acknowledgement(side);
}

SimStream::SimStream(std::shared_ptr<SimConnection> connection, unsigned side)
    : connection_(std::move(connection)), side_(side) {
    end().stream = this;
}

SimStream::~SimStream() {
    if (end().stream == this)
        connection_->close(side_, true);
}

void SimStream::start(StreamHandler& handler) {
    end().handler = &handler;
    connection_->offer(side_);
}

bool SimStream::write(ByteView bytes) {
    if (end().fate || end().stream != this || !end().env->alive())
        return true;
    end().outgoing += bytes;
    if (!flush_planned_) {
        flush_planned_ = true;
        end().env->loop().at_turn_end([held = std::weak_ptr(connection_), side = side_] {
            const auto connection = held.lock();
            if (!connection)
                return;
            if (auto* stream = connection->ends[side].stream)
                stream->flush_planned_ = false;
            connection->pump(side);
        });
    }
    if (end().outgoing.size() > high_water_bytes)
        end().waits_for_drain = true;
    return !end().waits_for_drain;
}

std::size_t SimStream::queued() const {
    return end().outgoing.size();
}

void SimStream::pause_reading(bool paused) {
    end().paused = paused;
    if (!paused)
        connection_->offer(side_);
}

void SimStream::close() {
    if (end().stream == this)
        connection_->close(side_, false);
}

Peer SimStream::peer() const {
    return end().peer;
}

} // namespace brim::io
