// A hostile server against one client that has subscriptions, publishes and authentications under way: its
// bytes come in pieces, cut anywhere, between what the client's owner does. Holds: every packet the client
// sends decodes and keeps to the server's limits; nothing is acknowledged that was not received, and nothing
// is received twice or lost; each publish is settled once, with success only when the server said so; memory
// does not grow with what the server claims.
#include "fuzz/client_owner.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <malloc.h>

#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#endif

using namespace brim;
using namespace brim::mqtt;

namespace {

using brim::fuzz::Owner;
using brim::fuzz::require;

constexpr std::size_t steps_max = 100; // what more of them would show, other inputs show sooner

std::size_t heap_bytes() {
#if __has_feature(address_sanitizer)
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

Bytes connack(std::uint8_t detail, ProtocolVersion version) {
    Connack packet;
    packet.session_present = (detail & 1) != 0;
    if (version == ProtocolVersion::v5) {
        packet.receive_maximum = (detail & 2) != 0 ? 2 : 65'535;
        packet.packet_bytes_max = (detail & 4) != 0 ? 24 : 0;
        packet.qos_max = (detail & 8) != 0 ? 1 : 2;
        packet.retain_available = (detail & 16) == 0;
        packet.has_server_keepalive = (detail & 32) != 0;
        packet.server_keepalive_s = 7;
        packet.has_auth_method = (detail & 64) != 0;
        packet.auth_method = packet.has_auth_method ? "m" : "";
    }
    Bytes out;
    encode_connack(out, packet, version);
    return out;
}

Bytes server_publish(std::uint8_t detail, ProtocolVersion version) {
    Publish packet;
    packet.topic = "t";
    packet.qos = detail % 3;
    packet.packet_id = packet.qos == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(1 + (detail >> 2 & 3));
    packet.dup = packet.qos != 0 && (detail & 128) != 0;
    const char first = static_cast<char>(detail >> 3);
    packet.payload = ByteView(&first, 1);
    Bytes out;
    encode_publish(out, packet, version);
    return out;
}

Bytes server_ack(std::uint8_t detail, ProtocolVersion version) {
    Ack ack;
    ack.packet_id = static_cast<std::uint16_t>(1 + (detail & 7));
    ack.reason = (detail & 32) != 0 ? ReasonCode::quota_exceeded : ReasonCode::success;
    const auto type = static_cast<PacketType>(4 + (detail >> 3 & 3));
    if (type == PacketType::pubrel || type == PacketType::pubcomp)
        ack.reason = ReasonCode::success;
    Bytes out;
    encode_ack(out, type, ack, version);
    return out;
}

Bytes server_answer(std::uint8_t detail, std::uint16_t last_request, ProtocolVersion version) {
    Bytes out;
    const auto packet_id = static_cast<std::uint16_t>(last_request - (detail & 1));
    const std::vector<ReasonCode> reasons(1 + (detail >> 1 & 1), ReasonCode::granted_qos0);
    if ((detail & 4) != 0) {
        Unsuback packet;
        packet.packet_id = packet_id;
        packet.reasons = reasons;
        encode_unsuback(out, packet, version);
    } else {
        Suback packet;
        packet.packet_id = packet_id;
        packet.reasons = reasons;
        encode_suback(out, packet, version);
    }
    return out;
}

Bytes server_auth(std::uint8_t detail) {
    Auth auth;
    auth.reason = (detail & 1) != 0 ? ReasonCode::continue_authentication : ReasonCode::success;
    auth.auth_method = (detail & 128) != 0 ? "n" : "m";
    const char choice = static_cast<char>(detail >> 1 & 3);
    auth.auth_data = ByteView(&choice, 1);
    Bytes out;
    encode_auth(out, auth);
    return out;
}

Bytes server_end(std::uint8_t detail) {
    if ((detail & 1) != 0)
        return Bytes("\xD0\x00", 2); // PINGRESP
    Bytes out;
    Disconnect packet;
    packet.reason = ReasonCode::server_shutting_down;
    encode_disconnect(out, packet, ProtocolVersion::v5);
    return out;
}

void set_options(ClientOptions& options, std::uint8_t detail) {
    static constexpr std::array versions{
        ProtocolVersion::v5, ProtocolVersion::v5, ProtocolVersion::v311, ProtocolVersion::v31
    };
    options.version = versions[detail & 3];
    options.client_id = "c";
    options.clean_start = (detail & 4) != 0;
    options.session_expiry_s = 60;
    options.receive_maximum = (detail & 8) != 0 ? 2 : 8;
    options.inflight_max = (detail & 16) != 0 ? 2 : 6;
    options.auth_method = (detail & 32) != 0 ? "m" : "";
    options.keepalive_s = 10;
    options.packet_bytes_max = brim::fuzz::client_packet_bytes_max;
}

/// What the owner of the client does.
void act(Owner& owner, Client& client, std::uint8_t op, std::uint8_t detail) {
    switch (op) {
    case 0:
        owner.publish(detail);
        break;
    case 1:
        (void)client.subscribe({{(detail & 1) != 0 ? "#" : "a/b", detail % 3}}, owner.now);
        break;
    case 2:
        (void)client.unsubscribe({"a/b"}, owner.now);
        break;
    case 3:
        if (!owner.deferred.empty()) {
            const std::uint16_t packet_id = owner.deferred[detail % owner.deferred.size()].first;
            owner.accept(packet_id);
            client.acknowledge(packet_id, owner.now);
        }
        break;
    case 4:
        owner.now += std::chrono::milliseconds{detail * 100};
        require(client.tick(owner.now) > owner.now);
        break;
    case 5:
        if ((detail & 1) != 0)
            (void)client.reauthenticate("data", owner.now);
        else
            (void)client.authenticate("data", owner.now);
        break;
    case 6:
        set_options(owner.options, detail);
        [[fallthrough]];
    default:
        client.closed(owner.now);
        owner.connect();
    }
}

void run(const std::uint8_t* data, std::size_t size) {
    const std::size_t heap_before = heap_bytes();
    Owner owner;
    set_options(owner.options, size > 0 ? data[0] : 0);
    Client client(owner, owner.options);
    owner.client = &client;
    owner.connect();
    std::size_t at = std::min<std::size_t>(size, 1);
    const auto byte = [&]() -> std::uint8_t { return at < size ? data[at++] : std::uint8_t{0}; };
    Bytes wire; // bytes of the server that have not come yet
    for (std::size_t steps = 0; at < size && steps < steps_max; ++steps) {
        const std::uint8_t op = byte();
        const std::uint8_t detail = byte();
        const ProtocolVersion version = owner.options.version;
        switch (op & 15) {
        case 8:
            wire += connack(detail, version);
            break;
        case 9:
            wire += server_publish(detail, version);
            break;
        case 10:
            wire += server_ack(detail, version);
            break;
        case 11:
            wire += server_answer(detail, owner.last_request, version);
            break;
        case 12:
            wire += server_auth(detail);
            break;
        case 13:
            wire += server_end(detail);
            break;
        case 14:
        case 15: {
            const std::size_t count = std::min<std::size_t>(detail, size - at);
            wire.append(reinterpret_cast<const char*>(data) + at, count);
            at += count;
            break;
        }
        default:
            act(owner, client, op & 7, detail);
        }
        // Bit 7 keeps the server's bytes for later, so that several packets come at once.
        if (!wire.empty() && (op & 128) == 0) {
            const Bytes now_due = std::move(wire);
            wire.clear();
            owner.receive(now_due, (op >> 4 & 7) == 0 ? now_due.size() : op >> 4 & 7);
        }
        owner.check_quiet();
    }
    require(heap_bytes() <= heap_before + 131'072 + 64 * size);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    run(data, size);
    return 0;
}
