#pragma once
// The schema by name, and what a wrong name may have meant.

#include "base/config.h"

#include <set>

namespace brim {

/// "listener[3].address" as {"listener", 3, "address"}; "log.level" as {"log", none, "level"}.
struct ConfigPath {
    std::string section;     ///< without index; empty for a key outside any section
    std::int64_t index = -1; ///< of a table array item; -1 = plain section
    std::string key;

    /// The last dot divides section and key; an index stands at the end of the section only.
    static ConfigPath split(std::string_view path);
    /// As in the schema: "listener[].address".
    std::string schema_name() const;
};

/// Borrows the keys: they outlive it.
class ConfigSchema {
public:
    explicit ConfigSchema(const std::vector<ConfigKey>& keys);

    const ConfigKey* find(const ConfigPath& path) const;

    const std::vector<ConfigKey>& keys() const { return keys_; }

    const std::set<std::string>& tables() const { return tables_; }

    bool has_section(const ConfigPath& path) const;
    /// What to do about a section that is not in the schema.
    std::string section_fix(std::string_view section, bool is_array) const;
    /// What to do about a key that is not in its section.
    std::string key_fix(const ConfigPath& path) const;

private:
    const std::vector<ConfigKey>& keys_;
    std::map<std::string, const ConfigKey*, std::less<>> by_name_;
    std::set<std::string> sections_; ///< plain ones
    std::set<std::string> tables_;   ///< table arrays
};

} // namespace brim
