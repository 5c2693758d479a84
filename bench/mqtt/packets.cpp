// The packets of a client: those it sends, and what it does with those that come.

#include "mqtt/client.h"

#include <algorithm>
#include <unistd.h>

namespace brim::bench {

namespace {

unsigned char byte_at(std::string_view bytes, std::size_t at) {
    return static_cast<unsigned char>(bytes[at]);
}

} // namespace

void put_u16(std::string& out, unsigned value) {
    out.push_back(static_cast<char>(value >> 8));
    out.push_back(static_cast<char>(value));
}

void put_length(std::string& out, std::size_t value) {
    do {
        const std::size_t rest = value >> 7;
        out.push_back(static_cast<char>((value & 127) | (rest != 0 ? 128 : 0)));
        value = rest;
    } while (value != 0);
}

void put_text(std::string& out, std::string_view text) {
    put_u16(out, static_cast<unsigned>(text.size()));
    out += text;
}

std::string Clients::connect_packet(const Conn& conn) const {
    std::string body;
    put_text(body, "MQTT");
    body.push_back(static_cast<char>(options_.version));
    const bool is_kept = options_.persistent && conn.role == Role::subscriber;
    body.push_back(is_kept ? 0 : 2); // clean session, clean start
    put_u16(body, options_.mode == "idle" ? 0 : 600);
    if (options_.version == 5) {
        // Session Expiry Interval 3,600 s
        body += is_kept ? std::string_view("\x05\x11\x00\x00\x0e\x10", 6) : std::string_view("\x00", 1);
    }
    // The bare forwarder reads role and index from here.
    put_text(
        body, static_cast<char>(conn.role) + std::to_string(conn.index) + '-' + std::to_string(getpid())
    );
    std::string packet(1, '\x10');
    put_length(packet, body.size());
    return packet + body;
}

void Clients::subscribe(Conn& conn, std::span<const std::string> filters, int qos) {
    std::string body;
    put_u16(body, 1);
    if (options_.version == 5)
        body.push_back(0);
    for (const std::string& filter : filters) {
        put_text(body, filter);
        body.push_back(static_cast<char>(qos));
    }
    conn.out.push_back('\x82');
    put_length(conn.out, body.size());
    conn.out += body;
    mark(conn);
}

std::size_t Clients::parse(Conn& conn, std::string_view bytes) {
    std::size_t used = 0;
    for (;;) {
        const std::string_view rest = bytes.substr(used);
        const Frame frame = frame_at(rest);
        if (frame.total == 0)
            return used;
        on_frame(conn, byte_at(rest, 0), rest.substr(frame.header, frame.total - frame.header));
        if (conn.fd < 0)
            return bytes.size();
        used += frame.total;
    }
}

void Clients::answer(Conn& conn, unsigned char type, std::string_view packet_id) {
    conn.out.push_back(static_cast<char>(type));
    conn.out.push_back(2);
    conn.out += packet_id.substr(0, 2);
    mark(conn);
}

void Clients::on_frame(Conn& conn, unsigned char first, std::string_view body) {
    switch (first >> 4) {
    case 2: // CONNACK
        if (body.size() < 2 || body[1] != 0) {
            ++errors;
            return;
        }
        conn.up = true;
        ++ups;
        events_.on_up(conn);
        break;
    case 3:
        on_publish(conn, first, body);
        break;
    case 4:
    case 7: // PUBACK, PUBCOMP
        events_.on_acknowledged(conn, body.size() < 3 || byte_at(body, 2) < 0x80);
        break;
    case 5: // PUBREC
        answer(conn, 0x62, body);
        break;
    case 6: // PUBREL
        answer(conn, 0x70, body);
        break;
    case 9: // SUBACK
        on_suback(body);
        break;
    case 14: // DISCONNECT
        ++errors;
        break;
    default:
        break;
    }
}

void Clients::on_suback(std::string_view body) {
    ++subscribed;
    // Property lengths of one byte are all a broker has reason to send here.
    const std::size_t codes_at =
        options_.version == 5 && body.size() > 2 ? std::size_t{3} + byte_at(body, 2) : std::size_t{2};
    if (codes_at >= body.size()) {
        ++errors;
        return;
    }
    for (const char code : body.substr(codes_at))
        errors += static_cast<unsigned char>(code) >= 0x80 ? 1 : 0;
}

void Clients::on_publish(Conn& conn, unsigned char first, std::string_view body) {
    const unsigned qos = (first >> 1) & 3U;
    std::size_t at = body.size() < 2 ? body.size() : 2U + (byte_at(body, 0) << 8 | byte_at(body, 1));
    if (qos != 0 && at + 2 <= body.size()) {
        answer(conn, qos == 1 ? 0x40 : 0x50, body.substr(at));
        at += 2;
    }
    if (options_.version == 5 && at < body.size())
        at += 1U + byte_at(body, at);
    events_.on_delivery(conn, {body.substr(std::min(at, body.size())), (first & 8U) != 0});
}

} // namespace brim::bench
