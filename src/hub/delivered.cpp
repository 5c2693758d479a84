#include "hub/delivered.h"

#include "base/assert.h"

#include <algorithm>
#include <charconv>

namespace brim::hub {

namespace {

constexpr std::string_view prefix = "uplink/";
constexpr std::size_t note_bytes_max = 65'536;
// A note that names the run begins with a floor no set can have, so that it reads apart from the older form
// (floor, gaps), which is still written where no run is known.
constexpr std::uint64_t run_note = UINT64_MAX;
constexpr std::uint8_t run_note_form = 1;
constexpr std::size_t note_run_bytes = 16;

std::string note_name(DeviceId gateway, const std::string& store) {
    return std::string(prefix) + std::to_string(gateway) + "/" + store;
}

} // namespace

bool Delivered::restore(const store::HistoryNote& note) {
    const std::string_view name = note.name;
    if (!name.starts_with(prefix))
        return false;
    const std::size_t slash = name.find('/', prefix.size());
    if (slash == std::string_view::npos)
        return false;
    DeviceId gateway = 0;
    const char* first = name.data() + prefix.size();
    if (std::from_chars(first, name.data() + slash, gateway).ptr != name.data() + slash)
        return false;
    Reader in(note.body, "set of delivered numbers");
    std::uint64_t floor = in.u64();
    std::string run;
    if (floor == run_note) {
        if (in.u8() != run_note_form)
            return false;
        run = std::string(in.view(note_run_bytes));
        floor = in.u64();
    }
    if (!in.ok() || floor == run_note)
        return false;
    auto set = store::SeqSet::decode(floor, in.rest());
    if (!set)
        return false;
    Entry& known = entries_[{gateway, std::string(name.substr(slash + 1))}];
    known.set = std::move(*set);
    known.run = std::move(run);
    return true;
}

std::vector<store::HistoryNote> Delivered::take_changed() {
    std::vector<store::HistoryNote> notes;
    for (const std::string& name : deleted_)
        notes.push_back({name, {}});
    for (const Key& key : changed_) {
        const auto found = entries_.find(key);
        if (found == entries_.end())
            continue;
        Bytes body;
        if (!found->second.run.empty()) {
            put_u64(body, run_note);
            put_u8(body, run_note_form);
            body += found->second.run;
        }
        put_u64(body, found->second.set.low() - 1);
        body += found->second.set.encode(note_bytes_max);
        notes.push_back({note_name(key.first, key.second), std::move(body)});
    }
    changed_.clear();
    deleted_.clear();
    return notes;
}

void Delivered::give_back(const std::vector<store::HistoryNote>& notes) {
    for (const store::HistoryNote& note : notes) {
        if (note.body.empty() && note.name.starts_with(prefix))
            deleted_.insert(note.name);
    }
    for (const auto& [key, unused] : entries_)
        changed_.insert(key);
}

Delivered::Entry& Delivered::entry(DeviceId gateway, const std::string& store) {
    auto found = entries_.find(std::pair(gateway, std::string_view(store)));
    if (found == entries_.end()) {
        // A gateway whose log was made anew has a new store id; old ones are forgotten, the longest unused
        // first.
        const auto first = entries_.lower_bound(std::pair(gateway, std::string_view{}));
        const auto last = entries_.lower_bound(std::pair(gateway + 1, std::string_view{}));
        if (static_cast<std::size_t>(std::distance(first, last)) >= stores_max_) {
            const auto oldest = std::min_element(first, last, [](const auto& a, const auto& b) {
                return a.second.used < b.second.used;
            });
            deleted_.insert(note_name(gateway, oldest->first.second));
            changed_.erase(oldest->first);
            entries_.erase(oldest);
        }
        found = entries_.try_emplace({gateway, store}).first;
        deleted_.erase(note_name(gateway, store));
    }
    found->second.used = ++uses_;
    return found->second;
}

const Delivered::Entry* Delivered::find(DeviceId gateway, std::string_view store) const {
    const auto found = entries_.find(std::pair(gateway, store));
    return found == entries_.end() ? nullptr : &found->second;
}

void Delivered::note_change(DeviceId gateway, const std::string& store) {
    if (!changed_.contains(std::pair(gateway, std::string_view(store))))
        changed_.insert({gateway, store});
}

bool Delivered::contains(DeviceId gateway, const std::string& store, std::uint64_t seq) const {
    const Entry* known = find(gateway, store);
    return known != nullptr && known->set.contains(seq);
}

void Delivered::insert(DeviceId gateway, const std::string& store, std::uint64_t seq, std::uint64_t low) {
    Entry& known = entry(gateway, store);
    known.set.raise(low);
    // "full" cannot be: crowded() kept such a number out before it was stored; when the log is applied again
    // after a crash the same numbers come in the same order.
    (void)known.set.insert(seq);
    note_change(gateway, store);
}

void Delivered::raise(DeviceId gateway, const std::string& store, std::uint64_t low) {
    if (const Entry* known = find(gateway, store); known == nullptr || known->set.low() >= low)
        return;
    // In memory only until a record with this mark is applied: a set saved with too low a floor is still
    // right.
    entry(gateway, store).set.raise(low);
}

bool Delivered::crowded(DeviceId gateway, const std::string& store) const {
    const Entry* known = find(gateway, store);
    return known != nullptr &&
           known->set.intervals() + known->pending.size() + 1 >= known->set.intervals_max();
}

void Delivered::forget(DeviceId gateway) {
    const auto first = entries_.lower_bound(std::pair(gateway, std::string_view{}));
    const auto last = entries_.lower_bound(std::pair(gateway + 1, std::string_view{}));
    for (auto each = first; each != last; ++each) {
        deleted_.insert(note_name(gateway, each->first.second));
        changed_.erase(each->first);
    }
    entries_.erase(first, last);
}

std::string_view Delivered::run(DeviceId gateway, std::string_view store) const {
    const Entry* known = find(gateway, store);
    return known == nullptr ? std::string_view{} : std::string_view(known->run);
}

bool Delivered::begin_run(DeviceId gateway, const std::string& store, std::string run, std::uint64_t first) {
    BRIM_ASSERT(run.size() == note_run_bytes, "a run has a name of 16 digits");
    Entry& known = entry(gateway, store);
    if (known.run == run)
        return false;
    known.run = std::move(run);
    std::erase_if(known.pending, [first](const auto& pending) { return pending.first >= first; });
    note_change(gateway, store);
    return known.set.cut(first);
}

void Delivered::note_pending(DeviceId gateway, const std::string& store, std::uint64_t seq, store::Seq at) {
    entry(gateway, store).pending[seq] = at;
}

std::optional<store::Seq>
Delivered::pending(DeviceId gateway, const std::string& store, std::uint64_t seq) const {
    const Entry* known = find(gateway, store);
    if (known == nullptr)
        return std::nullopt;
    const auto found = known->pending.find(seq);
    if (found == known->pending.end())
        return std::nullopt;
    return found->second;
}

void Delivered::settle_pending(DeviceId gateway, const std::string& store, std::uint64_t seq) {
    const auto found = entries_.find(std::pair(gateway, std::string_view(store)));
    if (found != entries_.end())
        found->second.pending.erase(seq);
}

} // namespace brim::hub
