// brim: the command line for hubs and edges.

#include "base/config.h"
#include "cli/commands.h"
#include "cli/mqtt_access.h"
#include "cli/mqtt_commands.h"

#include <CLI/CLI.hpp>

#include <csignal>
#include <functional>

namespace {

using namespace brim::cli;

struct Line {
    Common common;
    std::string output = "table";
    std::function<Exit()> run;
    // Arguments of the command chosen.
    LoginOptions login;
    DeviceFilter filter;
    DoctorOptions doctor;
    std::string name, other, file, key;
    std::vector<std::string> words;
    bool flag = false;
    std::size_t count = 0;
};

CLI::App* verb(CLI::App& noun, const char* name, const char* help, Line& line, std::function<Exit()> run) {
    CLI::App* made = noun.add_subcommand(name, help);
    made->callback([&line, run = std::move(run)] { line.run = run; });
    return made;
}

CLI::App& noun(CLI::App& app, const char* name, const char* help) {
    CLI::App* made = app.add_subcommand(name, help);
    made->require_subcommand(1);
    return *made;
}

void add_products(CLI::App& app, Line& line) {
    CLI::App& product = noun(app, "product", "Products and their thing models");
    verb(product, "list", "List products", line, [&line] { return product_list(line.common); });
    auto* get =
        verb(product, "get", "Show a product", line, [&line] { return product_get(line.common, line.name); });
    get->add_option("PRODUCT", line.name, "Product key")->required();
    auto* create = verb(product, "create", "Create a product; prints its key", line, [&line] {
        return product_create(line.common, line.name, line.flag, line.file, line.key);
    });
    create->add_option("NAME", line.name, "Display name")->required();
    create->add_flag("--gateway", line.flag, "Its devices are gateways");
    create->add_option("--model", line.file, "File with the thing model (TSL JSON)");
    create->add_option("--key", line.key, "Own product key, for migrations");
    auto* remove = verb(product, "delete", "Delete a product without devices", line, [&line] {
        return product_delete(line.common, line.name);
    });
    remove->add_option("PRODUCT", line.name, "Product key")->required();
    remove->add_flag("--yes", line.common.yes, "Do not ask");
    CLI::App& model = noun(product, "model", "The thing model");
    auto* show = verb(model, "get", "Print the model as TSL JSON", line, [&line] {
        return product_model_get(line.common, line.name);
    });
    show->add_option("PRODUCT", line.name, "Product key")->required();
    auto* put = verb(model, "put", "Replace the model from a file", line, [&line] {
        return product_model_put(line.common, line.name, line.file);
    });
    put->add_option("PRODUCT", line.name, "Product key")->required();
    put->add_option("FILE", line.file, "TSL JSON")->required();
}

void add_devices(CLI::App& app, Line& line) {
    CLI::App& device = noun(app, "device", "Devices");
    auto* list =
        verb(device, "list", "List devices", line, [&line] { return device_list(line.common, line.filter); });
    list->add_option("--product", line.filter.product, "Only of this product");
    list->add_option("--status", line.filter.status, "online, offline, unactivated or disabled");
    list->add_option("--gateway", line.filter.gateway, "Only behind this gateway");
    list->add_option("--like", line.filter.text, "Part of a name");
    const auto one = [&](const char* name, const char* help, std::function<Exit()> run) {
        auto* made = verb(device, name, help, line, std::move(run));
        made->add_option("DEVICE", line.name, "productKey/deviceName")->required();
        return made;
    };
    one("get", "Show a device", [&line] { return device_get(line.common, line.name); });
    auto* create = one("create", "Create a device; prints its secret once", [&line] {
        return device_create(line.common, line.name, line.other);
    });
    create->add_option("--nickname", line.other, "Display name");
    one("delete", "Delete a device and its history", [&line] { return device_delete(line.common, line.name); }
    )->add_flag("--yes", line.common.yes, "Do not ask");
    one("connection", "Its connection: address, session, what waits for it", [&line] {
        return device_connection(line.common, line.name);
    });
    one("disconnect", "End its connection; it may come back", [&line] {
        return device_disconnect(line.common, line.name);
    });
    one("enable", "Enable a device", [&line] { return device_enable(line.common, line.name, true); });
    one("disable", "Disable a device and end its connection", [&line] {
        return device_enable(line.common, line.name, false);
    });
}

void add_properties(CLI::App& app, Line& line) {
    CLI::App& property = noun(app, "property", "Values of a device");
    const auto one = [&](const char* name, const char* help, std::function<Exit()> run) {
        auto* made = verb(property, name, help, line, std::move(run));
        made->add_option("DEVICE", line.name, "productKey/deviceName")->required();
        return made;
    };
    one("get", "Current and desired values", [&line] {
        return property_get(line.common, line.name, line.words);
    })->add_option("PROPERTY", line.words, "Only these");
    one("set",
        "Set desired values: name=value ...",
        [&line] { return property_set(line.common, line.name, line.words); })
        ->add_option("ASSIGNMENT", line.words, "name=value; the value as JSON, else as text")
        ->required();
    one("watch", "Print values as they come", [&line] {
        return property_watch(line.common, line.name, line.count);
    })->add_option("-C,--count", line.count, "End after this many values");
    auto* history = one("history", "Stored values, newest first", [&line] {
        return property_history(line.common, line.name, line.other, line.count == 0 ? 20 : line.count);
    });
    history->add_option("PROPERTY", line.other, "Identifier")->required();
    history->add_option("-n,--limit", line.count, "How many (default 20)");
}

void add_gateways(CLI::App& app, Line& line) {
    CLI::App& gateway = noun(app, "gateway", "Gateways and their sub-devices");
    verb(gateway, "list", "List gateways", line, [&line] { return gateway_list(line.common); });
    const auto one = [&](const char* name, const char* help, std::function<Exit()> run) {
        auto* made = verb(gateway, name, help, line, std::move(run));
        made->add_option("GATEWAY", line.name, "productKey/deviceName")->required();
        return made;
    };
    one("devices", "Its sub-devices", [&line] { return gateway_devices(line.common, line.name); });
    one("bind",
        "Bind a device to it",
        [&line] { return gateway_bind(line.common, line.name, line.other, true); })
        ->add_option("DEVICE", line.other, "productKey/deviceName")
        ->required();
    one("unbind",
        "Unbind a device",
        [&line] { return gateway_bind(line.common, line.name, line.other, false); })
        ->add_option("DEVICE", line.other, "productKey/deviceName")
        ->required();
}

void add_others(CLI::App& app, Line& line) {
    auto* sign_in = verb(app, "login", "Sign in to a hub and keep a token for it", line, [&line] {
        return login(line.common, line.login);
    });
    sign_in->add_option("URL", line.login.url, "https://hub.example:8443")->required();
    sign_in->add_option("--user", line.login.user, "User name")->default_val("admin");
    sign_in->add_option("--name", line.login.name, "Name of the context; default: the host");
    sign_in->add_option("--ca-file", line.login.ca_file, "Trust these certificates only");
    sign_in->add_flag("--password-stdin", line.login.password_stdin, "Read the password from standard input");
    sign_in->add_flag("--token-stdin", line.login.token_stdin, "Read an API token from standard input");
    auto* check =
        verb(app, "doctor", "Find what is wrong with hub and edge, and how to mend it", line, [&line] {
            return doctor(line.common, line.doctor);
        });
    check->add_option("--data-dir", line.doctor.data_dir, "Where to time the disk (default: here)");
    check->add_option(
        "--edge", line.doctor.edge_socket, "Status address of a brim-edge, unix:/path or tcp:host:port"
    );
    check->add_flag("--no-hub", line.doctor.skip_hub, "Do not ask a hub");
    check->add_option("--name", line.doctor.name, "Host name or address devices reach the hub by");
    check->add_option("--ca-file", line.doctor.ca_file, "PEM authority that devices trust");
    check->add_option("--certificate", line.doctor.certificates, "PEM certificate to judge as a hub's");
    check->footer("Exit codes: 0 nothing is bad (there may be warnings), 9 something is bad, 2 usage");
    verb(app, "version", "Print the version", line, [] {
        std::puts("brim " BRIM_VERSION);
        return Exit::ok;
    });
}

/// "help", "help exit-codes", "help device".
Exit show_help(const CLI::App& app, const std::vector<std::string>& topic) {
    if (topic == std::vector<std::string>{"exit-codes"}) {
        std::fputs(std::string(exit_code_help()).c_str(), stdout);
        return Exit::ok;
    }
    const CLI::App* at = &app;
    std::string path = "brim";
    for (const std::string& word : topic) {
        const auto found =
            at->get_subcommands([&word](const CLI::App* each) { return each->get_name() == word; });
        if (found.empty()) {
            std::fprintf(
                stderr,
                "error: help topic \"%s\": there is none\nhint: name a command of \"%s --help\", or "
                "exit-codes\n",
                printable(word).c_str(),
                path.c_str()
            );
            return Exit::usage;
        }
        at = found.front();
        path += " " + word;
    }
    // help() of an App would turn to the command that was given, which is "help".
    const std::string text = at->get_formatter()->make_help(at, path, CLI::AppFormatMode::Normal);
    std::fputs(text.c_str(), stdout);
    return Exit::ok;
}

void add_help(CLI::App& app, Line& line) {
    auto* help = verb(app, "help", "Help on a command, or on exit-codes", line, [&app, &line] {
        return show_help(app, line.words);
    });
    help->add_option("TOPIC", line.words, "The words of a command, or exit-codes");
}

/// A word that is no command, where CLI11 would only say that one is missing.
bool complain_of_command(const CLI::App& app) {
    const CLI::App* at = &app;
    while (!at->get_subcommands().empty())
        at = at->get_subcommands().front();
    const auto words = app.remaining(true);
    if (at->get_require_subcommand_min() == 0 || words.empty() || words.front().starts_with('-'))
        return false;
    std::vector<std::string_view> known;
    for (const CLI::App* each : at->get_subcommands([](const CLI::App*) { return true; }))
        known.emplace_back(each->get_name());
    const std::string_view near = brim::did_you_mean(words.front(), known);
    std::string fix = "see " + (at == &app ? std::string("brim") : "brim " + at->get_name()) + " --help";
    if (!near.empty())
        fix = "did you mean \"" + std::string(near) + "\"? " + fix;
    std::fprintf(
        stderr, "error: command \"%s\": there is none\nhint: %s\n", words.front().c_str(), fix.c_str()
    );
    return true;
}

} // namespace

// CLI11 throws at once when a name is given twice below: a mistake no run survives.
int main(int argc, char** argv) { // NOLINT(bugprone-exception-escape)
    std::signal(SIGPIPE, SIG_DFL);
    Line line;
    CLI::App app{"brim: the command line for Brim hubs and edges", "brim"};
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--context", line.common.context, "Which hub (see brim login)");
    app.add_option("-o,--output", line.output, "table or json")->check(CLI::IsMember({"table", "json"}));
    app.footer(
        "Examples:\n  brim login http://127.0.0.1:8080\n  brim device list --status offline\n"
        "  brim property set a1Pump00001/pump-7 Setpoint=42\n  brim property watch a1Pump00001/pump-7\n\n"
        "Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 denied, 5 conflict, 6 unreachable, 7 timeout, "
        "9 check failed (brim help exit-codes)"
    );
    add_help(app, line);
    add_others(app, line);
    add_products(app, line);
    add_devices(app, line);
    add_properties(app, line);
    add_gateways(app, line);
    add_mqtt_access(add_mqtt(app, line.run, line.output), line.run, line.output);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        // CLI11 reports by exception; help is one of them and no failure.
        if (error.get_exit_code() != 0 && complain_of_command(app))
            return static_cast<int>(Exit::usage);
        const int code = app.exit(error);
        return code == 0 ? 0 : static_cast<int>(Exit::usage);
    }
    line.common.format = line.output == "json" ? Format::json : Format::table;
    return static_cast<int>(line.run());
}
