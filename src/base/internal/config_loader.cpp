#include "base/internal/config_loader.h"

#include "base/internal/config_files.h"
#include "base/internal/config_value.h"

#include <algorithm>
#include <set>

namespace brim {

namespace {

std::string where_text(const std::string& name, TomlPlace place) {
    if (place.line == 0)
        return name;
    return name + ':' + std::to_string(place.line) + ':' + std::to_string(place.column);
}

/// BRIM_LISTENER__0__ADDRESS -> listener[0].address; empty when it names no setting.
std::string path_of_variable(std::string_view name) {
    constexpr std::string_view prefix = "BRIM_";
    if (!name.starts_with(prefix) || name.find("__") == std::string_view::npos)
        return {};
    name.remove_prefix(prefix.size());
    std::string out;
    while (!name.empty()) {
        const std::size_t end = std::min(name.find("__"), name.size());
        std::string part(name.substr(0, end));
        for (char& c : part)
            c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        const bool index = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
        if (index && !out.empty()) {
            out += '[' + part + ']';
        } else {
            if (!out.empty())
                out += '.';
            out += part;
        }
        name.remove_prefix(std::min(end + 2, name.size()));
    }
    return out;
}

std::string item_path(const std::string& table, std::size_t index) {
    return table + '[' + std::to_string(index) + ']';
}

std::string item_name(const ConfigPath& path) {
    if (path.index < 0)
        return path.schema_name();
    return Config::item(path.section, static_cast<std::size_t>(path.index), path.key);
}

} // namespace

ConfigLoader::ConfigLoader(const ConfigSchema& schema) : schema_(schema) {
    for (const std::string& table : schema.tables())
        counts[table] = 0;
}

std::string ConfigLoader::line(
    std::string_view where, std::string_view key, std::string_view cause, std::string_view fix
) {
    std::string line(where);
    for (const std::string_view part : {key, cause}) {
        if (part.empty())
            continue;
        line += line.empty() ? "" : ": ";
        line += part;
    }
    if (!fix.empty()) {
        line += "; ";
        line += fix;
    }
    return line;
}

void ConfigLoader::problem(
    std::string_view where, std::string_view key, std::string_view cause, std::string_view fix
) {
    if (problems_.size() >= config_problems_max) {
        ++problems_left_out_;
        return;
    }
    problems_.push_back(line(where, key, cause, fix));
}

void ConfigLoader::add_file(const std::string& path) {
    const auto text = config_read_file(path, FilePrivacy::any);
    if (!text) {
        const Error& error = text.error();
        if (problems_.empty())
            code_ = error.code;
        problem(path, "", error.cause, error.fix);
        return;
    }
    add_text(path, *text);
}

void ConfigLoader::add_text(const std::string& name, std::string_view text) {
    first_item_ = counts;
    const TomlText toml = toml_read(text);
    for (const TomlProblem& found : toml.problems) {
        problem(where_text(name, found.place), found.path, found.cause, found.fix);
    }
    add_sections(name, toml);
    for (const TomlSetting& setting : toml.settings)
        add_setting(name, setting);
}

void ConfigLoader::add_sections(const std::string& name, const TomlText& toml) {
    std::set<std::string> told; // an unknown table array is told once, not for each item
    for (const TomlSection& section : toml.sections) {
        const ConfigPath path = ConfigPath::split(section.path + ".x");
        if (!schema_.has_section(path)) {
            // a folder of sections ("a" of [a.b]) is no section itself, but is fine
            const std::string folder = path.section + '.';
            const bool is_folder = std::ranges::any_of(schema_.keys(), [&](const ConfigKey& key) {
                return key.name.starts_with(folder) && key.name.find('.', folder.size()) != std::string::npos;
            });
            if (is_folder && path.index < 0)
                continue;
            if (!told.insert(path.section).second)
                continue;
            problem(
                where_text(name, section.place),
                path.section,
                "unknown section",
                schema_.section_fix(path.section, path.index >= 0)
            );
            continue;
        }
        if (path.index < 0) {
            section_places.try_emplace(path.section, where_text(name, section.place));
            continue;
        }
        std::size_t& count = counts[path.section];
        if (count == config_items_max) {
            problem(where_text(name, section.place), path.section, "more than 1000 items", "remove some");
        }
        section_places.try_emplace(item_path(path.section, count), where_text(name, section.place));
        ++count;
    }
}

void ConfigLoader::add_setting(const std::string& name, const TomlSetting& setting) {
    ConfigPath path = ConfigPath::split(setting.path);
    const std::string where = where_text(name, setting.place);
    const ConfigKey* key = schema_.find(path);
    if (key == nullptr) {
        const auto* items = std::get_if<std::vector<std::string>>(&setting.value);
        if (items != nullptr && items->empty() && counts.contains(setting.path))
            return; // "listener = []"
        // keys in an unknown section have been told with the section
        if (path.section.empty() || schema_.has_section(path)) {
            problem(where, setting.path, "unknown key", schema_.key_fix(path));
        }
        return;
    }
    const auto value = config_value(*key, setting.value);
    if (!value) {
        problem(where, setting.path, value.error().cause, value.error().fix);
        return;
    }
    if (path.index >= 0)
        path.index += static_cast<std::int64_t>(first_item_[path.section]);
    settings[item_name(path)] =
        LoadedSetting{key->type, *value, name + ':' + std::to_string(setting.place.line), where};
}

void ConfigLoader::add_environment(const std::map<std::string, std::string>& environment) {
    std::vector<Override> overrides;
    for (const auto& [name, value] : environment) {
        const std::string path = path_of_variable(name);
        if (!path.empty())
            overrides.push_back({name, ConfigPath::split(path), value, "environment"});
    }
    add_overrides(overrides);
}

void ConfigLoader::add_sets(const std::vector<std::string>& sets) {
    std::vector<Override> overrides;
    for (const std::string& set : sets) {
        const std::size_t equals = set.find('=');
        if (equals == std::string::npos) {
            problem("--set", "", "no value", "write --set section.key=value");
            continue;
        }
        const std::string path = set.substr(0, equals);
        overrides.push_back({"--set " + path, ConfigPath::split(path), set.substr(equals + 1), "--set"});
    }
    add_overrides(overrides);
}

void ConfigLoader::add_overrides(const std::vector<Override>& overrides) {
    // New items first: they may come in any order, but without gaps.
    std::map<std::string, std::set<std::size_t>> indexes;
    for (const Override& one : overrides) {
        if (one.path.index >= 0 && schema_.find(one.path) != nullptr) {
            indexes[one.path.section].insert(static_cast<std::size_t>(one.path.index));
        }
    }
    for (const auto& [table, seen] : indexes) {
        std::size_t& count = counts[table];
        while (seen.contains(count) && count < config_items_max)
            ++count;
    }
    for (const Override& one : overrides) {
        const ConfigKey* key = schema_.find(one.path);
        const std::string name = item_name(one.path);
        if (key == nullptr) {
            const bool known_section = one.path.section.empty() || schema_.has_section(one.path);
            problem(
                one.where,
                name,
                known_section ? "unknown key" : "unknown section",
                known_section ? schema_.key_fix(one.path)
                              : schema_.section_fix(one.path.section, one.path.index >= 0)
            );
            continue;
        }
        if (one.path.index >= 0 && static_cast<std::size_t>(one.path.index) >= counts[one.path.section]) {
            problem(
                one.where,
                name,
                "there are only " + std::to_string(counts[one.path.section]) + " items",
                "count from 0, without gaps"
            );
            continue;
        }
        auto value = config_value_of_text(*key, one.value);
        if (!value) {
            problem(one.where, name, value.error().cause, value.error().fix);
            continue;
        }
        if (one.path.index >= 0) {
            const auto index = static_cast<std::size_t>(one.path.index);
            section_places.try_emplace(item_path(one.path.section, index), one.where);
        }
        settings[name] = LoadedSetting{key->type, std::move(*value), one.origin, one.where};
    }
}

void ConfigLoader::add_defaults(const ConfigKey& key) {
    // A schema may say milliseconds as a number, where a file needs a unit.
    const bool milliseconds =
        key.type == ConfigType::duration && std::holds_alternative<std::int64_t>(key.fallback);
    const auto value = milliseconds ? std::expected<ConfigValue, ConfigComplaint>(key.fallback)
                                    : config_value(key, key.fallback);
    if (!value) {
        problem("schema", key.name, "the default is wrong: " + value.error().cause, value.error().fix);
        return;
    }
    ConfigPath path;
    const std::size_t dot = key.name.rfind('.');
    path.key = key.name.substr(dot + 1);
    path.section = key.name.substr(0, dot);
    std::size_t times = 1;
    const bool table = path.section.ends_with("[]");
    if (table) {
        path.section.resize(path.section.size() - 2);
        times = counts[path.section];
    }
    for (std::size_t i = 0; i < times; ++i) {
        if (table)
            path.index = static_cast<std::int64_t>(i);
        settings.try_emplace(item_name(path), LoadedSetting{key.type, *value, "default", {}});
    }
}

std::optional<Error> ConfigLoader::finish() {
    for (const ConfigKey& key : schema_.keys())
        add_defaults(key);
    if (problems_.empty())
        return std::nullopt;
    std::string cause;
    for (const std::string& line : problems_) {
        if (!cause.empty())
            cause += '\n';
        cause += line;
    }
    if (problems_left_out_ > 0)
        cause += "\nand " + std::to_string(problems_left_out_) + " more";
    const Errc code = problems_.size() == 1 ? code_ : Errc::invalid;
    return Error{code, "configuration", std::move(cause), config_problems_fix};
}

} // namespace brim
