// Registry: what a device says about itself (hub-protocol 3.3).

#include "hub/registry.h"
#include "hub/registry_sql.h"

#include <algorithm>

namespace brim::hub {

namespace {

auto tag_place(std::vector<Tag>& tags, const Tag& wanted) {
    return std::lower_bound(tags.begin(), tags.end(), wanted, [](const Tag& a, const Tag& b) {
        return std::tie(a.system, a.key) < std::tie(b.system, b.key);
    });
}

bool is_at(const std::vector<Tag>& tags, std::vector<Tag>::const_iterator place, const Tag& wanted) {
    return place != tags.end() && place->key == wanted.key && place->system == wanted.system;
}

void put_tag(std::vector<Tag>& tags, const Tag& tag) {
    const auto place = tag_place(tags, tag);
    if (is_at(tags, place, tag))
        place->value = tag.value;
    else
        tags.insert(place, tag);
}

void remove_tag(std::vector<Tag>& tags, const Tag& tag) {
    const auto place = tag_place(tags, tag);
    if (is_at(tags, place, tag))
        tags.erase(place);
}

std::size_t count_of(const std::vector<Tag>& tags, bool system) {
    return static_cast<std::size_t>(std::count_if(tags.begin(), tags.end(), [system](const Tag& each) {
        return each.system == system;
    }));
}

} // namespace

bool Registry::has_room(const Device& device, const std::vector<Tag>& tags) const {
    std::vector<Tag> wanted = device.tags;
    for (const Tag& tag : tags)
        put_tag(wanted, tag);
    return count_of(wanted, false) <= limits_.tags_max && count_of(wanted, true) <= limits_.tags_max;
}

void Registry::put_tags(Device& device, const std::vector<Tag>& tags, Done done) {
    std::vector<Tag> wanted = device.tags;
    for (const Tag& tag : tags)
        put_tag(wanted, tag);
    if (!has_room(device, tags)) {
        return done(fail(
            Errc::full,
            "device \"" + device.key().text() + "\"",
            "more than " + std::to_string(limits_.tags_max) + " tags",
            "delete unused tags"
        ));
    }
    change_tags(device, std::move(wanted), std::move(done));
}

void Registry::delete_tags(Device& device, const std::vector<std::string>& keys, Done done) {
    std::vector<Tag> wanted = device.tags;
    for (const std::string& key : keys)
        remove_tag(wanted, {key, {}, false});
    change_tags(device, std::move(wanted), std::move(done));
}

void Registry::change_tags(Device& device, std::vector<Tag> wanted, Done done) {
    std::vector<Tag> put;
    std::vector<Tag> removed;
    std::vector<Tag> before; // of those put or removed, what was there
    for (const Tag& tag : wanted) {
        const auto old = tag_place(device.tags, tag);
        const bool known = is_at(device.tags, old, tag);
        if (known && old->value == tag.value)
            continue;
        put.push_back(tag);
        if (known)
            before.push_back(*old);
    }
    for (const Tag& tag : device.tags) {
        const auto still = tag_place(wanted, tag);
        if (is_at(wanted, still, tag))
            continue;
        removed.push_back(tag);
        before.push_back(tag);
    }
    if (put.empty() && removed.empty())
        return env_.loop().post([done = std::move(done)]() mutable { done({}); });
    device.tags = std::move(wanted);
    auto save = [id = device.id, put, removed](store::Database& db) {
        return sql::save_tags(db, id, put, removed);
    };
    auto saved = [this, id = device.id, put, before, done = std::move(done)](Result<void> result) mutable {
        Device* still = result ? nullptr : this->device(id);
        if (still != nullptr) {
            for (const Tag& tag : put)
                remove_tag(still->tags, tag);
            for (const Tag& tag : before)
                put_tag(still->tags, tag);
        }
        done(std::move(result));
    };
    db_.write(std::move(save), std::move(saved));
}

} // namespace brim::hub
