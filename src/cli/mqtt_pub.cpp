// brim mqtt pub: publishes what is given, or what comes in, and ends when the server has it.

#include "cli/mqtt_commands.h"
#include "cli/mqtt_input.h"
#include "cli/mqtt_session.h"
#include "mqtt/topic_filter.h"

#include <cstdio>
#include <deque>

namespace brim::cli {

namespace {

/// Bytes waiting in the transport above which nothing more is published.
constexpr std::size_t transport_bytes_max = 1'048'576;
constexpr std::chrono::milliseconds transport_look_every{5};

class Publisher final : private mqtt::LinkEvents {
public:
    Publisher(MqttSession& session, const PubOptions& options, Message message)
        : session_(session), options_(options), message_(std::move(message)), link_(session.link(*this)),
          again_(session.loop()) {
        if (options.lines || options.all_input) {
            input_ = std::make_unique<MqttInput>(session.env(), options.lines);
            input_->on_more([this] { pump(); });
        }
    }

    Exit run() {
        link_->start();
        return session_.run([this] { end(Exit::failure, "interrupted"); });
    }

private:
    mqtt::ClientOptions login() override { return session_.target().login; }

    void on_up(const mqtt::Connack& connack) override {
        session_.debug("connected: " + connack_text(connack));
        up_ = true;
        if (input_)
            input_->start();
        pump();
    }

    void on_down(const Error& why, std::chrono::milliseconds) override {
        if (session_.finishing())
            return;
        end(complain(explained(why, session_.target())), nullptr);
    }

    bool on_message(const MessagePtr&, std::uint16_t) override { return true; }

    void on_subscribed(std::string_view, mqtt::ReasonCode) override {}

    void on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) override {
        session_.debug("message " + std::to_string(tag) + ": " + std::string(mqtt::reason_text(reason)));
        ++settled_;
        if (mqtt::is_failure(reason) && exit_ == Exit::ok) {
            const bool is_denied = reason == mqtt::ReasonCode::not_authorized;
            exit_ = complain(
                {is_denied ? Errc::denied : Errc::invalid,
                 "message to " + message_.topic,
                 "the server refused it: " + std::string(mqtt::reason_text(reason)),
                 is_denied ? "check what this user may publish" : "see the server's log"}
            );
        }
        pump();
    }

    bool has_room() const {
        return message_.qos != 0 ? link_->client().quota() > 0 : link_->queued() < transport_bytes_max;
    }

    /// Takes the next message into message_; false when there is none (yet).
    bool take() {
        if (!input_)
            return sent_ < options_.repeat;
        if (rounds_left_ == 0) {
            auto next = input_->take();
            if (!next)
                return false;
            message_.payload = std::move(*next);
            rounds_left_ = options_.repeat;
        }
        return rounds_left_ > 0;
    }

    void pump() {
        while (up_ && !session_.finishing() && !again_.running()) {
            if (!has_room()) {
                if (message_.qos == 0)
                    again_.start(transport_look_every, [this] { pump(); });
                return;
            }
            if (!take())
                break;
            const auto sent = link_->client().publish(message_, sent_ + 1, link_->now());
            if (!sent)
                return end(complain(sent.error()), nullptr);
            ++sent_;
            session_.debug("message " + std::to_string(sent_) + ": " + message_text(message_));
            if (rounds_left_ > 0)
                --rounds_left_;
            if (options_.repeat_delay_s > 0 && (input_ ? rounds_left_ > 0 : sent_ < options_.repeat))
                again_.start(
                    std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options_.repeat_delay_s
                    )),
                    [this] { pump(); }
                );
        }
        const bool is_all = input_ ? input_->ended() && rounds_left_ == 0 : sent_ == options_.repeat;
        if (input_ && input_->failure())
            return end(complain(*input_->failure()), nullptr);
        if (up_ && is_all && !again_.running() && (message_.qos == 0 || settled_ == sent_))
            session_.finish(*link_, exit_);
    }

    /// `cause` may be null: then the reason was said already.
    void end(Exit exit, const char* cause) {
        if (session_.finishing())
            return;
        if (cause != nullptr)
            std::fprintf(stderr, "error: %s\n", cause);
        if (message_.qos != 0 && sent_ > 1)
            std::fprintf(
                stderr,
                "hint: the server acknowledged %llu of %llu messages\n",
                static_cast<unsigned long long>(settled_),
                static_cast<unsigned long long>(sent_)
            );
        session_.finish(*link_, exit);
    }

    MqttSession& session_;
    const PubOptions& options_;
    Message message_;
    std::unique_ptr<MqttInput> input_;
    std::unique_ptr<mqtt::Link> link_;
    io::Timer again_;
    std::uint64_t sent_ = 0;
    std::uint64_t settled_ = 0;
    std::uint64_t rounds_left_ = 0;
    Exit exit_ = Exit::ok;
    bool up_ = false;
};

Result<void> check(const PubOptions& options, const MqttTarget& target) {
    const int sources = int{options.has_message} + int{!options.file.empty()} + int{options.null_message} +
                        int{options.lines} + int{options.all_input};
    if (sources != 1)
        return fail(
            Errc::invalid,
            "brim mqtt pub",
            sources == 0 ? "there is nothing to publish" : "there is more than one thing to publish",
            "give exactly one of -m TEXT, -f FILE, -n (empty), -l (lines of standard input), -s (all of it)"
        );
    if (target.topics.size() != 1)
        return fail(Errc::invalid, "-t", "one topic is needed", "give it with -t, or in the URL of -L");
    if (!mqtt::is_topic_name(target.topics.front()))
        return fail(
            Errc::invalid,
            "-t " + target.topics.front(),
            "that is no topic to publish to",
            "leave + and # away: they are for brim mqtt sub"
        );
    if (options.message.size() > MqttLimits::payload_bytes_max)
        return fail(Errc::too_large, "-m", "a message has at most 64 MiB", "split it");
    return {};
}

} // namespace

Exit mqtt_pub(const PubOptions& options) {
    Exit exit = Exit::ok;
    const auto session = MqttSession::make(options.words, exit);
    if (!session)
        return exit;
    if (const auto checked = check(options, session->target()); !checked)
        return static_cast<Exit>(complain_of_words(checked.error()));
    Message message = session->target().publish;
    message.topic = session->target().topics.front();
    message.retain = options.retain;
    message.payload = options.message;
    if (!options.file.empty()) {
        auto read = io::read_file(session->env().disk(), options.file, MqttLimits::payload_bytes_max);
        if (!read)
            return complain(read.error());
        message.payload = std::move(*read);
    }
    return Publisher(*session, options, std::move(message)).run();
}

} // namespace brim::cli
