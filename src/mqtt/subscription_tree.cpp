#include "mqtt/subscription_tree.h"

#include <algorithm>

namespace brim::mqtt {

/// There is one for each filter, and most have one subscriber and no group.
struct SubscriptionTree::Terminal {
    using Groups = std::vector<std::unique_ptr<Group>>;

    std::vector<Entry> plain;       ///< in the order of subscriber numbers
    std::unique_ptr<Groups> groups; ///< null for none

    bool empty() const { return plain.empty() && !groups; }
};

struct SubscriptionTree::Node {
    std::uint32_t parent = 0;
    std::uint32_t level = 0; ///< interned level of the edge from the parent; 0 for a '+' edge and the root
    std::uint32_t plus = 0;  ///< child for '+', 0 = none
    std::uint32_t children = 0;
    std::unique_ptr<Terminal> here; ///< filters that end in this node
    std::unique_ptr<Terminal> hash; ///< filters that end in '#' below it
};

namespace {

std::uint64_t edge(std::uint32_t node, std::uint32_t level) {
    return std::uint64_t{node} << 32 | level;
}

std::string_view take_level(std::string_view& rest, bool& more) {
    const std::size_t slash = rest.find('/');
    const std::string_view level = rest.substr(0, slash);
    more = slash != std::string_view::npos;
    rest = more ? rest.substr(slash + 1) : std::string_view{};
    return level;
}

template <class Entries> auto place_of(Entries& entries, std::uint32_t subscriber) {
    return std::lower_bound(
        entries.begin(),
        entries.end(),
        subscriber,
        [](const auto& entry, std::uint32_t wanted) { return entry.subscriber < wanted; }
    );
}

template <class Entry> bool put_entry(std::vector<Entry>& entries, const Entry& entry) {
    const auto place = place_of(entries, entry.subscriber);
    if (place != entries.end() && place->subscriber == entry.subscriber) {
        place->options = entry.options;
        return false;
    }
    entries.insert(place, entry);
    return true;
}

template <class Entry> bool erase_entry(std::vector<Entry>& entries, std::uint32_t subscriber) {
    const auto place = place_of(entries, subscriber);
    if (place == entries.end() || place->subscriber != subscriber)
        return false;
    entries.erase(place);
    return true;
}

/// A place in `items` nobody has: one given back, or a new one at the end.
template <class Items> std::uint32_t take_place(Items& items, std::vector<std::uint32_t>& free) {
    if (free.empty()) {
        items.emplace_back();
        return static_cast<std::uint32_t>(items.size() - 1);
    }
    const std::uint32_t place = free.back();
    free.pop_back();
    return place;
}

} // namespace

std::uint64_t SubscriptionTree::EdgeOfNode::operator()(std::uint32_t node) const {
    return edge((*nodes)[node].parent, (*nodes)[node].level);
}

/// Edges differ in few bits; those of one level ("cmd" below each device) in none of the lower half.
std::size_t SubscriptionTree::EdgeHash::operator()(std::uint64_t edge) const noexcept {
    edge = (edge ^ edge >> 33) * 0xFF51AFD7ED558CCD;
    edge = (edge ^ edge >> 33) * 0xC4CEB9FE1A85EC53;
    return edge ^ edge >> 33;
}

SubscriptionTree::SubscriptionTree() : levels_(1), nodes_(1) {}

SubscriptionTree::~SubscriptionTree() = default;

bool SubscriptionTree::add_to(Terminal& terminal, const TopicFilter& filter, const Entry& entry) {
    if (!filter.shared())
        return put_entry(terminal.plain, entry);
    if (!terminal.groups)
        terminal.groups = std::make_unique<Terminal::Groups>();
    for (const auto& group : *terminal.groups) {
        if (group->name == filter.group())
            return put_entry(group->members, entry);
    }
    terminal.groups->push_back(std::make_unique<Group>(Group{std::string(filter.group()), {entry}, 0}));
    return true;
}

bool SubscriptionTree::remove_from(Terminal& terminal, const TopicFilter& filter, Subscriber subscriber) {
    if (!filter.shared())
        return erase_entry(terminal.plain, subscriber);
    if (!terminal.groups)
        return false;
    for (auto it = terminal.groups->begin(); it != terminal.groups->end(); ++it) {
        Group& group = **it;
        if (group.name != filter.group())
            continue;
        if (!erase_entry(group.members, subscriber))
            return false;
        if (group.members.empty())
            terminal.groups->erase(it);
        if (terminal.groups->empty())
            terminal.groups.reset();
        return true;
    }
    return false;
}

std::uint32_t SubscriptionTree::take_node(std::uint32_t parent) {
    const std::uint32_t index = take_place(nodes_, free_nodes_);
    nodes_[index] = Node{};
    nodes_[index].parent = parent;
    ++nodes_[parent].children;
    ++nodes_used_;
    return index;
}

std::uint32_t SubscriptionTree::child_for(std::uint32_t node, std::string_view level) {
    if (level == "+") {
        if (nodes_[node].plus == 0) {
            const std::uint32_t child = take_node(node); // may move the nodes: the index is taken first
            nodes_[node].plus = child;
        }
        return nodes_[node].plus;
    }
    const std::uint32_t interned = intern(level);
    std::uint32_t child = children_.find(edge(node, interned));
    if (child == children_.none) {
        child = take_node(node);
        nodes_[child].level = interned;
        children_.insert(child);
        ++levels_[interned].uses;
    }
    return child;
}

std::uint32_t SubscriptionTree::intern(std::string_view level) {
    if (const std::uint32_t known = level_index_.find(level); known != level_index_.none)
        return known;
    const std::uint32_t id = take_place(levels_, free_levels_);
    levels_[id].text = level;
    level_index_.insert(id);
    return id;
}

std::uint32_t SubscriptionTree::find_child(std::uint32_t node, std::string_view level) const {
    if (level == "+")
        return nodes_[node].plus;
    const std::uint32_t interned = level_index_.find(level);
    if (interned == level_index_.none)
        return 0;
    const std::uint32_t child = children_.find(edge(node, interned));
    return child == children_.none ? 0 : child;
}

SubscriptionTree::Terminal& SubscriptionTree::terminal_for(std::string_view filter) {
    std::uint32_t node = 0;
    for (bool more = true; more;) {
        const std::string_view level = take_level(filter, more);
        if (level == "#") {
            if (!nodes_[node].hash)
                nodes_[node].hash = std::make_unique<Terminal>();
            return *nodes_[node].hash;
        }
        node = child_for(node, level);
    }
    if (!nodes_[node].here)
        nodes_[node].here = std::make_unique<Terminal>();
    return *nodes_[node].here;
}

bool SubscriptionTree::add(
    const TopicFilter& filter, Subscriber subscriber, const SubscriptionOptions& options
) {
    ++generation_;
    const Entry entry{subscriber, options};
    bool is_new = false;
    if (filter.wildcard()) {
        is_new = add_to(terminal_for(filter.filter()), filter, entry);
    } else {
        std::unique_ptr<Terminal>& terminal = exact_[std::string(filter.filter())];
        if (!terminal)
            terminal = std::make_unique<Terminal>();
        is_new = add_to(*terminal, filter, entry);
    }
    size_ += is_new ? 1 : 0;
    return is_new;
}

bool SubscriptionTree::remove(const TopicFilter& filter, Subscriber subscriber) {
    if (!filter.wildcard()) {
        const auto place = exact_.find(filter.filter());
        if (place == exact_.end() || !remove_from(*place->second, filter, subscriber))
            return false;
        if (place->second->empty())
            exact_.erase(place);
        ++generation_;
        --size_;
        return true;
    }
    std::uint32_t node = 0;
    std::unique_ptr<Terminal>* const terminal = find_terminal(filter.filter(), node);
    if (terminal == nullptr || !remove_from(**terminal, filter, subscriber))
        return false;
    if ((*terminal)->empty())
        terminal->reset();
    prune(node);
    ++generation_;
    --size_;
    return true;
}

std::unique_ptr<SubscriptionTree::Terminal>*
SubscriptionTree::find_terminal(std::string_view filter, std::uint32_t& node) {
    node = 0;
    bool ends_in_hash = false;
    for (bool more = true; more && !ends_in_hash;) {
        const std::string_view level = take_level(filter, more);
        ends_in_hash = level == "#";
        if (!ends_in_hash)
            node = find_child(node, level);
        if (!ends_in_hash && node == 0)
            return nullptr;
    }
    std::unique_ptr<Terminal>& terminal = ends_in_hash ? nodes_[node].hash : nodes_[node].here;
    return terminal ? &terminal : nullptr;
}

SubscriptionTree::Group* SubscriptionTree::find_group(const TopicFilter& filter) {
    const Terminal* terminal = nullptr;
    if (filter.wildcard()) {
        std::uint32_t node = 0;
        const std::unique_ptr<Terminal>* const found = find_terminal(filter.filter(), node);
        terminal = found == nullptr ? nullptr : found->get();
    } else if (const auto place = exact_.find(filter.filter()); place != exact_.end()) {
        terminal = place->second.get();
    }
    if (terminal == nullptr || !terminal->groups)
        return nullptr;
    const auto group = std::ranges::find(*terminal->groups, filter.group(), [](const auto& each) {
        return std::string_view(each->name);
    });
    return group == terminal->groups->end() ? nullptr : group->get();
}

void SubscriptionTree::prune(std::uint32_t node) {
    while (node != 0 && nodes_[node].children == 0 && !nodes_[node].here && !nodes_[node].hash) {
        const std::uint32_t parent = nodes_[node].parent;
        const std::uint32_t level = nodes_[node].level;
        if (level == 0) {
            nodes_[parent].plus = 0;
        } else {
            children_.erase(edge(parent, level));
            if (--levels_[level].uses == 0) {
                level_index_.erase(levels_[level].text);
                levels_[level].text = {};
                free_levels_.push_back(level);
            }
        }
        --nodes_[parent].children;
        --nodes_used_;
        free_nodes_.push_back(node);
        node = parent;
    }
}

void SubscriptionTree::collect(const std::unique_ptr<Terminal>& terminal, Matches& matches) {
    if (!terminal)
        return;
    matches.plain.insert(matches.plain.end(), terminal->plain.begin(), terminal->plain.end());
    if (!terminal->groups)
        return;
    for (const auto& group : *terminal->groups)
        matches.groups.push_back(group.get());
}

void SubscriptionTree::match(std::string_view topic, Matches& matches) {
    matches.plain.clear();
    matches.groups.clear();
    if (const auto place = exact_.find(topic); place != exact_.end())
        collect(place->second, matches);
    if (nodes_used_ != 0 || nodes_[0].hash)
        match_wildcards(topic, matches);
}

void SubscriptionTree::match_wildcards(std::string_view topic, Matches& matches) {
    const bool is_reserved =
        topic.starts_with('$'); // section 4.7.2: no wildcard stands for a first level like $SYS
    frontier_.assign(1, 0);
    std::string_view rest = topic;
    bool is_first = true;
    for (bool more = true; more && !frontier_.empty(); is_first = false) {
        const std::string_view level = take_level(rest, more);
        const std::uint32_t interned = level_index_.find(level);
        const bool is_wild = !(is_first && is_reserved);
        next_frontier_.clear();
        for (const std::uint32_t node : frontier_) {
            if (is_wild)
                collect(nodes_[node].hash, matches);
            if (is_wild && nodes_[node].plus != 0)
                next_frontier_.push_back(nodes_[node].plus);
            if (interned == level_index_.none)
                continue;
            const std::uint32_t child = children_.find(edge(node, interned));
            if (child != children_.none)
                next_frontier_.push_back(child);
        }
        frontier_.swap(next_frontier_);
    }
    for (const std::uint32_t node : frontier_) {
        collect(nodes_[node].here, matches);
        collect(nodes_[node].hash, matches); // "a/#" stands for "a" too
    }
}

} // namespace brim::mqtt
