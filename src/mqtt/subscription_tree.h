#pragma once
// Who subscribed to what. Filters without wildcard sit in one hash table; those with one in a trie of
// interned levels, walked level by level without recursion. The cost of a match depends on the topic and on
// what matches, not on how many other subscriptions there are.

#include "mqtt/internal/key_index.h"
#include "mqtt/packet.h"
#include "mqtt/topic_filter.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace brim::mqtt {

struct SubscriptionOptions {
    std::uint32_t id = 0; ///< subscription identifier, 0 = none
    std::uint8_t qos = 0;
    bool no_local = false;
    bool retain_as_published = false;
    bool operator==(const SubscriptionOptions&) const = default;
};

/// Lives on one loop. Pointers it hands out are valid until the next add() or remove().
class SubscriptionTree {
public:
    /// The owner's number of a subscriber.
    using Subscriber = std::uint32_t;

    struct Entry {
        Subscriber subscriber = 0;
        SubscriptionOptions options;
    };

    /// One shared subscription ($share/group/filter): a message goes to one of its members.
    struct Group {
        std::string name;
        std::vector<Entry> members; ///< in the order of their numbers; never empty
        std::size_t next = 0;       ///< whose turn it is; the owner moves it on
    };

    struct Matches {
        std::vector<Entry> plain; ///< one for each matching filter: a subscriber may come several times
        std::vector<Group*> groups;
    };

    SubscriptionTree();
    ~SubscriptionTree();
    SubscriptionTree(const SubscriptionTree&) = delete;
    SubscriptionTree& operator=(const SubscriptionTree&) = delete;

    /// True when it is new; false when it replaced the options of the same filter.
    bool add(const TopicFilter& filter, Subscriber subscriber, const SubscriptionOptions& options);
    /// False when there was none.
    bool remove(const TopicFilter& filter, Subscriber subscriber);
    /// The members of a shared subscription; null when it has none.
    Group* find_group(const TopicFilter& filter);
    /// Replaces the contents of `matches`. `topic` is a topic name.
    void match(std::string_view topic, Matches& matches);

    std::size_t size() const { return size_; }

    /// Changes whenever a match could give another answer.
    std::uint64_t generation() const { return generation_; }

    /// Nodes and interned levels in use: both are 0 when the last wildcard subscription is gone.
    std::size_t node_count() const { return nodes_used_; }

    std::size_t level_count() const { return level_index_.size(); }

private:
    struct Terminal;
    struct Node;

    struct TextHash {
        using is_transparent = void;

        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };

    template <class V> using TextMap = std::unordered_map<std::string, V, TextHash, std::equal_to<>>;

    /// An interned level: what the edges are called.
    struct Level {
        std::string text;
        std::uint32_t uses = 0; ///< edges; 0: the place is free
    };

    struct TextOfLevel {
        const std::vector<Level>* levels;

        std::string_view operator()(std::uint32_t level) const { return (*levels)[level].text; }
    };

    /// Parent and level, by which a node is found.
    struct EdgeOfNode {
        const std::vector<Node>* nodes;

        std::uint64_t operator()(std::uint32_t node) const;
    };

    struct EdgeHash {
        std::size_t operator()(std::uint64_t edge) const noexcept;
    };

    Terminal& terminal_for(std::string_view filter);
    /// Where a filter with a wildcard has its subscribers, and the node that holds it; null when there is no
    /// such place.
    std::unique_ptr<Terminal>* find_terminal(std::string_view filter, std::uint32_t& node);
    std::uint32_t child_for(std::uint32_t node, std::string_view level);
    std::uint32_t find_child(std::uint32_t node, std::string_view level) const;
    std::uint32_t intern(std::string_view level);
    void prune(std::uint32_t node);
    std::uint32_t take_node(std::uint32_t parent);
    static bool add_to(Terminal& terminal, const TopicFilter& filter, const Entry& entry);
    static bool remove_from(Terminal& terminal, const TopicFilter& filter, Subscriber subscriber);
    static void collect(const std::unique_ptr<Terminal>& terminal, Matches& matches);
    void match_wildcards(std::string_view topic, Matches& matches);

    TextMap<std::unique_ptr<Terminal>> exact_;
    std::vector<Level> levels_; ///< [0] is "no level"
    std::vector<std::uint32_t> free_levels_;
    KeyIndex<TextOfLevel, std::hash<std::string_view>, IndexTags::byte> level_index_{TextOfLevel{&levels_}};
    std::vector<Node> nodes_; ///< [0] is the root
    std::vector<std::uint32_t> free_nodes_;
    KeyIndex<EdgeOfNode, EdgeHash, IndexTags::byte> children_{EdgeOfNode{&nodes_}
    }; ///< but those of '+' edges
    std::size_t nodes_used_ = 0;
    std::size_t size_ = 0;
    std::uint64_t generation_ = 1;
    std::vector<std::uint32_t> frontier_; ///< scratch of match()
    std::vector<std::uint32_t> next_frontier_;
};

} // namespace brim::mqtt
