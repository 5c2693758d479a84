#include "hub/feed.h"

#include <doctest/doctest.h>

using namespace brim::hub;

namespace {

constexpr unsigned all_types = (1U << feed_type_count) - 1;

struct Seen {
    std::vector<std::string> data;
    bool missed = false;
    Feed::ReaderId reader = 0;

    void join(Feed& feed, FeedFilter filter, std::uint64_t last_id = 0) {
        reader = feed.subscribe(std::move(filter), last_id, missed, [this](const FeedItemPtr& item) {
            data.push_back(item->data);
            last = item->id;
        });
    }

    std::uint64_t last = 0;
};

using Texts = std::vector<std::string>;

} // namespace

TEST_CASE("a reader gets later items that match its filter, until it leaves") {
    Feed feed(1);
    feed.publish(FeedType::status, "a/1", "early");
    Seen all, one;
    all.join(feed, {all_types, {}});
    one.join(feed, {1U << static_cast<unsigned>(FeedType::property), {"a/1"}});
    feed.publish(FeedType::property, "a/1", "p1");
    feed.publish(FeedType::property, "a/2", "p2");
    feed.publish(FeedType::event, "a/1", "e1");
    CHECK(all.data == Texts{"p1", "p2", "e1"});
    CHECK(one.data == Texts{"p1"});
    feed.unsubscribe(all.reader);
    feed.publish(FeedType::event, "a/1", "late");
    CHECK(all.data.size() == 3);
    CHECK(feed.readers() == 1);
}

TEST_CASE("a reader resumes where it was, and is told when something is gone") {
    Feed feed(1, {.ring_items_max = 3});
    Seen first;
    first.join(feed, {all_types, {}});
    feed.publish(FeedType::set, "d", "1");
    const std::uint64_t at = first.last;
    for (const char* text : {"2", "3", "4"})
        feed.publish(FeedType::set, "d", text);
    Seen whole, gap, fresh;
    whole.join(feed, {all_types, {}}, at);
    CHECK(whole.data == Texts{"2", "3", "4"});
    CHECK_FALSE(whole.missed);
    feed.publish(FeedType::set, "d", "5"); // pushes "2" out
    gap.join(feed, {all_types, {}}, at);
    CHECK(gap.data == Texts{"3", "4", "5"});
    CHECK(gap.missed);
    fresh.join(feed, {all_types, {}});
    CHECK(fresh.data.empty());
    CHECK_FALSE(fresh.missed);
}

TEST_CASE("ids of an earlier start are older than all of this one, and count as missed") {
    Feed before(1);
    Feed after(2);
    Seen old, resumed;
    old.join(before, {all_types, {}});
    before.publish(FeedType::set, "d", "x");
    resumed.join(after, {all_types, {}}, old.last);
    CHECK(resumed.missed);
    after.publish(FeedType::set, "d", "y");
    CHECK(resumed.last > old.last);
}

TEST_CASE("the ring is bounded in bytes too") {
    Feed feed(1, {.ring_items_max = 100, .ring_bytes_max = 10});
    feed.publish(FeedType::set, "d", std::string(6, 'a'));
    feed.publish(FeedType::set, "d", std::string(6, 'b'));
    Seen resumed;
    resumed.join(feed, {all_types, {}}, 1);
    CHECK(resumed.data == Texts{std::string(6, 'b')});
}

TEST_CASE("message items are wanted only while somebody listens to them") {
    Feed feed(1);
    CHECK(feed.wanted(FeedType::status));
    CHECK_FALSE(feed.wanted(FeedType::message));
    Seen other, listener;
    other.join(feed, {1U << static_cast<unsigned>(FeedType::status), {}});
    CHECK_FALSE(feed.wanted(FeedType::message));
    listener.join(feed, {1U << static_cast<unsigned>(FeedType::message), {}});
    CHECK(feed.wanted(FeedType::message));
    feed.unsubscribe(listener.reader);
    CHECK_FALSE(feed.wanted(FeedType::message));
}

TEST_CASE("a reader may leave from inside its own delivery, and the next one still gets the item") {
    Feed feed(1);
    Feed::ReaderId leaver = 0;
    int calls = 0;
    bool missed = false;
    leaver = feed.subscribe({all_types, {}}, 0, missed, [&](const FeedItemPtr&) {
        ++calls;
        feed.unsubscribe(leaver);
    });
    Seen next;
    next.join(feed, {all_types, {}});
    feed.publish(FeedType::set, "d", "1");
    feed.publish(FeedType::set, "d", "2");
    CHECK(calls == 1);
    CHECK(next.data == Texts{"1", "2"});
}
