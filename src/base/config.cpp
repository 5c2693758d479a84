#include "base/config.h"

#include "base/assert.h"
#include "base/internal/config_files.h"
#include "base/internal/config_loader.h"
#include "base/internal/config_value.h"

#include <algorithm>
#include <filesystem>
#include <tuple>

namespace brim {

Result<Config> Config::load(const std::vector<ConfigKey>& schema, const ConfigSource& source) {
    const ConfigSchema known(schema);
    ConfigLoader loader(known);
    if (!source.file.empty()) {
        loader.add_file(source.file);
        const auto folder = std::filesystem::path(source.file).parent_path() / "conf.d";
        const auto files = config_list_folder(folder.string());
        if (!files)
            return fail(files.error());
        for (const std::string& file : *files)
            loader.add_file(file);
    }
    loader.add_environment(source.environment);
    loader.add_sets(source.sets);
    if (auto error = loader.finish())
        return fail(std::move(*error));
    Config out = take(loader);
    out.main_name_ = source.file;
    return out;
}

Result<Config> Config::parse(
    const std::vector<ConfigKey>& schema, const std::vector<ConfigText>& texts, const ConfigSource& source
) {
    const ConfigSchema known(schema);
    ConfigLoader loader(known);
    for (const ConfigText& each : texts)
        loader.add_text(each.name, each.text);
    loader.add_environment(source.environment);
    loader.add_sets(source.sets);
    if (auto error = loader.finish())
        return fail(std::move(*error));
    Config out = take(loader);
    if (!texts.empty())
        out.main_name_ = texts.front().name;
    return out;
}

std::optional<std::string> Config::glimpse(
    const std::vector<ConfigKey>& schema,
    const std::vector<ConfigText>& texts,
    const ConfigSource& source,
    std::string_view key
) {
    const ConfigSchema known(schema);
    ConfigLoader loader(known);
    for (const ConfigText& each : texts)
        loader.add_text(each.name, toml_before_error(each.text));
    loader.add_environment(source.environment);
    loader.add_sets(source.sets);
    const auto found = loader.settings.find(key);
    if (found == loader.settings.end())
        return std::nullopt;
    const auto* text = std::get_if<std::string>(&found->second.value);
    return text ? std::optional(*text) : std::nullopt;
}

Config Config::take(ConfigLoader& loader) {
    Config out;
    out.counts_ = std::move(loader.counts);
    out.section_places_ = std::move(loader.section_places);
    for (auto& [name, setting] : loader.settings) {
        out.entries_.emplace(
            name,
            Entry{setting.type, std::move(setting.value), std::move(setting.origin), std::move(setting.place)}
        );
    }
    return out;
}

const Config::Entry& Config::entry(std::string_view key, ConfigType type) const {
    const auto found = entries_.find(key);
    BRIM_ASSERT(
        found != entries_.end(), "this key is not in the configuration schema, or there is no such item"
    );
    const bool as_text = type == ConfigType::text && found->second.type == ConfigType::choice;
    BRIM_ASSERT(
        as_text || found->second.type == type, "this key has another type in the configuration schema"
    );
    return found->second;
}

const std::string& Config::text(std::string_view key) const {
    return std::get<std::string>(entry(key, ConfigType::text).value);
}

std::int64_t Config::integer(std::string_view key) const {
    return std::get<std::int64_t>(entry(key, ConfigType::integer).value);
}

bool Config::boolean(std::string_view key) const {
    return std::get<bool>(entry(key, ConfigType::boolean).value);
}

double Config::number(std::string_view key) const {
    return std::get<double>(entry(key, ConfigType::number).value);
}

Duration Config::duration(std::string_view key) const {
    return std::chrono::milliseconds{std::get<std::int64_t>(entry(key, ConfigType::duration).value)};
}

std::uint64_t Config::size(std::string_view key) const {
    return static_cast<std::uint64_t>(std::get<std::int64_t>(entry(key, ConfigType::size).value));
}

const std::vector<std::string>& Config::list(std::string_view key) const {
    return std::get<std::vector<std::string>>(entry(key, ConfigType::list).value);
}

Result<Secret> Config::secret(std::string_view key) const {
    return config_resolve_secret(
        std::string(key), std::get<std::string>(entry(key, ConfigType::secret).value)
    );
}

const std::string& Config::reference(std::string_view key) const {
    return std::get<std::string>(entry(key, ConfigType::secret).value);
}

std::size_t Config::count(std::string_view table) const {
    const auto found = counts_.find(table);
    BRIM_ASSERT(found != counts_.end(), "no such table array in the configuration schema");
    return found->second;
}

bool Config::is_set(std::string_view key) const {
    const auto found = entries_.find(key);
    return found != entries_.end() && !found->second.place.empty();
}

std::string Config::place(std::string_view key) const {
    if (is_set(key))
        return entries_.find(key)->second.place;
    for (std::string_view section = key; !section.empty();) {
        if (const auto found = section_places_.find(section); found != section_places_.end())
            return found->second;
        const std::size_t dot = section.rfind('.');
        section = section.substr(0, dot == std::string_view::npos ? 0 : dot);
    }
    return main_name_;
}

void ConfigProblems::add(std::string_view key, std::string_view cause, std::string_view fix) {
    lines_.push_back(ConfigLoader::line(config_.place(key), key, cause, fix));
}

Error ConfigProblems::error() const {
    std::string cause;
    for (std::size_t i = 0; i < std::min(lines_.size(), config_problems_max); ++i)
        cause += (i == 0 ? "" : "\n") + lines_[i];
    if (lines_.size() > config_problems_max)
        cause += "\nand " + std::to_string(lines_.size() - config_problems_max) + " more";
    return {Errc::invalid, "configuration", std::move(cause), config_problems_fix};
}

std::string Config::item(std::string_view table, std::size_t index, std::string_view key) {
    std::string out(table);
    out += '[' + std::to_string(index) + "].";
    out += key;
    return out;
}

std::string Config::show_effective() const {
    struct Row {
        ConfigPath path;
        const Entry* entry;
    };

    std::vector<Row> rows;
    for (const auto& [name, entry] : entries_)
        rows.push_back({ConfigPath::split(name), &entry});
    // By number, not by text: item 10 comes after item 9.
    std::ranges::sort(rows, [](const Row& a, const Row& b) {
        return std::tie(a.path.section, a.path.index, a.path.key) <
               std::tie(b.path.section, b.path.index, b.path.key);
    });
    std::string out;
    const Row* before = nullptr;
    for (const Row& row : rows) {
        const bool same = before != nullptr && before->path.section == row.path.section &&
                          before->path.index == row.path.index;
        if (!same) {
            if (before != nullptr)
                out += '\n';
            out += row.path.index >= 0 ? "[[" + row.path.section + "]]\n" : '[' + row.path.section + "]\n";
        }
        out += row.path.key + " = " + config_value_toml(row.entry->type, row.entry->value);
        out += "  # " + row.entry->origin + '\n';
        before = &row;
    }
    return out;
}

std::string config_example(const std::vector<ConfigKey>& schema) {
    std::string out = "# All settings with their defaults. Remove the # in front of those you change.\n";
    std::vector<std::string> sections;
    const auto section_of = [](const ConfigKey& key) { return key.name.substr(0, key.name.rfind('.')); };
    for (const ConfigKey& key : schema) {
        if (std::ranges::find(sections, section_of(key)) == sections.end())
            sections.push_back(section_of(key));
    }
    for (const std::string& section : sections) {
        const bool table = section.ends_with("[]");
        // A table array's header makes an item, so it is commented out too.
        out += table ? "\n#[[" + section.substr(0, section.size() - 2) + "]]\n" : "\n[" + section + "]\n";
        for (const ConfigKey& key : schema) {
            if (section_of(key) != section)
                continue;
            const auto value = config_value(key, key.fallback);
            out += "# " + key.doc + " (" + config_range_text(key) + ")\n#";
            out += key.name.substr(section.size() + 1) + " = ";
            out += config_value_toml(key.type, value ? *value : key.fallback) + '\n';
        }
    }
    return out;
}

std::string Config::fingerprint(std::string_view section) const {
    std::string text;
    for (auto place = entries_.lower_bound(section); place != entries_.end(); ++place) {
        const auto& [key, entry] = *place;
        if (!key.starts_with(section))
            break;
        if (key.size() == section.size() || (key[section.size()] != '.' && key[section.size()] != '['))
            continue;
        text += key + "=" + config_value_toml(entry.type, entry.value) + "\n";
    }
    return text;
}

} // namespace brim
