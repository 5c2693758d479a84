#pragma once
// `brim mqtt user ...` and `brim mqtt acl check`: the two files that say who a client of a broker is and what
// it may do. They talk to no server.

#include "cli/output.h"

#include <cstdint>
#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace brim::cli {

struct UserOptions {
    std::string file, name, password_file;
    bool scram = false; ///< a SCRAM verifier as well
    std::uint32_t iterations = 10'000;
};

/// Adds the user or changes the password, which comes from --password-file, BRIM_MQTT_PASSWORD or the
/// terminal (twice, unseen). The file is made when there is none; it is replaced as a whole, with mode 0600.
Exit mqtt_user_add(const UserOptions& options);
Exit mqtt_user_remove(const UserOptions& options);
Exit mqtt_user_list(const UserOptions& options, Format format);

struct AclOptions {
    std::string file, user, client_id;
    std::string publish, subscribe, receive; ///< exactly one, or none: the file is only read
};

/// Prints allow or deny and the line that decided; Exit::denied when denied.
Exit mqtt_acl_check(const AclOptions& options, Format format);

/// Declares `user` and `acl` on the noun `mqtt`; the verb chosen is put into `run`.
void add_mqtt_access(CLI::App& mqtt, std::function<Exit()>& run, const std::string& output);

} // namespace brim::cli
