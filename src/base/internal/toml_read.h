#pragma once
// TOML text as a flat list of settings with their places. The only code that sees toml++.

#include "base/config.h"

namespace brim {

struct TomlPlace {
    unsigned line = 0;   ///< from 1; 0 = unknown
    unsigned column = 0; ///< from 1, in characters
};

struct TomlSetting {
    std::string path; ///< "section.key", "table[0].key"
    ConfigValue value;
    TomlPlace place;
};

struct TomlSection {
    std::string path; ///< "section", "table[0]"
    TomlPlace place;
};

struct TomlProblem {
    std::string path; ///< may be empty
    std::string cause;
    std::string fix;
    TomlPlace place;
};

struct TomlText {
    std::vector<TomlSetting> settings; ///< in the order of the text's places
    std::vector<TomlSection> sections; ///< likewise; table arrays item by item
    std::vector<TomlProblem> problems; ///< a syntax error ends reading: there is one at most
};

TomlText toml_read(std::string_view text);
/// The lines above the one with the syntax error; all of them when there is none, none when those above are
/// no TOML on their own either.
std::string_view toml_before_error(std::string_view text);

} // namespace brim
