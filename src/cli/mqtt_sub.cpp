// brim mqtt sub: prints what arrives.

#include "cli/mqtt_commands.h"
#include "cli/mqtt_format.h"
#include "cli/mqtt_session.h"
#include "mqtt/topic_filter.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace brim::cli {

namespace {

class Subscriber final : private mqtt::LinkEvents {
public:
    Subscriber(MqttSession& session, const SubOptions& options, MessageFormat format)
        : session_(session), options_(options), format_(std::move(format)), link_(session.link(*this)),
          wait_(session.loop()) {}

    Exit run() {
        if (options_.wait_s > 0)
            wait_.start(
                std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options_.wait_s)),
                [this] { waited(); }
            );
        link_->start();
        const Exit exit = session_.run([this] { session_.finish(*link_, Exit::ok); });
        std::fflush(stdout);
        return exit;
    }

private:
    void waited() {
        const std::string wanted =
            options_.count == 0 ? "" : " of " + std::to_string(options_.count) + " messages";
        session_.finish(
            *link_,
            complain(
                {Errc::timeout,
                 "brim mqtt sub",
                 "the time of -W is over; printed: " + std::to_string(printed_) + wanted,
                 "wait longer with -W, or check the topic filter with -t '#'"}
            )
        );
    }

    mqtt::ClientOptions login() override {
        mqtt::ClientOptions made = session_.target().login;
        // Whoever keeps a session over reconnects of this run must not clear it by them.
        if (was_up_ && options_.words.keep_session)
            made.clean_start = false;
        return made;
    }

    void on_up(const mqtt::Connack& connack) override {
        session_.debug("connected: " + connack_text(connack));
        was_up_ = true;
        removing_ = 0;
        const auto handling = options_.retain_handling == "new"     ? mqtt::RetainHandling::send_if_new
                              : options_.retain_handling == "never" ? mqtt::RetainHandling::never
                                                                    : mqtt::RetainHandling::send;
        mqtt::Subscribe packet;
        for (const std::string& filter : session_.target().topics)
            packet.filters.push_back(
                {filter,
                 session_.target().publish.qos,
                 options_.no_local,
                 options_.retain_as_published,
                 handling}
            );
        packet.subscription_id = session_.target().subscription_id;
        for (const auto& [name, value] : session_.target().subscribe_properties)
            packet.user_properties.emplace_back(name, value);
        waiting_ = packet.filters.size();
        refused_ = 0;
        auto asked = link_->client().unsubscribe(options_.unsubscribe, link_->now());
        if (asked)
            asked = link_->client().subscribe_as(std::move(packet), link_->now());
        if (!asked)
            session_.finish(*link_, complain(asked.error()));
    }

    void on_down(const Error& why, std::chrono::milliseconds retry_in) override {
        if (session_.finishing())
            return;
        const Error told = explained(why, session_.target());
        const bool is_final = why.code == Errc::denied || why.code == Errc::unauthenticated ||
                              why.code == Errc::conflict || why.code == Errc::too_large;
        if (!was_up_ || is_final)
            return session_.finish(*link_, complain(told));
        std::fprintf(
            stderr,
            "warning: %s: %s; trying again in %.1f s\n",
            printable(told.object).c_str(),
            printable(told.cause).c_str(),
            static_cast<double>(retry_in.count()) / 1'000
        );
    }

    void on_settled(mqtt::PublishTag, mqtt::ReasonCode reason) override {
        if (mqtt::is_failure(reason) && exit_ == Exit::ok) {
            exit_ = complain(
                {Errc::denied,
                 "--remove-retained",
                 "the server refused it: " + std::string(mqtt::reason_text(reason)),
                 "check what this user may publish"}
            );
        }
        removing_ -= removing_ > 0 ? 1 : 0;
        if (is_over_)
            end(exit_);
    }

    /// Not before the server has cleared what it was asked to.
    void end(Exit exit) {
        is_over_ = true;
        if (exit_ == Exit::ok)
            exit_ = exit;
        if (removing_ == 0)
            session_.finish(*link_, exit_);
    }

    /// False when the message has to come again.
    bool remove(const Message& retained) {
        Message empty;
        empty.topic = retained.topic;
        empty.qos = 1;
        empty.retain = true;
        if (const auto sent = link_->client().publish(empty, ++removed_, link_->now()); !sent) {
            session_.finish(*link_, complain(sent.error()));
            return false;
        }
        session_.debug("clearing " + retained.topic);
        ++removing_;
        return true;
    }

    void on_subscribed(std::string_view filter, mqtt::ReasonCode reason) override {
        --waiting_;
        session_.debug("subscription " + std::string(filter) + ": " + std::string(mqtt::reason_text(reason)));
        if (mqtt::is_failure(reason)) {
            ++refused_;
            const Exit code = complain(
                {Errc::denied,
                 "subscription to " + std::string(filter),
                 "the server refused it: " + std::string(mqtt::reason_text(reason)),
                 "check the filter and what this user may subscribe to"}
            );
            if (refused_ == session_.target().topics.size() || options_.exit_subscribed)
                return session_.finish(*link_, code);
        }
        if (waiting_ == 0 && options_.exit_subscribed)
            session_.finish(*link_, Exit::ok);
    }

    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override {
        // Not acknowledged once we are leaving: a kept session gets it the next time.
        if (session_.finishing() || is_over_)
            return false;
        session_.debug("received " + message_text(*message));
        if (options_.fresh_only && message->retain)
            return true;
        if (options_.retained_only && !message->retain) {
            end(Exit::ok);
            return false;
        }
        const auto matches = [&](const std::string& filter) {
            return mqtt::filter_matches(filter, message->topic);
        };
        if (std::ranges::any_of(options_.filter_out, matches))
            return true;
        if (options_.remove_retained && message->retain && !message->payload.empty() && !remove(*message))
            return false;
        if (options_.share_percent < 100 && !is_drawn())
            return true;
        return print({*message, packet_id, session_.loop().clock().wall()});
    }

    bool is_drawn() {
        constexpr std::uint64_t steps = 1'000'000;
        return static_cast<double>(session_.env().random().u64() % steps) <
               options_.share_percent / 100 * static_cast<double>(steps);
    }

    bool print(const Received& received) {
        auto line = format_.print(received);
        // As mosquitto_sub does it: a script that splits at the space finds two words in each line.
        if (line && options_.verbose && received.message.payload.empty())
            *line += "(null)";
        if (!line) {
            (void)complain(line.error());
            return true;
        }
        if (!options_.no_line_end)
            *line += '\n';
        // Out before it is acknowledged: what a dead pipe did not take is not ours to confirm.
        if (std::fwrite(line->data(), 1, line->size(), stdout) != line->size() || std::fflush(stdout) != 0) {
            // A reader that has enough (head -1) is no failure worth words.
            const int why = errno;
            session_.finish(
                *link_, why == EPIPE ? Exit::failure : complain(errno_error("standard output", why))
            );
            return false;
        }
        if (++printed_ == options_.count)
            end(Exit::ok);
        return true;
    }

    MqttSession& session_;
    const SubOptions& options_;
    const MessageFormat format_;
    std::unique_ptr<mqtt::Link> link_;
    io::Timer wait_;
    std::uint64_t printed_ = 0;
    std::size_t waiting_ = 0;
    std::size_t refused_ = 0;
    std::uint64_t removed_ = 0;
    std::uint64_t removing_ = 0; ///< of them, those without an acknowledgement
    Exit exit_ = Exit::ok;
    bool is_over_ = false;
    bool was_up_ = false;
};

Result<void> check(const SubOptions& options, const MqttTarget& target) {
    if (target.topics.empty())
        return fail(
            Errc::invalid, "-t", "at least one topic filter is needed", "give it with -t, for all: -t '#'"
        );
    if (target.topics.size() > MqttLimits::filters_max)
        return fail(Errc::invalid, "-t", "there are more than 1,000 topic filters", "use wildcards");
    for (const auto* list : {&target.topics, &options.filter_out, &options.unsubscribe}) {
        for (const std::string& text : *list) {
            if (const auto filter = mqtt::TopicFilter::parse(text, {65'535, 65'535}); !filter)
                return fail(Errc::invalid, "filter " + text, filter.error().cause, filter.error().fix);
        }
    }
    if (options.fresh_only && options.retained_only)
        return fail(Errc::invalid, "-R", "together with --retained-only nothing is left", "use one of them");
    if (!options.format.empty() && options.verbose)
        return fail(Errc::invalid, "-v", "--format says already what is printed", "use one of them");
    const bool asks_v5 = options.no_local || options.retain_as_published ||
                         options.retain_handling != "always" || target.subscription_id != 0;
    if (asks_v5 && target.login.version != mqtt::ProtocolVersion::v5)
        return fail(
            Errc::invalid,
            "-V",
            "--no-local, --retain-as-published, --retain-handling and subscription identifiers are of MQTT 5",
            "leave -V away"
        );
    return {};
}

} // namespace

Exit mqtt_sub(const SubOptions& options) {
    Exit exit = Exit::ok;
    const auto session = MqttSession::make(options.words, exit);
    if (!session)
        return exit;
    if (const auto checked = check(options, session->target()); !checked)
        return static_cast<Exit>(complain_of_words(checked.error()));
    auto format = MessageFormat::parse(
        !options.format.empty() ? options.format : std::string(options.verbose ? "%t %p" : "%p")
    );
    if (!format)
        return static_cast<Exit>(complain_of_words(format.error()));
    return Subscriber(*session, options, std::move(*format)).run();
}

} // namespace brim::cli
