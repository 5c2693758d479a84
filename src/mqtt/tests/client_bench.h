#pragma once
// A client core with a host that remembers.

#include "mqtt/client.h"
#include "mqtt/codec.h"

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace brim::mqtt::bench {

class ClientRecorder final : public ClientHost {
public:
    void send(ByteView bytes) override { out += bytes; }

    void close(const Error& why) override { closes.push_back(why); }

    void on_connected(const Connack& connack) override {
        ++connects;
        session_present = connack.session_present;
        if (connected_hook)
            connected_hook();
    }

    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override {
        messages.push_back(message);
        ids.push_back(packet_id);
        return acknowledges;
    }

    void on_settled(PublishTag tag, ReasonCode reason) override {
        ++settled[tag];
        reasons[tag] = reason;
    }

    void on_subscribed(std::string_view filter, ReasonCode reason) override {
        subscribed[std::string(filter)] = reason;
    }

    Bytes out;
    std::vector<Error> closes;
    int connects = 0;
    bool session_present = false;
    bool acknowledges = true;
    std::vector<MessagePtr> messages;
    std::vector<std::uint16_t> ids;
    std::map<PublishTag, int> settled;
    std::map<PublishTag, ReasonCode> reasons;
    std::map<std::string, ReasonCode> subscribed;
    std::function<void()> connected_hook;
};

} // namespace brim::mqtt::bench
