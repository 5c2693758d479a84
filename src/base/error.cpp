#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace brim {

std::string_view errc_name(Errc code) noexcept {
    switch (code) {
    case Errc::malformed:
        return "malformed";
    case Errc::invalid:
        return "invalid";
    case Errc::too_large:
        return "too_large";
    case Errc::not_found:
        return "not_found";
    case Errc::exists:
        return "exists";
    case Errc::conflict:
        return "conflict";
    case Errc::unauthenticated:
        return "unauthenticated";
    case Errc::denied:
        return "denied";
    case Errc::busy:
        return "busy";
    case Errc::full:
        return "full";
    case Errc::timeout:
        return "timeout";
    case Errc::closed:
        return "closed";
    case Errc::unavailable:
        return "unavailable";
    case Errc::unsupported:
        return "unsupported";
    case Errc::corrupt:
        return "corrupt";
    case Errc::io:
        return "io";
    }
    return "unknown";
}

std::string Error::text() const {
    std::string out;
    if (!object.empty())
        out += object + ": ";
    out += cause;
    out += " (";
    out += errc_name(code);
    out += ')';
    if (!fix.empty())
        out += "; " + fix;
    return out;
}

namespace {

struct ErrnoMeaning {
    Errc code;
    std::string_view fix;
};

ErrnoMeaning errno_meaning(int errno_value) {
    switch (errno_value) {
    case ENOENT:
        return {Errc::not_found, "check the path"};
    case EACCES:
    case EPERM:
        return {Errc::denied, "check owner and permissions, and the user this program runs as"};
    case EEXIST:
        return {Errc::exists, "choose another name or remove the existing one"};
    case ENOSPC:
    case EDQUOT:
        return {Errc::full, "free some disk space or raise the quota"};
    case EROFS:
        return {Errc::denied, "the file system is mounted read-only"};
    case EMFILE:
    case ENFILE:
        return {Errc::busy, "raise the limit of open files (LimitNOFILE)"};
    case ENOMEM:
        return {Errc::full, "free some memory or raise the memory limit"};
    case EADDRINUSE:
        return {Errc::exists, "stop the other program on this address, or choose another port"};
    case EADDRNOTAVAIL:
        return {Errc::invalid, "use an address that this machine has"};
    case ECONNREFUSED:
        return {Errc::unavailable, "check that the far side is running and the port is right"};
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
        return {Errc::unavailable, "check the network"};
    case ECONNRESET:
    case EPIPE:
        return {Errc::closed, ""};
    case ETIMEDOUT:
        return {Errc::timeout, "check the network and that the far side answers"};
    case ENOTDIR:
    case EISDIR:
        return {Errc::invalid, "check the path"};
    case EIO:
        return {Errc::io, "check the disk (dmesg)"};
    default:
        return {Errc::io, ""};
    }
}

} // namespace

Error errno_error(std::string object, int errno_value) {
    const ErrnoMeaning meaning = errno_meaning(errno_value);
    const char* description = strerrordesc_np(errno_value); // thread-safe, unlike strerror
    std::string cause = description != nullptr ? description : "system error " + std::to_string(errno_value);
    return Error{meaning.code, std::move(object), std::move(cause), std::string(meaning.fix)};
}

} // namespace brim
