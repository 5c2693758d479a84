// The bytes of a configuration's texts, and what of them may be shown.
//
// One entry after another: `kind name-bytes text-bytes` and a line end, the name and a line end, the text and
// a line end. Kinds in this order: settings (a path among the files, no text), environment, set (no text),
// file, secret (no name).

#include "base/hash.h"
#include "edge/configuration.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace brim::edge {

namespace {

constexpr std::size_t head_bytes_max = 64;
constexpr std::string_view mask = "********";

void put(Bytes& out, std::string_view kind, std::string_view name, std::string_view text) {
    out.append(kind).append(" ").append(std::to_string(name.size()));
    out.append(" ").append(std::to_string(text.size())).append("\n");
    out.append(name).append("\n").append(text).append("\n");
}

struct TextEntry {
    std::string_view kind, name, text;
};

/// Takes the part of `bytes` up to `end`, which is taken as well.
std::optional<std::string_view> take_to(ByteView& bytes, char end, std::size_t bytes_max) {
    const std::size_t at = bytes.substr(0, bytes_max).find(end);
    if (at == ByteView::npos)
        return std::nullopt;
    const std::string_view part = bytes.substr(0, at);
    bytes.remove_prefix(at + 1);
    return part;
}

/// Takes as many bytes as `number` says and the line end behind them.
std::optional<std::string_view> take_counted(ByteView& bytes, std::string_view number) {
    std::size_t count = 0;
    const auto [end, wrong] = std::from_chars(number.data(), number.data() + number.size(), count);
    const bool fits = wrong == std::errc{} && end == number.data() + number.size() && count < bytes.size();
    if (!fits || bytes[count] != '\n')
        return std::nullopt;
    const std::string_view part = bytes.substr(0, count);
    bytes.remove_prefix(count + 1);
    return part;
}

std::optional<TextEntry> take_entry(ByteView& bytes) {
    auto head = take_to(bytes, '\n', head_bytes_max);
    if (!head)
        return std::nullopt;
    ByteView fields = *head;
    const auto kind = take_to(fields, ' ', head_bytes_max);
    const auto name_bytes = kind ? take_to(fields, ' ', head_bytes_max) : std::nullopt;
    const auto name = name_bytes ? take_counted(bytes, *name_bytes) : std::nullopt;
    const auto text = name ? take_counted(bytes, fields) : std::nullopt;
    if (!text)
        return std::nullopt;
    return TextEntry{*kind, *name, *text};
}

bool is_secret_name(std::string_view name) {
    std::string lower(name);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    constexpr std::array words{"secret", "password", "passwd", "token", "credential", "privatekey", "apikey"};
    return std::ranges::any_of(words, [&](const char* word) { return lower.find(word) != lower.npos; });
}

Json masked(const Json& value);

/// A device's `custom` is JSON in a text: its members are looked through as well.
Json masked_text(std::string_view text) {
    const auto inner = Json::parse(text);
    if (inner && (inner->is_object() || inner->is_array()))
        return masked(*inner).text();
    return Json(text);
}

/// Recursion ends at the depth Json::parse() allows.
Json masked(const Json& value) {
    if (value.is_string())
        return masked_text(value.as_string());
    if (value.is_array()) {
        Json::Array out;
        for (const Json& item : value.items())
            out.push_back(masked(item));
        return out;
    }
    if (!value.is_object())
        return value;
    Json out = Json::object();
    for (const auto& [name, member] : value.members())
        out.set(name, is_secret_name(name) ? Json(mask) : masked(member));
    return out;
}

} // namespace

Bytes encode_texts(const ConfigTexts& texts) {
    Bytes out;
    for (const std::string& path : texts.settings)
        put(out, "settings", path, {});
    for (const auto& [name, value] : texts.environment)
        put(out, "environment", name, value);
    for (const std::string& set : texts.sets)
        put(out, "set", set, {});
    for (const auto& [path, text] : texts.files)
        put(out, "file", path, text);
    if (texts.secret)
        put(out, "secret", {}, texts.secret->reveal());
    return out;
}

Result<ConfigTexts> decode_texts(ByteView bytes) {
    ConfigTexts texts;
    const std::size_t whole = bytes.size();
    while (!bytes.empty()) {
        const std::size_t at = whole - bytes.size();
        const auto entry = take_entry(bytes);
        bool known = entry.has_value();
        if (known && entry->kind == "settings")
            texts.settings.emplace_back(entry->name);
        else if (known && entry->kind == "environment")
            texts.environment.emplace(entry->name, entry->text);
        else if (known && entry->kind == "set")
            texts.sets.emplace_back(entry->name);
        else if (known && entry->kind == "file")
            texts.files.emplace(entry->name, entry->text);
        else if (known && entry->kind == "secret")
            texts.secret = Secret(std::string(entry->text));
        else
            known = false;
        if (!known) {
            return fail(
                Errc::corrupt,
                "applied configuration",
                "no entry at byte " + std::to_string(at),
                "apply again"
            );
        }
    }
    return texts;
}

std::string revision_of(ByteView encoded) {
    return to_hex(digest(Digest::sha256, encoded)).substr(0, 16);
}

Result<std::string> show_masked(const ConfigTexts& texts) {
    std::vector<ConfigText> settings;
    for (const std::string& path : texts.settings) {
        const auto found = texts.files.find(path);
        if (found != texts.files.end())
            settings.push_back({path, found->second});
    }
    const auto config = Config::parse(
        edge_schema(), settings, {.file = {}, .environment = texts.environment, .sets = texts.sets}
    );
    if (!config)
        return fail(config.error());
    std::string out = config->show_effective();
    for (const auto& [path, text] : texts.files) {
        if (std::ranges::find(texts.settings, path) != texts.settings.end())
            continue;
        out += "\n# file " + path + ", " + std::to_string(text.size()) + " bytes\n";
        const auto json = Json::parse(text, {.bytes_max = text.size()});
        out += json ? masked(*json).text(true) : text;
        if (!out.ends_with('\n'))
            out += '\n';
    }
    return out;
}

} // namespace brim::edge
