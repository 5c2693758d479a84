#include "base/internal/config_schema.h"

#include "base/assert.h"

#include <algorithm>
#include <charconv>

namespace brim {

ConfigPath ConfigPath::split(std::string_view path) {
    ConfigPath out;
    const std::size_t dot = path.rfind('.');
    if (dot == std::string_view::npos) {
        out.key = path;
        return out;
    }
    out.key = path.substr(dot + 1);
    std::string_view section = path.substr(0, dot);
    if (section.ends_with(']')) {
        const std::size_t open = section.rfind('[');
        if (open != std::string_view::npos) {
            const std::string_view digits = section.substr(open + 1, section.size() - open - 2);
            const char* end = digits.data() + digits.size();
            std::int64_t index = -1;
            const auto [at, error] = std::from_chars(digits.data(), end, index);
            if (error == std::errc{} && at == end && index >= 0) {
                out.index = index;
                section = section.substr(0, open);
            }
        }
    }
    out.section = section;
    return out;
}

std::string ConfigPath::schema_name() const {
    std::string out = section;
    if (index >= 0)
        out += "[]";
    if (!out.empty())
        out += '.';
    return out + key;
}

ConfigSchema::ConfigSchema(const std::vector<ConfigKey>& keys) : keys_(keys) {
    for (const ConfigKey& key : keys) {
        const bool fresh = by_name_.emplace(key.name, &key).second;
        BRIM_ASSERT(fresh, "a key stands twice in the configuration schema");
        const std::size_t dot = key.name.rfind('.');
        BRIM_ASSERT(
            dot != std::string::npos && dot > 0, "each key of the configuration schema has a section"
        );
        std::string section = key.name.substr(0, dot);
        if (section.ends_with("[]")) {
            section.resize(section.size() - 2);
            tables_.insert(section);
        } else {
            sections_.insert(section);
        }
        BRIM_ASSERT(section.find('[') == std::string::npos, "table arrays are not nested");
    }
}

const ConfigKey* ConfigSchema::find(const ConfigPath& path) const {
    // "listener[].address" is our name for the setting of every item; nobody sets that of all of them.
    if (!has_section(path))
        return nullptr;
    const auto found = by_name_.find(path.schema_name());
    return found != by_name_.end() ? found->second : nullptr;
}

bool ConfigSchema::has_section(const ConfigPath& path) const {
    return path.index >= 0 ? tables_.contains(path.section) : sections_.contains(path.section);
}

std::string ConfigSchema::section_fix(std::string_view section, bool is_array) const {
    const std::string name(section);
    if (name.ends_with("[]") && tables_.contains(name.substr(0, name.size() - 2)))
        return "name the item: " + name.substr(0, name.size() - 1) + "0] is the first one";
    if (!is_array && tables_.contains(name))
        return "write [[" + name + "]] with two brackets";
    if (is_array && sections_.contains(name))
        return "write [" + name + "] with one bracket";
    std::vector<std::string_view> known(sections_.begin(), sections_.end());
    known.insert(known.end(), tables_.begin(), tables_.end());
    const std::string_view near = did_you_mean(section, known);
    if (!near.empty()) {
        const bool table = tables_.contains(std::string(near));
        return "did you mean " + std::string(table ? "[[" : "[") + std::string(near) + (table ? "]]?" : "]?");
    }
    std::string out = "the sections are:";
    for (const std::string_view one : known)
        out += ' ' + std::string(one);
    return out;
}

std::string ConfigSchema::key_fix(const ConfigPath& path) const {
    std::vector<std::string_view> siblings;
    std::string elsewhere;
    const std::string prefix = ConfigPath{path.section, path.index, ""}.schema_name();
    for (const ConfigKey& key : keys_) {
        const std::string_view last = std::string_view(key.name).substr(key.name.rfind('.') + 1);
        if (last == path.key)
            elsewhere = key.name;
        if (key.name.size() == prefix.size() + last.size() && key.name.starts_with(prefix))
            siblings.push_back(last);
    }
    const std::string_view near = did_you_mean(path.key, siblings);
    if (!near.empty())
        return "did you mean \"" + std::string(near) + "\"?";
    if (!elsewhere.empty())
        return "did you mean \"" + elsewhere + "\" in the other section?";
    if (siblings.empty())
        return "put it into a section";
    std::string out = "the keys here are:";
    for (const std::string_view one : siblings)
        out += ' ' + std::string(one);
    return out;
}

std::string_view did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates) {
    constexpr std::size_t length_max = 64; // nothing we declare is longer
    std::string_view best;
    std::size_t best_distance = std::min<std::size_t>(3, word.size() / 2) + 1;
    if (word.size() > length_max)
        return best;
    for (const std::string_view candidate : candidates) {
        if (candidate.size() > length_max)
            continue;
        // Edit distance with swapped neighbours, three rows at a time.
        std::vector<std::size_t> before(candidate.size() + 1);
        std::vector<std::size_t> last(candidate.size() + 1);
        std::vector<std::size_t> row(candidate.size() + 1);
        for (std::size_t j = 0; j <= candidate.size(); ++j)
            last[j] = j;
        for (std::size_t i = 1; i <= word.size(); ++i) {
            row[0] = i;
            for (std::size_t j = 1; j <= candidate.size(); ++j) {
                const bool same = word[i - 1] == candidate[j - 1];
                row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
                const bool swapped =
                    i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1];
                if (swapped)
                    row[j] = std::min(row[j], before[j - 2] + 1);
            }
            std::swap(before, last);
            std::swap(last, row);
        }
        if (last[candidate.size()] < best_distance) {
            best_distance = last[candidate.size()];
            best = candidate;
        }
    }
    return best;
}

} // namespace brim
