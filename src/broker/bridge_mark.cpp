#include "broker/bridge_mark.h"

#include <algorithm>
#include <utility>

namespace brim::broker {

namespace {

constexpr std::size_t number_bytes_max = 40;
constexpr std::size_t mark_bytes_max = bridge_hops_max * (broker_id_bytes_max + 1) + number_bytes_max;

bool is_number_text(std::string_view text) {
    return !text.empty() && text.size() <= number_bytes_max &&
           text.find_first_not_of("0123456789abcdef.") == std::string_view::npos;
}

} // namespace

bool is_broker_id(std::string_view text) noexcept {
    constexpr std::string_view allowed = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.-";
    return !text.empty() && text.size() <= broker_id_bytes_max &&
           text.find_first_not_of(allowed) == std::string_view::npos;
}

std::optional<BridgeMark> BridgeMark::parse(std::string_view text) {
    const std::size_t end = text.find(';');
    if (text.size() > mark_bytes_max || end == std::string_view::npos ||
        !is_number_text(text.substr(end + 1)))
        return std::nullopt;
    BridgeMark mark;
    mark.number = text.substr(end + 1);
    std::string_view rest = text.substr(0, end);
    for (bool more = true; more;) {
        const std::size_t comma = rest.find(',');
        const std::string_view name = rest.substr(0, comma);
        if (!is_broker_id(name) || mark.path.size() == bridge_hops_max)
            return std::nullopt;
        mark.path.emplace_back(name);
        more = comma != std::string_view::npos;
        rest = more ? rest.substr(comma + 1) : std::string_view{};
    }
    return mark;
}

std::string BridgeMark::text() const {
    std::string text;
    for (const std::string& name : path) {
        if (!text.empty())
            text += ',';
        text += name;
    }
    return text + ";" + number;
}

bool BridgeMark::passed(std::string_view broker) const {
    return std::ranges::find(path, broker) != path.end();
}

FoundMark find_mark(const Message& message) {
    FoundMark found;
    for (const auto& [name, value] : message.user_properties) {
        if (name != bridge_mark_name)
            continue;
        const bool is_second = found.mark.has_value();
        found.mark = BridgeMark::parse(value);
        found.bad = found.bad || is_second || !found.mark;
    }
    return found;
}

MessagePtr with_mark(const Message& message, const BridgeMark& mark) {
    auto marked = std::make_shared<Message>(message);
    std::erase_if(marked->user_properties, [](const auto& p) { return p.first == bridge_mark_name; });
    marked->user_properties.emplace_back(bridge_mark_name, mark.text());
    return marked;
}

SeenMessages::Answer SeenMessages::ask(const std::string& id, bool qos0, Done done) {
    const auto [place, fresh] = entries_.try_emplace(id);
    Entry& entry = place->second;
    if (!fresh && !(entry.settled && entry.qos0 && !qos0)) {
        if (entry.settled)
            return Answer::known;
        if (done)
            entry.waiting.push_back(std::move(done));
        return Answer::waiting;
    }
    entry.settled = false;
    entry.qos0 = qos0;
    entry.turn = ++turns_;
    return Answer::fresh;
}

void SeenMessages::settle(const std::string& id, bool taken) {
    const auto place = entries_.find(id);
    if (place == entries_.end() || place->second.settled)
        return;
    const std::vector<Done> waiting = std::exchange(place->second.waiting, {});
    if (taken) {
        place->second.settled = true;
        order_.emplace_back(id, place->second.turn);
        trim();
    } else {
        entries_.erase(place);
    }
    for (const Done& done : waiting)
        done(taken);
}

void SeenMessages::trim() {
    while (order_.size() > count_max_) {
        const auto [id, turn] = std::move(order_.front());
        order_.pop_front();
        const auto place = entries_.find(id);
        if (place != entries_.end() && place->second.settled && place->second.turn == turn)
            entries_.erase(place);
    }
}

} // namespace brim::broker
