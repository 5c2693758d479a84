#include "broker/bridge_set.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace brim::broker {

BridgeSet::BridgeSet(io::Env& env, LocalBroker& local, std::string broker_id)
    : env_(env), local_(local), id_(std::move(broker_id)), run_(env.random().hex(8)),
      alive_(std::make_shared<char>()) {
    BRIM_ASSERT(is_broker_id(id_), "a broker id that cannot stand in a path");
}

BridgeSet::~BridgeSet() = default;

Result<Bridge*> BridgeSet::add(BridgeSettings settings, mqtt::Link::Wrap wrap) {
    if (std::ranges::find(bridges_, settings.name, &Bridge::name) != bridges_.end())
        return fail(
            Errc::exists, "bridge \"" + settings.name + "\"", "there is one of this name", "rename it"
        );
    auto bridge = Bridge::open(env_, *this, id_, std::move(settings), std::move(wrap));
    if (!bridge)
        return fail(bridge.error());
    bridges_.push_back(std::move(*bridge));
    return bridges_.back().get();
}

void BridgeSet::start() {
    for (const auto& bridge : bridges_)
        bridge->start();
}

void BridgeSet::stop(std::function<void()> done) {
    const auto left = std::make_shared<std::size_t>(bridges_.size() + 1); // shared by the bridges' callbacks
    const auto one = [left, done = std::move(done)] {
        if (--*left == 0 && done)
            done();
    };
    for (const auto& bridge : bridges_)
        bridge->stop(one);
    one();
}

bool BridgeSet::touched(std::string_view topic) const {
    return std::ranges::any_of(bridges_, [topic](const auto& bridge) { return bridge->touches(topic); });
}

void BridgeSet::later(Done done, Result<void> outcome) {
    env_.loop().post([alive = std::weak_ptr(alive_), done = std::move(done), outcome = std::move(outcome)] {
        if (!alive.expired() && done)
            done(outcome);
    });
}

// Looks at the mark. `route` becomes what is to be delivered; `id` is set when settle() must follow.
BridgeSet::Entry BridgeSet::enter(
    const MessagePtr& message, MessagePtr& route, std::string& id, bool& carry, const Done& done
) {
    FoundMark found = find_mark(*message);
    if (found.bad) {
        ++bad_marks_;
        return Entry::drop;
    }
    if (!found.mark) {
        route = message;
        if (!touched(message->topic))
            return Entry::go_on;
        route = with_mark(*message, BridgeMark{{id_}, run_ + "." + std::to_string(++count_)});
        return Entry::go_on; // nobody else has its id yet; it is remembered below
    }
    BridgeMark& mark = *found.mark;
    if (mark.passed(id_)) {
        ++loops_cut_;
        return Entry::drop;
    }
    const auto tell = [this, done](bool taken) {
        later(
            done,
            taken ? Result<void>{}
                  : fail(Errc::busy, "bridged message", "its first copy was not stored", "send it again")
        );
    };
    const auto seen = seen_.ask(mark.id(), message->qos == 0, tell);
    if (seen != SeenMessages::Answer::fresh) {
        ++loops_cut_;
        return seen == SeenMessages::Answer::waiting ? Entry::wait : Entry::drop;
    }
    id = mark.id();
    carry = mark.path.size() < bridge_hops_max;
    if (carry)
        mark.path.push_back(id_);
    else
        ++too_far_;
    route = with_mark(*message, mark);
    return Entry::go_on;
}

std::size_t BridgeSet::offer(const Message& message, const std::shared_ptr<Wait>& wait) {
    std::size_t pending = 0;
    for (const auto& bridge : bridges_) {
        const auto taken =
            bridge->accept(message, [this, alive = std::weak_ptr(alive_), wait](const Result<void>& outcome) {
                if (!alive.expired())
                    landed(*wait, outcome);
            });
        if (taken == Bridge::Taken::pending) {
            ++wait->left;
            ++pending;
        } else if (taken == Bridge::Taken::refused && message.qos > 0) {
            wait->error = Error{
                Errc::full, "bridge \"" + bridge->name() + "\"", "its queue takes nothing", "try again later"
            };
        }
    }
    return pending;
}

void BridgeSet::landed(Wait& wait, const Result<void>& outcome) {
    if (!outcome && !wait.error)
        wait.error = outcome.error();
    if (--wait.left > 0)
        return;
    if (!wait.id.empty())
        seen_.settle(wait.id, !wait.error);
    const Done done = std::exchange(wait.done, nullptr);
    if (done)
        done(wait.error ? Result<void>(std::unexpected<Error>(*wait.error)) : Result<void>{});
}

BridgeSet::Taken BridgeSet::take(const MessagePtr& message, Done done) {
    if (bridges_.empty())
        return {message, false};
    MessagePtr route;
    std::string id;
    bool carry = true;
    switch (enter(message, route, id, carry, done)) {
    case Entry::drop:
        // Through the loop: what the first copy wrote is on disk before this one is acknowledged.
        later(std::move(done), {});
        return {nullptr, true};
    case Entry::wait:
        return {nullptr, true};
    case Entry::go_on:
        break;
    }
    const auto wait = std::make_shared<Wait>(); // shared by the callbacks of the bridges that took it
    wait->id = std::move(id);
    const std::size_t pending = carry ? offer(*route, wait) : 0;
    if (pending == 0 && !wait->error) {
        landed(*wait, {});
        return {std::move(route), false};
    }
    wait->done = std::move(done);
    // A publisher that will try again must not have it delivered twice by us.
    if (wait->error && wait->done)
        route = nullptr;
    env_.loop().post([this, alive = std::weak_ptr(alive_), wait] {
        if (!alive.expired())
            landed(*wait, {});
    });
    return {std::move(route), true};
}

void BridgeSet::publish(const MessagePtr& message, Done done) {
    MessagePtr route;
    std::string id;
    bool carry = true;
    const std::uint64_t cut_before = loops_cut_;
    const Entry entry = enter(message, route, id, carry, done);
    for (const auto& bridge : bridges_) {
        if (loops_cut_ != cut_before && bridge->origin() == message->origin)
            bridge->count_loop();
    }
    switch (entry) {
    case Entry::drop:
        return later(std::move(done), {});
    case Entry::wait:
        return;
    case Entry::go_on:
        break;
    }
    const auto wait = std::make_shared<Wait>(); // as above, and of the local broker's
    wait->id = std::move(id);
    wait->done = std::move(done);
    if (carry)
        offer(*route, wait);
    if (wait->error) { // the remote broker keeps it until there is room
        landed(*wait, {});
        return;
    }
    local_.publish(route, [this, alive = std::weak_ptr(alive_), wait](const Result<void>& outcome) {
        if (!alive.expired())
            landed(*wait, outcome);
    });
}

} // namespace brim::broker
