#include "base/program.h"

#include <algorithm>

namespace brim {

namespace {

/// What Config says of settings files it cannot use.
constexpr std::string_view settings_object = "configuration";

void take_environment(CommandLine& line, const char* const* environment) {
    for (; *environment != nullptr; ++environment) {
        const std::string_view entry(*environment);
        const std::size_t equals = entry.find('=');
        if (equals == entry.npos || !entry.starts_with("BRIM_") || entry.find("__") > equals)
            continue;
        line.source.environment.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
}

} // namespace

bool CommandLine::is(std::initializer_list<std::string_view> wanted) const {
    return std::equal(words.begin(), words.end(), wanted.begin(), wanted.end());
}

bool CommandLine::has(std::string_view flag) const {
    return std::ranges::find(flags, flag) != flags.end();
}

CommandLine parse_command_line(
    int argc,
    const char* const* argv,
    const char* const* environment,
    std::initializer_list<std::string_view> flags
) {
    CommandLine line;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const bool takes_value = word == "--config" || word == "--set";
        if (takes_value && i + 1 == argc)
            line.valid = false;
        else if (word == "--config")
            line.source.file = argv[++i];
        else if (word == "--set")
            line.source.sets.emplace_back(argv[++i]);
        else if (word == "--help" || word == "-h")
            line.help = true;
        else if (std::ranges::find(flags, std::string_view(word)) != flags.end())
            line.flags.push_back(word);
        else if (word.starts_with("-"))
            line.valid = false;
        else
            line.words.push_back(word);
    }
    take_environment(line, environment);
    return line;
}

std::string error_lines(const Error& error) {
    std::string text = error.object == settings_object ? error.cause + "\n"
                                                       : "error: " + error.object + ": " + error.cause + "\n";
    if (!error.fix.empty())
        text += "hint: " + error.fix + "\n";
    return text;
}

int exit_code_of(const Error& error) {
    if (error.code == Errc::busy)
        return exit_code::locked;
    return error.object == settings_object ? exit_code::invalid : exit_code::failed;
}

} // namespace brim
