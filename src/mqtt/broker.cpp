#include "mqtt/broker.h"

#include "mqtt/internal/core.h"

namespace brim::mqtt {

std::string_view ended_text(Ended why) noexcept {
    switch (why) {
    case Ended::disconnect:
        return "disconnect";
    case Ended::network:
        return "network";
    case Ended::keepalive:
        return "keepalive";
    case Ended::takeover:
        return "takeover";
    case Ended::protocol_error:
        return "protocol error";
    case Ended::kicked:
        return "kicked";
    case Ended::shutdown:
        return "shutdown";
    }
    return "network";
}

Broker::Broker(BrokerHost& host, BrokerLimits limits, Journal* journal)
    : core_(std::make_unique<Core>(host, limits, journal)) {}

Broker::~Broker() = default;

void Broker::set_wall(WallTime wall, Mono now) {
    core_->set_wall(wall, now);
}

ConnId Broker::open(Mono now) {
    return core_->open(now);
}

void Broker::data(ConnId conn, ByteView bytes, Mono now) {
    core_->data(conn, bytes, now);
}

void Broker::closed(ConnId conn, Mono now) {
    core_->closed(conn, now);
}

void Broker::congested(ConnId conn, bool is_congested, Mono now) {
    core_->congested(conn, is_congested, now);
}

Mono Broker::tick(Mono now) {
    return core_->tick(now);
}

void Broker::set_pressure(Pressure pressure) {
    core_->set_pressure(pressure);
}

void Broker::accept(ConnId conn, const Admission& admission, Mono now) {
    core_->accept(conn, admission, now);
}

void Broker::refuse(ConnId conn, ReasonCode reason, std::string_view reason_text, Mono now) {
    core_->refuse(conn, reason, reason_text, now);
}

void Broker::continue_auth(ConnId conn, ByteView auth_data, std::string_view reason_text, Mono now) {
    core_->continue_auth(conn, auth_data, reason_text, now);
}

void Broker::reauthenticated(
    ConnId conn, std::string_view principal, std::uint64_t user, ByteView auth_data, Mono now
) {
    core_->reauthenticated(conn, principal, user, auth_data, now);
}

void Broker::complete(AckToken token, ReasonCode reason, Mono now) {
    core_->complete(token, reason, now);
}

std::size_t Broker::publish(const MessagePtr& message, Mono now) {
    return core_->publish(message, now);
}

std::size_t
Broker::publish(const MessagePtr& message, Mono now, std::move_only_function<void(bool is_kept)> done) {
    return core_->publish(message, now, std::move(done));
}

bool Broker::deliver(std::string_view session_key, const MessagePtr& message, Mono now) {
    return core_->deliver(session_key, message, now);
}

void Broker::kick(std::string_view session_key, ReasonCode reason, bool forget, Mono now) {
    core_->kick(session_key, reason, forget, now);
}

bool Broker::online(std::string_view session_key) const {
    return core_->online(session_key);
}

int Broker::subscribed_qos(std::string_view session_key, std::string_view topic) const {
    return core_->subscribed_qos(session_key, topic);
}

std::uint32_t Broker::visit_sessions(
    std::uint32_t from, std::size_t count, const std::function<void(const SessionView&)>& visit
) const {
    return core_->visit_sessions(from, count, visit);
}

bool Broker::visit_session(std::string_view session_key, const std::function<void(const SessionView&)>& visit)
    const {
    return core_->visit_session(session_key, visit);
}

bool Broker::visit_connection(ConnId conn, const std::function<void(const SessionView&)>& visit) const {
    return core_->visit_connection(conn, visit);
}

void Broker::visit_subscriptions(
    std::string_view session_key, const std::function<void(std::string_view filter, int qos)>& visit
) const {
    core_->visit_subscriptions(session_key, visit);
}

void Broker::trace(ConnId conn, bool is_traced) {
    core_->trace(conn, is_traced);
}

std::size_t Broker::drop_retained(const std::function<bool(const Message&)>& is_unwanted, Mono now) {
    return core_->drop_retained(is_unwanted, now);
}

void Broker::shutdown(Mono now) {
    core_->shutdown(now);
}

bool Broker::restore(RestoredState state, Mono now) {
    return core_->restore(std::move(state), now);
}

void Broker::journal_stable(JournalNumber upto, Mono now) {
    core_->journal_stable(upto, now);
}

void Broker::journal_failed(ReasonCode reason, Mono now) {
    core_->journal_failed(reason, now);
}

bool Broker::write_image(ImagePlace& at, std::size_t items) {
    return core_->write_image(at, items);
}

BrokerStats Broker::stats() const {
    return core_->stats();
}

} // namespace brim::mqtt
