#include "cli/mqtt_session.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace brim::cli {

namespace {

constexpr std::chrono::seconds stuck_wait_max{5}; ///< without any byte that goes out
constexpr std::chrono::seconds goodbye_wait_max{2};
constexpr std::chrono::milliseconds leave_look_every{2};

} // namespace

std::unique_ptr<MqttSession> MqttSession::make(const MqttWords& words, Exit& exit) {
    std::unique_ptr<MqttSession> made(new MqttSession());
    const std::string id = "brim-" + made->env_.random().alnum(12);
    auto target = mqtt_target(words, std::getenv("BRIM_MQTT_PASSWORD"), id);
    if (!target) {
        exit = static_cast<Exit>(complain_of_words(target.error()));
        return nullptr;
    }
    made->target_ = std::move(*target);
    auto opened = made->open_tls();
    // Before anything starts a thread: a thread that does not block SIGINT ends the whole process.
    if (opened) {
        auto watch = io::SignalWatch::create(made->env_.loop(), {SIGINT, SIGTERM}, [&self = *made](int) {
            if (self.finishing())
                self.env_.loop().stop(); // the second one does not wait
            else if (self.interrupted_)
                self.interrupted_();
        });
        if (watch)
            made->signals_ = std::move(*watch);
        else
            opened = fail(std::move(watch).error());
    }
    if (opened)
        return made;
    exit = complain(opened.error());
    return nullptr;
}

Result<void> MqttSession::open_tls() {
    if (!target_.tls)
        return {};
    auto context = io::TlsContext::client(env_.disk(), target_.trust);
    if (!context)
        return fail(std::move(context).error());
    tls_ = std::move(*context);
    return {};
}

std::unique_ptr<mqtt::Link> MqttSession::link(mqtt::LinkEvents& events) {
    mqtt::LinkOptions options;
    options.to = target_.to;
    options.backoff_max = std::chrono::seconds{30};
    mqtt::Link::Wrap wrap;
    if (tls_)
        wrap = [this](std::unique_ptr<io::Stream> stream) {
            return io::wrap_client(env_.loop(), std::move(stream), *tls_, target_.to.host);
        };
    return std::make_unique<mqtt::Link>(env_, events, std::move(options), std::move(wrap));
}

void MqttSession::debug(const std::string& text) const {
    if (target_.debug)
        std::fprintf(stderr, "%s\n", printable(text).c_str());
}

Exit MqttSession::run(std::function<void()> interrupted) {
    // The words are in order: what is told from here on is of the connection.
    if (target_.quiet && std::freopen("/dev/null", "w", stderr) == nullptr)
        return complain(errno_error("/dev/null", errno));
    debug("connecting to " + target_.to.text() + " as " + target_.login.client_id);
    interrupted_ = std::move(interrupted);
    env_.loop().run();
    interrupted_ = nullptr;
    return exit_.value_or(Exit::failure);
}

void MqttSession::finish(mqtt::Link& link, Exit exit) {
    if (exit_)
        return;
    exit_ = exit;
    // Not from inside the link: its caller goes on working on the connection, and acknowledgements of what
    // was taken go out first.
    leave_.start(Duration::zero(), [this, &link] { leave(link, link.queued(), loop().now()); });
}

void MqttSession::leave(mqtt::Link& link, std::size_t queued, Mono since) {
    const std::size_t left = link.queued();
    if (left < queued)
        since = loop().now();
    if (left == 0 || loop().now() - since >= stuck_wait_max)
        return link.leave(goodbye_wait_max, [this] { env_.loop().stop(); });
    leave_.start(leave_look_every, [this, &link, left, since] { leave(link, left, since); });
}

std::string connack_text(const mqtt::Connack& connack) {
    std::string text(mqtt::reason_text(connack.reason));
    text += connack.session_present ? ", session present" : ", new session";
    if (connack.has_server_keepalive)
        text += ", keep-alive " + std::to_string(connack.server_keepalive_s) + " s";
    return text;
}

std::string message_text(const Message& message) {
    return message.topic + ", QoS " + std::to_string(message.qos) + (message.retain ? ", retained, " : ", ") +
           std::to_string(message.payload.size()) + " bytes";
}

Error explained(Error why, const MqttTarget& target) {
    if (why.object == "MQTT connection")
        why.object += " to " + target.to.text();
    // The server's log is often somebody else's.
    switch (why.code) {
    case Errc::unauthenticated:
        why.fix = "check -u, -P and -i";
        break;
    case Errc::denied:
        if (why.fix.starts_with("look at the server"))
            why.fix = "check -u, -P and -i, and what this user may do at the server";
        break;
    case Errc::conflict:
        why.fix = "another client uses the id " + target.login.client_id + ": give each its own with -i";
        break;
    case Errc::unsupported:
        if (target.login.version == mqtt::ProtocolVersion::v5)
            why.fix = "the server may speak MQTT 3.1.1 only: try -V 311";
        break;
    default:
        if (why.fix.empty())
            why.fix = "check the address and the port, and whether TLS is spoken there (--cafile)";
        break;
    }
    return why;
}

} // namespace brim::cli
