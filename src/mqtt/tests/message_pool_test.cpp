#include "mqtt/internal/message_pool.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace brim::mqtt {

TEST_CASE("a message nobody holds is handed out again, its properties forgotten") {
    MessagePool pool;
    auto message = pool.take();
    const Message* const first = message.get();
    message->qos = 2;
    message->retain = true;
    message->payload_is_utf8 = true;
    message->expiry_s = 9;
    message->content_type = "text/plain";
    message->response_topic = "r";
    message->correlation = "c";
    message->user_properties.emplace_back("a", "b");
    pool.give_back(std::move(message));
    CHECK(pool.kept() == 1);
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
    CHECK(pool.kept() == 0);
}

TEST_CASE("a message somebody holds is never handed out again, and is once it was let go") {
    MessagePool pool;
    std::vector<MessagePtr> held;
    for (int i = 0; i < 3'000; ++i) { // more than the pool keeps
        auto message = pool.take();
        message->payload = std::to_string(i);
        if (i % 3 != 0)
            held.push_back(message);
        pool.give_back(std::move(message));
    }
    CHECK(pool.kept() <= MessagePool::kept_max);
    int expected = 0;
    for (const MessagePtr& message : held) {
        expected += expected % 3 == 0 ? 1 : 0;
        CHECK(message->payload == std::to_string(expected++));
    }
    held.clear();
    const std::size_t kept = pool.kept();
    std::vector<std::shared_ptr<Message>> taken;
    for (std::size_t i = 0; i < kept; ++i)
        taken.push_back(pool.take());
    CHECK(pool.kept() == 0);
}

TEST_CASE("messages that are held for long do not keep others from being used again") {
    MessagePool pool;
    std::vector<MessagePtr> held;
    for (int i = 0; i < 100; ++i) {
        auto message = pool.take();
        held.push_back(message);
        pool.give_back(std::move(message));
    }
    for (int i = 0; i < 1'000; ++i) // all but those are let go at once
        pool.give_back(pool.take());
    CHECK(pool.kept() == 101);
}

TEST_CASE("a message taken while another one is on its way is another one") {
    MessagePool pool;
    pool.give_back(pool.take());
    auto outer = pool.take();
    auto inner = pool.take();
    CHECK(outer != inner);
    pool.give_back(std::move(inner));
    pool.give_back(std::move(outer));
    CHECK(pool.kept() == 2);
}

TEST_CASE("the pool keeps no large payload, and nothing at all while idle") {
    MessagePool pool;
    auto small = pool.take();
    auto large = pool.take();
    small->payload.assign(MessagePool::kept_payload_bytes_max, 'x');
    large->payload.assign(MessagePool::kept_payload_bytes_max + 1, 'x');
    pool.give_back(std::move(small));
    pool.give_back(std::move(large));
    CHECK(pool.kept() == 1);
    pool.trim(); // used since it was made
    CHECK(pool.kept() == 1);
    pool.trim();
    CHECK(pool.kept() == 0);
}

} // namespace brim::mqtt
