#pragma once
// A client session kept connected: dials, logs in, reconnects with full jitter (AWS "full jitter": uniform
// between 0 and the doubled, capped delay), drives keep-alive. Used by the edge's uplink, the command line
// and tests.

#include "io/env.h"
#include "mqtt/client.h"

#include <functional>
#include <memory>

namespace brim::mqtt {

struct LinkOptions {
    io::Endpoint to;
    std::chrono::milliseconds connect_wait_max{10'000}; ///< dialling and, separately, waiting for CONNACK
    std::chrono::milliseconds backoff_min{1'000};       ///< first reconnect: uniform in [0, backoff_min]
    std::chrono::milliseconds backoff_max{120'000};
    std::chrono::milliseconds stable_after{60'000}; ///< a session that lasted this long resets the back-off
};

/// Calls come on the loop. Any of them may call the link, except that on_down() must not destroy it.
class LinkEvents {
public:
    virtual ~LinkEvents() = default;
    /// Asked before each CONNECT: fresh time stamps, new passwords.
    virtual ClientOptions login() = 0;
    virtual void on_up(const Connack& connack) = 0;
    /// The session ended or could not be made; a reconnect follows after `retry_in`.
    virtual void on_down(const Error& why, std::chrono::milliseconds retry_in) = 0;
    virtual bool on_message(const MessagePtr& message, std::uint16_t packet_id) = 0;
    virtual void on_settled(PublishTag tag, ReasonCode reason) = 0;
    virtual void on_subscribed(std::string_view filter, ReasonCode reason) = 0;

    /// As ClientHost::on_auth(); answer through client().
    virtual bool on_auth(const Auth&) { return false; }
};

class Link final : private ClientHost, private io::StreamHandler {
public:
    using Wrap = std::function<std::unique_ptr<io::Stream>(std::unique_ptr<io::Stream>)>;

    Link(io::Env& env, LinkEvents& events, LinkOptions options, Wrap wrap = {});
    ~Link() override;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// Starts dialling now.
    void start();
    /// Says DISCONNECT and stays away until start().
    void stop();
    /// As stop(), but goes on reading, and forgetting, until the server has closed too, for at most `wait`:
    /// who closes with unread bytes makes TCP throw away what the server has not read yet, and our last
    /// acknowledgements with it. Then `gone` is called, never from inside this call; not after a stop() or
    /// start().
    void leave(std::chrono::milliseconds wait, std::function<void()> gone);
    /// Drops the connection and dials again after the back-off, as on_down() announces.
    void restart(const Error& why);

    bool up() const { return client_.connected(); }

    Client& client() { return client_; }

    Mono now() const { return env_.loop().now(); }

    /// Bytes waiting in the transport: stop publishing above 1 MiB.
    std::size_t queued() const;

private:
    void dial();
    void fail(const Error& why);
    void pump();
    void left();

    // ClientHost
    void send(ByteView bytes) override;
    void close(const Error& why) override;
    void on_connected(const Connack& connack) override;
    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override;
    void on_settled(PublishTag tag, ReasonCode reason) override;
    void on_subscribed(std::string_view filter, ReasonCode reason) override;
    bool on_auth(const Auth& auth) override;
    // StreamHandler
    void on_data(ByteView bytes) override;
    void on_closed(const Error& why) override;

    io::Env& env_;
    LinkEvents& events_;
    LinkOptions options_;
    Wrap wrap_;
    Client client_;
    std::unique_ptr<io::Connecting> connecting_;
    std::unique_ptr<io::Stream> stream_;
    io::Timer tick_;
    io::Timer retry_;
    io::Timer login_wait_;
    Mono up_since_{};
    unsigned attempt_ = 0;
    std::function<void()> gone_; ///< set while leaving
    bool running_ = false;
    bool failing_ = false;
};

} // namespace brim::mqtt
