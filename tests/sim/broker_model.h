#pragma once
// The laws, and MQTT's own promises, for a stand-alone broker: judged from what the outside world recorded,
// with no knowledge of how the broker works. It demands only what was promised: "acknowledged" is what the
// client saw, "subscribed" is a SUBACK that came before the message was sent.

#include "sim/broker_recorder.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace brim::sim {

class BrokerModel {
public:
    /// Of a run that is over.
    explicit BrokerModel(const BrokerRecorder& recorder);

    /// `witness` was subscribed to "w/#" with QoS 2 from the beginning, in a session that was kept.
    std::vector<Violation> check(std::size_t witness);
    /// `newcomer` subscribed to "r/#" when all was quiet: it must have got what was retained last.
    std::vector<Violation> check_retained(std::size_t newcomer);

private:
    void report(unsigned law, std::string text);
    void check_receipts(std::size_t who);
    void check_receipt(const ClientFacts& facts, const Receipt& receipt);
    void check_once(std::size_t who);
    bool is_inherited(std::size_t who, const Receipt& receipt) const;
    void check_order(std::size_t who);
    void check_delivered(std::size_t who);
    void check_retained_answers(std::size_t who);
    void check_groups();
    void check_group(const std::string& group);
    void
    check_will(const ClientFacts& facts, const Attempt& attempt, std::size_t number, std::size_t witness);
    void check_wills(std::size_t witness);

    const SentMessage* message(std::uint64_t number) const;
    bool is_banned(const ClientFacts& facts, std::string_view topic, const Moment& since) const;
    bool has_wish(const ClientFacts& facts, const Receipt& receipt, const SentMessage& sent) const;
    bool is_owed(const Wish& wish, const SentMessage& sent) const;
    /// A subscription of `facts` stood from before the message was sent until the receipt came.
    bool has_stood(const ClientFacts& facts, const Receipt& receipt, const SentMessage& sent) const;
    std::string name_of(const SentMessage& sent) const;
    static std::uint64_t dropped_full(const ClientFacts& facts);
    /// The number of the last retained message on `topic` that was acknowledged before `moment`; 0 = none.
    std::uint64_t retained_before(const Moment& moment, const std::string& topic) const;

    const BrokerRecorder& recorder_;
    std::map<std::string, std::vector<const SentMessage*>> retained_; ///< by topic, as they were sent
    std::vector<Violation> violations_;
};

/// Section 4.7 of MQTT, by the shortest way.
bool topic_matches(std::string_view filter, std::string_view topic);

} // namespace brim::sim
