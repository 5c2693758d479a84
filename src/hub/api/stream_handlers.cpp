// GET /api/v1/events: the feed as server-sent events.

#include "hub/api/handlers.h"

#include <charconv>

namespace brim::hub {

namespace {

constexpr std::size_t streams_max = 200;
constexpr Duration heartbeat_every = std::chrono::seconds{15};

unsigned type_bits(std::string_view list) {
    if (list.empty())
        list = "status,property,set,event";
    unsigned bits = 0;
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        for (unsigned i = 0; i < feed_type_count; ++i) {
            if (list.substr(0, comma) == feed_type_name(static_cast<FeedType>(i)))
                bits |= 1U << i;
        }
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return bits;
}

std::vector<std::string> split_devices(std::string_view list) {
    std::vector<std::string> devices;
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        if (comma > 0)
            devices.emplace_back(list.substr(0, comma));
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return devices;
}

/// One browser's or program's stream. Owns itself through the feed's reader and the writer's callbacks, until
/// gone.
class EventStream : public std::enable_shared_from_this<EventStream> {
public:
    EventStream(
        ApiContext& context,
        io::HttpRequest request,
        io::HttpStreamWriter writer,
        std::shared_ptr<std::size_t> open
    )
        : context_(context), request_(std::move(request)), writer_(std::move(writer)),
          heartbeat_(context.parts.env.loop()), open_(std::move(open)),
          changes_seen_(context.accounts.changes()) {
        ++*open_;
    }

    ~EventStream() {
        if (reader_ != 0)
            context_.parts.feed.unsubscribe(reader_);
        --*open_;
    }

    void start(FeedFilter filter, std::uint64_t last_id) {
        // The feed's reader shares ownership; on_gone and the loop below end it.
        auto self = shared_from_this();
        writer_.write("retry: 2000\n\n");
        writer_.on_gone([weak = weak_from_this()] {
            if (const auto alive = weak.lock())
                alive->stop();
        });
        writer_.on_drained([weak = weak_from_this()] {
            if (const auto alive = weak.lock())
                alive->tell_dropped();
        });
        bool missed = false;
        const auto deliver = [self](const FeedItemPtr& item) { self->send(*item); };
        reader_ = context_.parts.feed.subscribe(std::move(filter), last_id, missed, deliver);
        if (missed) {
            ++dropped_;
            tell_dropped();
        }
        beat();
    }

private:
    /// Rights are asked for at delivery too: whose token was revoked reads no further.
    bool may_read() {
        if (context_.caller(request_).role < Role::viewer)
            return false;
        changes_seen_ = context_.accounts.changes();
        return true;
    }

    void leave() {
        writer_.end();
        stop();
    }

    void send(const FeedItem& item) {
        if (changes_seen_ != context_.accounts.changes() && !may_read())
            return leave();
        std::string text = "id: " + std::to_string(item.id) + "\nevent: ";
        text.append(feed_type_name(item.type)).append("\ndata: ").append(item.data).append("\n\n");
        if (!writer_.write(text))
            ++dropped_;
    }

    void tell_dropped() {
        if (dropped_ == 0)
            return;
        const std::string text = "event: dropped\ndata: {\"count\":" + std::to_string(dropped_) + "}\n\n";
        if (writer_.write(text))
            dropped_ = 0;
    }

    void beat() {
        heartbeat_.start(heartbeat_every, [this] {
            if (!may_read()) { // not from inside the timer: leaving may end this object
                return context_.parts.env.loop().post([self = shared_from_this()] { self->leave(); });
            }
            writer_.write(": still here\n\n");
            beat();
        });
    }

    void stop() {
        const auto keep = shared_from_this();
        heartbeat_.stop();
        if (reader_ != 0)
            context_.parts.feed.unsubscribe(std::exchange(reader_, 0));
    }

    ApiContext& context_;
    io::HttpRequest request_; ///< says who reads
    io::HttpStreamWriter writer_;
    io::Timer heartbeat_;
    Feed::ReaderId reader_ = 0;
    std::uint64_t dropped_ = 0;
    std::shared_ptr<std::size_t> open_; ///< shared with the handler and all streams
    std::uint64_t changes_seen_;
};

} // namespace

void add_stream_handlers(Handlers& handlers, ApiContext& context) {
    auto open = std::make_shared<std::size_t>(0); // shared by the handler and its streams
    handlers["streamEvents"] = [&context, open](Call call) {
        if (*open >= streams_max) {
            return call.answer(
                {Errc::busy, "event stream", "too many streams are open", "close some, then try again"}
            );
        }
        FeedFilter filter{type_bits(call.text("types")), split_devices(call.text("device"))};
        const std::string_view last = call.request.headers.value("Last-Event-ID");
        std::uint64_t last_id = 0;
        std::from_chars(last.data(), last.data() + last.size(), last_id);
        auto writer = call.responder.start_stream(
            200,
            {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}
            }
        );
        std::make_shared<EventStream>(context, std::move(call.request), std::move(writer), open)
            ->start(std::move(filter), last_id);
    };
}

} // namespace brim::hub
