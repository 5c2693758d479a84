#pragma once
// What a message carries through bridges so that it arrives once: who began it, its number there, and the
// brokers it was handed on by. One MQTT 5 user property, `brim-bridge`:
//
//   hub-1,edge-7;9f3a6b1200c4d5e6.42
//   path, the first broker's id first; then the number: the random run of that broker's start and a count
//
// The path and the number together name the message everywhere: its id is the path's first name and the
// number.

#include "base/message.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brim::broker {

inline constexpr std::string_view bridge_mark_name = "brim-bridge";
inline constexpr std::size_t bridge_hops_max =
    8; ///< brokers in a path; a message that has them goes no further
inline constexpr std::size_t broker_id_bytes_max = 64;

/// True when `text` may name a broker in a path: 1..64 characters of [0-9A-Za-z_.-].
bool is_broker_id(std::string_view text) noexcept;

struct BridgeMark {
    std::vector<std::string> path; ///< 1..8 ids
    std::string number;            ///< 1..40 characters of [0-9a-f.]

    /// Nothing when the text is no mark.
    static std::optional<BridgeMark> parse(std::string_view text);
    std::string text() const;

    std::string id() const { return path.front() + ";" + number; }

    bool passed(std::string_view broker) const;
};

/// The mark a message carries. `bad` when it has one that cannot be read, or more than one.
struct FoundMark {
    std::optional<BridgeMark> mark;
    bool bad = false;
};

FoundMark find_mark(const Message& message);

/// A copy of the message that carries this mark instead of any it had.
MessagePtr with_mark(const Message& message, const BridgeMark& mark);

/// Which messages came lately, and what is to be told about those under way. Loop thread only.
///
/// A second copy of a message that is still being stored waits for the first one's end: acknowledging it at
/// once would promise what is not yet kept.
class SeenMessages {
public:
    using Done = std::function<void(bool taken)>;

    explicit SeenMessages(std::size_t count_max = 65'536) : count_max_(count_max) {}

    enum class Answer : std::uint8_t {
        fresh,   ///< the first copy: settle() must follow
        waiting, ///< a copy of one under way: `done` is called by settle()
        known,   ///< a copy of one that was taken
    };
    /// `qos0`: of this copy. A copy with QoS 1 after one with QoS 0 is fresh: it promises more.
    Answer ask(const std::string& id, bool qos0, Done done);
    /// The end of the copy that was fresh. Not taken: it is forgotten, so that it may come again.
    void settle(const std::string& id, bool taken);

    std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        bool settled = false;
        bool qos0 = false;
        std::uint64_t turn = 0; ///< which of the order's entries is meant
        std::vector<Done> waiting;
    };

    void trim();

    std::size_t count_max_;
    std::uint64_t turns_ = 0;
    std::map<std::string, Entry, std::less<>> entries_;
    std::deque<std::pair<std::string, std::uint64_t>> order_; ///< of the settled ones, oldest first
};

} // namespace brim::broker
