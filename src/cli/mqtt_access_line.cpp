// The words of `brim mqtt user` and `brim mqtt acl`.

#include "cli/mqtt_access.h"

#include <CLI/CLI.hpp>

#include <memory>

namespace brim::cli {

namespace {

void add_users(CLI::App& mqtt, std::function<Exit()>& run, const std::string& output) {
    CLI::App* noun = mqtt.add_subcommand("user", "The password file of a broker");
    noun->require_subcommand(1);
    const auto options = std::make_shared<UserOptions>(); // owned by the callbacks, borrowed by the options
    const auto verb = [&](const char* name, const char* help) {
        CLI::App* made = noun->add_subcommand(name, help);
        made->add_option("FILE", options->file, "The password file")->required();
        return made;
    };
    CLI::App* add = verb("add", "Add a user, or change the password");
    add->add_option("NAME", options->name, "Name of the user")->required();
    add->add_option("--password-file", options->password_file, "File with the password");
    add->add_flag("--scram", options->scram, "Add what SCRAM-SHA-256 needs, too");
    add->add_option("--iterations", options->iterations, "Of SCRAM's PBKDF2")
        ->check(CLI::Range(4'096, 1'000'000))
        ->default_val(10'000);
    add->footer("The password comes from --password-file, BRIM_MQTT_PASSWORD or the terminal: what stands on "
                "a command\n"
                "line, every user of this machine can read.");
    add->callback([options, &run] { run = [options] { return mqtt_user_add(*options); }; });
    CLI::App* remove = verb("remove", "Remove a user");
    remove->add_option("NAME", options->name, "Name of the user")->required();
    remove->callback([options, &run] { run = [options] { return mqtt_user_remove(*options); }; });
    verb("list", "List the users")->callback([options, &run, &output] {
        run = [options, &output] {
            return mqtt_user_list(*options, output == "json" ? Format::json : Format::table);
        };
    });
}

void add_acl(CLI::App& mqtt, std::function<Exit()>& run, const std::string& output) {
    CLI::App* noun = mqtt.add_subcommand("acl", "The permissions of a broker");
    noun->require_subcommand(1);
    CLI::App* verb = noun->add_subcommand("check", "Say what a client may do, and which line decides");
    const auto options = std::make_shared<AclOptions>();
    verb->add_option("FILE", options->file, "The file with permissions")->required();
    verb->add_option("--user", options->user, "Name of the user (default: an anonymous client)");
    verb->add_option("--client-id", options->client_id, "Client id");
    verb->add_option("--publish", options->publish, "May it publish to this topic?");
    verb->add_option("--subscribe", options->subscribe, "May it subscribe to this filter?");
    verb->add_option("--receive", options->receive, "May it be sent what is published to this topic?");
    verb->footer("Without a question the file is only read. Exit codes: 0 allowed, 4 denied, 1 a broken file"
    );
    verb->callback([options, &run, &output] {
        run = [options, &output] {
            return mqtt_acl_check(*options, output == "json" ? Format::json : Format::table);
        };
    });
}

} // namespace

void add_mqtt_access(CLI::App& mqtt, std::function<Exit()>& run, const std::string& output) {
    add_users(mqtt, run, output);
    add_acl(mqtt, run, output);
}

} // namespace brim::cli
