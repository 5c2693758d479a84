// A password file from anybody: never crashes, no line that is not sound makes a user, and editing a sound
// file leaves all other lines as they were.

#include "broker/principal.h"
#include "broker/user_file.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace {

void require(bool ok) {
    if (!ok)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace brim::broker;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const UserFileLimits limits{.file_bytes_max = 16'384, .users_max = 64};
    const auto users = UserFile::parse(text, "users", limits);
    if (!users)
        return 0;
    for (const std::string& name : users->names()) {
        require(brim::broker::is_plain_name(name));
        require(users->find(name).known || users->scram(name) != nullptr);
    }
    require(!users->find("nobody of this name").known);
    if (users->names().empty())
        return 0;
    const std::string gone = users->names().front();
    const auto rest = remove_user(text, gone);
    require(rest.has_value());
    const auto again = UserFile::parse(*rest, "users", limits);
    require(again.has_value());
    require(again->names().size() + 1 == users->names().size());
    require(std::ranges::find(again->names(), gone) == again->names().end());
    return 0;
}
