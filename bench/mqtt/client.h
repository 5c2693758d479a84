#pragma once
// Many MQTT client connections on one epoll: enough of the protocol to load a broker, and not more.

#include "mqtt/options.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct ssl_st;
struct ssl_ctx_st;

namespace brim::bench {

enum class Role : char { publisher = 'p', subscriber = 's', idle = 'i' };

/// One client connection; a value owned by the mode, known to Clients by address from open() to close().
struct Conn {
    int fd = -1;
    Role role = Role::idle;
    int index = 0;
    bool up = false; ///< CONNACK came
    std::string out; ///< bytes to send; append, then call Clients::mark()
    // Publisher.
    std::string head; ///< fixed header, topic, packet id and properties, ready made
    std::size_t packet_id_at = 0;
    std::size_t fresh_at = 0; ///< ten digits in the topic, when each message has a topic of its own
    std::uint32_t sequence = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t delivered = 0;
    std::uint16_t packet_id = 0;
    bool stalled = false; ///< a subscriber that will stop reading
    bool queued = false;  ///< in the mode's list of those that may send again
    // Owned by Clients.
    ssl_st* ssl = nullptr;
    bool tls_ready = false;
    bool tcp_ready = false;
    bool greeted = false;
    bool want_out = false;
    bool dirty = false;
    std::size_t sent = 0;
    std::string partial; ///< the start of a frame whose rest did not come yet
};

struct Delivery {
    std::string_view payload;
    bool duplicate = false; ///< the DUP flag
};

class ClientEvents {
public:
    virtual ~ClientEvents() = default;
    virtual void on_up(Conn& conn) = 0;

    virtual void on_delivery(Conn&, const Delivery&) {}

    /// PUBACK or PUBCOMP; false when its reason code is a failure.
    virtual void on_acknowledged(Conn&, bool) {}
};

class Clients {
public:
    Clients(const Options& options, ClientEvents& events);
    ~Clients();
    Clients(const Clients&) = delete;
    Clients& operator=(const Clients&) = delete;

    /// Begins to connect. False when the system refuses.
    bool open(Conn& conn);
    /// Sends DISCONNECT and resets the connection, so that ports do not run out.
    void leave(Conn& conn);
    void close(Conn& conn);
    /// Cuts the connection as a broken network would: no DISCONNECT, a reset.
    void cut(Conn& conn);
    /// Never reads of this connection again, nor hears of its end.
    void stall(Conn& conn);
    /// One SUBSCRIBE for all of `filters`; a refused one counts as an error.
    void subscribe(Conn& conn, std::span<const std::string> filters, int qos);
    void mark(Conn& conn);
    void flush_all();
    /// Waits for events, handles them, flushes. -1 = without end.
    void pump(int timeout_us);
    bool resumed(const Conn& conn) const;

    void skip_addresses(std::uint64_t count) { addresses_ = count; }

    std::uint64_t ups = 0;
    std::uint64_t subscribed = 0; ///< SUBACKs
    std::uint64_t errors = 0;
    std::uint64_t closed = 0;

private:
    bool establish(Conn& conn, std::uint32_t events);
    bool handshake(Conn& conn);
    bool receive(Conn& conn);
    std::size_t parse(Conn& conn, std::string_view bytes);
    void on_frame(Conn& conn, unsigned char first, std::string_view body);
    void on_suback(std::string_view body);
    void on_publish(Conn& conn, unsigned char first, std::string_view body);
    void answer(Conn& conn, unsigned char type, std::string_view packet_id);
    void flush(Conn& conn);
    void watch(Conn& conn, bool writable);
    std::ptrdiff_t write(Conn& conn, std::string_view bytes);
    std::ptrdiff_t read(Conn& conn, char* into, std::size_t size);
    std::string connect_packet(const Conn& conn) const;

    const Options& options_;
    ClientEvents& events_;
    int epoll_ = -1;
    ssl_ctx_st* tls_ = nullptr;
    std::uint64_t addresses_ = 0;
    std::vector<Conn*> dirty_;
    std::vector<char> buffer_;
};

/// Appends MQTT's encodings.
void put_u16(std::string& out, unsigned value);
void put_length(std::string& out, std::size_t value);
void put_text(std::string& out, std::string_view text);

/// The length of the frame at the start of `bytes` and of its fixed header, both 0 while it is incomplete.
struct Frame {
    std::size_t header = 0;
    std::size_t total = 0;
};

inline Frame frame_at(std::string_view bytes) {
    std::size_t length = 0;
    for (std::size_t at = 1; at < bytes.size() && at <= 4; ++at) {
        const auto digit = static_cast<unsigned char>(bytes[at]);
        length |= static_cast<std::size_t>(digit & 127U) << (7 * (at - 1));
        if (digit < 128)
            return bytes.size() - at - 1 < length ? Frame{} : Frame{at + 1, at + 1 + length};
    }
    return {};
}

} // namespace brim::bench
