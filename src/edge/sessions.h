#pragma once
// Sub-device sessions at the hub (hub-protocol 3.7): a sub-device's reports may be sent only between its
// login and its logout through this gateway. One device's trouble never holds up another.

#include "base/json.h"
#include "edge/devices.h"
#include "edge/secrets.h"
#include "io/env.h"
#include "store/log.h"

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace brim::edge {

/// What the sessions need of the uplink.
class SessionPort {
public:
    virtual ~SessionPort() = default;
    /// QoS 0: a lost request is asked again after its deadline.
    virtual void request(const std::string& topic, const std::string& payload) = 0;
    /// The device's reports may be sent now.
    virtual void on_open(const thing::DeviceKey& device) = 0;
    /// True when everything of records below `mark` that may be sent was settled.
    virtual bool passed(store::Seq mark) = 0;
    virtual WallTime wall() = 0;
};

struct SessionLimits {
    std::size_t batch_max = 50;          ///< hub-protocol 3.7
    std::size_t register_batch_max = 30; ///< the same
    std::size_t requests_max = 4;        ///< unanswered at a time: 200 logins, the hub's rate for a second
    std::chrono::seconds answer_wait{10};
    std::chrono::seconds backoff_min{5};
    std::chrono::seconds backoff_max{300};
    std::chrono::seconds doubt_every{60};
};

/// Where a device stands.
enum class SessionStep : std::uint8_t { out, secret, bind, login, open, failed };
std::string_view step_name(SessionStep step) noexcept;

/// Why a device could not log in, for status.
struct SessionFailure {
    int code = 0;
    std::string message;
    std::string fix;
};

/// Lives on the loop. up() after CONNACK: wanted devices get a secret (when they have none), are bound to the
/// gateway, and logged in, in batches; a refused batch is taken apart, and a refused device waits with full
/// jitter.
class Sessions {
public:
    Sessions(
        io::Env& env,
        SessionPort& port,
        thing::DeviceKey gateway,
        const Devices& devices,
        Secrets& secrets,
        SessionLimits limits = {}
    );

    void up();
    void down();
    /// The device is online, or has reports in the log (then `until` is the next record's number and it is
    /// logged out once that is passed).
    void want(const thing::DeviceKey& device);
    void want_until(const thing::DeviceKey& device, store::Seq until);
    bool open(std::string_view product_key, std::string_view device_name) const;
    bool wanted(const thing::DeviceKey& device) const;
    /// Handles replies to our requests; false when the topic is not one of them.
    bool reply(std::string_view topic, std::string_view payload);
    /// `/ext/error/...`: the hub ended a device's session.
    void kicked(std::string_view payload);
    /// The hub refused a report of an open device: its session may have been lost over there. Logs in again
    /// and returns true; false when that was just tried (the refusal is then meant).
    bool doubt(std::string_view device);
    /// Logs out devices whose last report is settled. Called when the forwarder made progress.
    void release_passed();

    /// The first round after up() is over: every wanted device is open or failed.
    bool settled() const { return up_ && unsettled_ == 0; }

    std::size_t open_count() const { return open_count_; }

    struct View {
        SessionStep step = SessionStep::out;
        const SessionFailure* failure = nullptr;
    };

    View view(const thing::DeviceKey& device) const;

private:
    struct Session {
        thing::DeviceKey key;
        SessionStep step = SessionStep::out;
        bool wanted = false;
        bool asked = false;   ///< in an unanswered request
        bool alone = false;   ///< its batch was refused: asked for on its own
        bool bound = false;   ///< topo add went well since this start
        bool first = true;    ///< counts in unsettled_
        store::Seq until = 0; ///< not 0: leave once passed
        SessionFailure failure;
        std::chrono::seconds backoff{0};
        Mono retry_at{};
        Mono opened_at{};
        Mono doubted_at{};
    };

    struct Request {
        SessionStep step = SessionStep::login;
        std::vector<Session*> devices;
        Mono deadline{};
    };

    Session& session(const thing::DeviceKey& device);
    void enter(Session& session, SessionStep step);
    void start(Session& session);
    void leave(Session& session);
    void advance();
    bool send_batch(SessionStep step);
    Json signed_entry(const Session& session, const Secret& secret);
    void answered(Request& request, int code, const std::string& message, const Json& data);
    void passed_step(Session& session, SessionStep step, const Json& data);
    void refuse(Session& session, int code, const std::string& message);
    void settle_first(Session& session);
    void close(Session& session);
    void tick();

    std::string next_id() { return std::to_string(++last_id_); }

    std::deque<Session*>& queue(SessionStep step);

    io::Env& env_;
    SessionPort& port_;
    thing::DeviceKey gateway_;
    const Devices& devices_;
    Secrets& secrets_;
    SessionLimits limits_;
    std::map<thing::DeviceKey, Session> sessions_;
    std::map<std::string, Session*, std::less<>> by_text_; ///< "{pk}/{dn}"
    std::deque<Session*> need_secret_, need_bind_, need_login_;
    std::set<Session*> leaving_;
    std::set<Session*> failed_;
    std::map<std::string, Request> requests_;
    std::uint64_t last_id_ = 0;
    std::size_t unsettled_ = 0;
    std::size_t open_count_ = 0;
    io::Timer tick_;
    bool up_ = false;
};

} // namespace brim::edge
