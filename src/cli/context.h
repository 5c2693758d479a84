#pragma once
// Which hub `brim` talks to: named contexts in $XDG_CONFIG_HOME/brim/contexts.json (0600), overridden by
// BRIM_CONTEXT, or by BRIM_URL with BRIM_TOKEN.

#include "base/error.h"
#include "base/log.h"

#include <string>

namespace brim::cli {

struct Context {
    std::string name;
    std::string url; ///< "https://hub.example:8443", without a slash at the end
    Secret token;
    std::string ca_file; ///< empty = the system's
};

/// `wanted` is --context, empty for the current one. Errc::not_found with a hint when there is none.
Result<Context> load_context(const std::string& wanted);
/// Saves and makes it the current one.
Result<void> save_context(const Context& context);
std::string context_path();

} // namespace brim::cli
