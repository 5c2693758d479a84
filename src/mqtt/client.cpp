#include "mqtt/client.h"

#include "mqtt/internal/client_core.h"

namespace brim::mqtt {

Client::Client(ClientHost& host, ClientOptions options)
    : core_(std::make_unique<Core>(host, std::move(options))) {}

Client::~Client() = default;

void Client::connect(Mono now) {
    core_->connect(now);
}

void Client::set_options(ClientOptions options) {
    core_->set_options(std::move(options));
}

void Client::data(ByteView bytes, Mono now) {
    core_->data(bytes, now);
}

void Client::closed(Mono) {
    core_->closed();
}

Mono Client::tick(Mono now) {
    return core_->tick(now);
}

bool Client::connected() const {
    return core_->connected();
}

std::size_t Client::quota() const {
    return core_->quota();
}

Result<void> Client::publish(const Message& message, PublishTag tag, Mono now) {
    return core_->publish(message, tag, now);
}

Result<void> Client::subscribe(const std::vector<std::pair<std::string, std::uint8_t>>& filters, Mono now) {
    return core_->subscribe(filters, now);
}

Result<void> Client::subscribe_as(Subscribe packet, Mono now) {
    return core_->subscribe_as(std::move(packet), now);
}

Result<void> Client::unsubscribe(const std::vector<std::string>& filters, Mono now) {
    return core_->unsubscribe(filters, now);
}

void Client::acknowledge(std::uint16_t packet_id, Mono now) {
    core_->acknowledge(packet_id, now);
}

Result<void> Client::authenticate(ByteView auth_data, Mono now) {
    return core_->authenticate(auth_data, now);
}

Result<void> Client::reauthenticate(ByteView auth_data, Mono now) {
    return core_->reauthenticate(auth_data, now);
}

void Client::disconnect(ReasonCode reason, Mono now) {
    core_->disconnect(reason, now);
}

void Client::abandon() {
    core_->abandon();
}

std::size_t Client::inflight() const {
    return core_->inflight();
}

} // namespace brim::mqtt
