// brim mqtt user: the password file, read, changed and written as a whole.

#include "base/random.h"
#include "broker/user_file.h"
#include "cli/mqtt_access.h"
#include "cli/mqtt_options.h"
#include "io/posix_disk.h"

#include <cstdio>
#include <cstdlib>
#include <termios.h>
#include <unistd.h>

namespace brim::cli {

namespace {

/// Standard input without echo, while it lives; the terminal is as before afterwards.
class SilentTerminal {
public:
    SilentTerminal() {
        tcgetattr(STDIN_FILENO, &before_);
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }

    ~SilentTerminal() { tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_); }

    SilentTerminal(const SilentTerminal&) = delete;
    SilentTerminal& operator=(const SilentTerminal&) = delete;

    std::string line(const char* prompt) {
        std::fputs(prompt, stderr);
        std::string text;
        for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar()) {
            if (text.size() <= MqttLimits::password_bytes_max)
                text += static_cast<char>(c);
        }
        std::fputc('\n', stderr);
        return text;
    }

private:
    termios before_{};
};

Result<std::string> password_of(const UserOptions& options) {
    io::PosixDisk disk;
    if (!options.password_file.empty()) {
        auto text = io::read_file(disk, options.password_file, MqttLimits::password_bytes_max);
        if (text && text->ends_with('\n')) // an editor's line end is no part of the password
            text->resize(text->size() - (text->ends_with("\r\n") ? 2 : 1));
        return text;
    }
    if (const char* found = std::getenv("BRIM_MQTT_PASSWORD"); found != nullptr && *found != '\0')
        return std::string(found);
    if (isatty(STDIN_FILENO) == 0)
        return fail(
            Errc::invalid,
            "password",
            "none is given, and there is no terminal to ask for it",
            "use --password-file or BRIM_MQTT_PASSWORD"
        );
    SilentTerminal terminal;
    std::string first = terminal.line("Password: ");
    if (terminal.line("Once more: ") != first)
        return fail(Errc::invalid, "password", "the two differ", "type the same twice");
    return first;
}

/// What is there; empty when there is no file and `may_be_new`.
Result<std::string> read_users(const std::string& path, bool may_be_new) {
    io::PosixDisk disk;
    if (may_be_new && !disk.exists(path))
        return std::string();
    return io::read_file(disk, path, broker::UserFileLimits{}.file_bytes_max);
}

Exit write_users(const std::string& path, const std::string& text) {
    io::PosixDisk disk;
    if (const auto written = io::write_file_atomically(disk, path, text); !written)
        return complain(written.error());
    return Exit::ok;
}

Bytes fresh_salt(Random& random) {
    Bytes salt;
    put_u64(salt, random.u64());
    put_u64(salt, random.u64());
    return salt;
}

} // namespace

Exit mqtt_user_add(const UserOptions& options) {
    const auto before = read_users(options.file, true);
    if (!before)
        return complain(before.error());
    // A broken file is told before anybody types a password.
    if (const auto parsed = broker::UserFile::parse(*before, options.file); !parsed)
        return complain(parsed.error());
    const auto password = password_of(options);
    if (!password)
        return static_cast<Exit>(complain_of_words(password.error()));
    SystemRandom random;
    std::optional<broker::ScramCost> scram;
    if (options.scram)
        scram = broker::ScramCost{.salt = fresh_salt(random), .iterations = options.iterations};
    const auto after =
        broker::set_user(*before, options.name, *password, fresh_salt(random), scram, options.file);
    if (!after)
        return static_cast<Exit>(complain_of_words(after.error()));
    return write_users(options.file, *after);
}

Exit mqtt_user_remove(const UserOptions& options) {
    const auto before = read_users(options.file, false);
    if (!before)
        return complain(before.error());
    const auto after = broker::remove_user(*before, options.name, options.file);
    if (!after)
        return complain(after.error());
    return write_users(options.file, *after);
}

Exit mqtt_user_list(const UserOptions& options, Format format) {
    const auto text = read_users(options.file, false);
    if (!text)
        return complain(text.error());
    const auto users = broker::UserFile::parse(*text, options.file);
    if (!users)
        return complain(users.error());
    Json rows = Json::array();
    for (const std::string& name : users->names()) {
        Json row = Json::object();
        row.set("name", name);
        row.set("password", users->find(name).known);
        row.set("scram", users->scram(name) != nullptr);
        rows.push(std::move(row));
    }
    if (format == Format::json)
        print_json(rows);
    else
        print_table({{"NAME", "name"}, {"PASSWORD", "password"}, {"SCRAM", "scram"}}, rows, 0);
    return Exit::ok;
}

} // namespace brim::cli
