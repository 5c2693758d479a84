#pragma once
// What the two daemons share as programs: their command line, exit codes and the form of an error on a
// terminal.

#include "base/config.h"
#include "base/error.h"

#include <string>
#include <string_view>
#include <vector>

namespace brim {

/// Exit codes, as `docs/errors.md` lists them.
namespace exit_code {
constexpr int done = 0;
constexpr int failed = 1; ///< or ended by a second SIGTERM
constexpr int usage = 2;
constexpr int invalid = 9; ///< the settings are wrong
constexpr int locked = 75; ///< another process holds the data folder or an address (EX_TEMPFAIL) [F-14]
} // namespace exit_code

/// PROGRAM word... [--config FILE] [--set section.key=value]... [--flag]...
struct CommandLine {
    std::vector<std::string> words; ///< what is no option, in order
    std::vector<std::string> flags; ///< of those allowed, as given
    ConfigSource source;            ///< --config, --set, and BRIM_SECTION__KEY of the environment
    bool valid = true;              ///< no unknown option, none without its value
    bool help = false;              ///< --help or -h

    /// The words are exactly these.
    bool is(std::initializer_list<std::string_view> wanted) const;
    bool has(std::string_view flag) const;
};

/// `environment` ends with a null pointer; variables without "__" (what a program gives its children) are no
/// settings.
CommandLine parse_command_line(
    int argc,
    const char* const* argv,
    const char* const* environment,
    std::initializer_list<std::string_view> flags = {}
);

/// "error: OBJECT: CAUSE\nhint: FIX\n". Errors in settings have a line each with its place already: those
/// come as they are.
std::string error_lines(const Error& error);
/// The exit code that goes with an error at start: locked, invalid or failed.
int exit_code_of(const Error& error);

} // namespace brim
