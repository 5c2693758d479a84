#include "mqtt/internal/message_pool.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace brim::mqtt {

TEST_CASE("a message nobody holds is handed out again, its properties forgotten") {
    MessagePool pool;
    const Message* first = nullptr;
    {
        const auto message = pool.take();
        first = message.get();
        message->qos = 2;
        message->retain = true;
        message->payload_is_utf8 = true;
        message->expiry_s = 9;
        message->content_type = "text/plain";
        message->response_topic = "r";
        message->correlation = "c";
        message->user_properties.emplace_back("a", "b");
    }
    const auto again = pool.take();
    CHECK(again.get() == first);
    CHECK(again->qos == 0);
    CHECK_FALSE(again->retain);
    CHECK_FALSE(again->payload_is_utf8);
    CHECK(again->expiry_s == -1);
    CHECK(again->content_type.empty());
    CHECK(again->response_topic.empty());
    CHECK(again->correlation.empty());
    CHECK(again->user_properties.empty());
    CHECK(pool.kept() == 1);
}

TEST_CASE("a message somebody holds is never handed out again") {
    MessagePool pool;
    std::vector<MessagePtr> held;
    for (int i = 0; i < 3'000; ++i) { // more than the pool keeps
        const auto message = pool.take();
        message->payload = std::to_string(i);
        if (i % 3 != 0)
            held.push_back(message);
    }
    CHECK(pool.kept() <= MessagePool::kept_max);
    int expected = 0;
    for (const MessagePtr& message : held) {
        expected += expected % 3 == 0 ? 1 : 0;
        CHECK(message->payload == std::to_string(expected++));
    }
}

TEST_CASE("the pool keeps no large payload, and nothing at all while idle") {
    MessagePool pool;
    pool.take()->payload.assign(MessagePool::kept_payload_bytes_max, 'x');
    pool.take()->payload.assign(MessagePool::kept_payload_bytes_max + 1, 'x');
    CHECK(pool.take()->payload.capacity() <= MessagePool::kept_payload_bytes_max);
    CHECK(pool.kept() == 1);
    pool.trim(); // used since it was made
    CHECK(pool.kept() == 1);
    pool.trim();
    CHECK(pool.kept() == 0);
}

} // namespace brim::mqtt
