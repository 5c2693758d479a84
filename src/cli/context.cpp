#include "cli/context.h"

#include "base/json.h"
#include "io/posix_disk.h"

#include <cstdlib>
#include <string_view>

namespace brim::cli {

namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string{} : std::string(value);
}

constexpr std::size_t file_bytes_max = 1'048'576;

Result<Json> read_contexts() {
    io::PosixDisk disk;
    if (!disk.exists(context_path()))
        return Json::object();
    const auto text = io::read_file(disk, context_path(), file_bytes_max);
    if (!text)
        return fail(text.error());
    auto json = Json::parse(*text);
    if (!json)
        return fail(
            Errc::malformed, context_path(), json.error().cause, "mend or remove the file, then brim login"
        );
    return json;
}

} // namespace

std::string context_path() {
    const std::string xdg = environment("XDG_CONFIG_HOME");
    const std::string base = xdg.empty() ? environment("HOME") + "/.config" : xdg;
    return base + "/brim/contexts.json";
}

Result<Context> load_context(const std::string& wanted) {
    if (const std::string url = environment("BRIM_URL"); !url.empty() && wanted.empty()) {
        return Context{"environment", url, Secret(environment("BRIM_TOKEN")), environment("BRIM_CA_FILE")};
    }
    auto all = read_contexts();
    if (!all)
        return fail(std::move(all).error());
    std::string name = wanted.empty() ? environment("BRIM_CONTEXT") : wanted;
    if (name.empty())
        name = (*all)["current"].as_string();
    const Json& found = (*all)["contexts"][name];
    if (name.empty() || !found.is_object()) {
        return fail(
            Errc::not_found,
            name.empty() ? "context" : "context \"" + name + "\"",
            name.empty() ? "no hub is known yet" : "there is none of this name",
            "brim login https://your-hub:8443"
        );
    }
    return Context{
        name,
        std::string(found["url"].as_string()),
        Secret(std::string(found["token"].as_string())),
        std::string(found["caFile"].as_string())
    };
}

Result<void> save_context(const Context& context) {
    auto all = read_contexts();
    if (!all)
        return fail(std::move(all).error());
    Json entry = Json::object();
    entry.set("url", context.url);
    entry.set("token", context.token.reveal());
    if (!context.ca_file.empty())
        entry.set("caFile", context.ca_file);
    Json contexts = (*all)["contexts"];
    contexts.set(context.name, std::move(entry));
    all->set("contexts", std::move(contexts));
    all->set("current", context.name);
    io::PosixDisk disk;
    const std::string path = context_path();
    BRIM_TRY(disk.make_dir(path.substr(0, path.rfind('/'))));
    return io::write_file_atomically(disk, path, all->text(true) + "\n");
}

} // namespace brim::cli
