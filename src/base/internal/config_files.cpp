#include "base/internal/config_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace brim {

namespace {

class FileToRead {
public:
    // Non-blocking: a FIFO in the place of a file must not hang the start.
    explicit FileToRead(const std::string& path) {
        do
            fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        while (fd_ < 0 && errno == EINTR);
    }

    ~FileToRead() {
        if (fd_ >= 0)
            ::close(fd_);
    }

    FileToRead(const FileToRead&) = delete;
    FileToRead& operator=(const FileToRead&) = delete;

    int fd() const { return fd_; }

private:
    int fd_ = -1;
};

} // namespace

Result<std::string> config_read_file(const std::string& path, FilePrivacy privacy) {
    const std::string object = "file " + path;
    const FileToRead file(path);
    if (file.fd() < 0)
        return fail(errno_error(object, errno));
    struct stat facts{};
    if (::fstat(file.fd(), &facts) != 0)
        return fail(errno_error(object, errno));
    if (!S_ISREG(facts.st_mode))
        return fail(Errc::invalid, object, "not a regular file", "give the path of a file");
    if (privacy == FilePrivacy::not_for_others && (facts.st_mode & S_IRWXO) != 0) {
        return fail(
            Errc::denied,
            object,
            "every user of this machine may read or change this secret",
            "chmod o= " + path
        );
    }
    std::string text;
    char block[16'384];
    while (text.size() <= config_file_bytes_max) {
        const ssize_t got = ::read(file.fd(), block, sizeof block);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(errno_error(object, errno));
        if (got == 0)
            return text;
        text.append(block, static_cast<std::size_t>(got));
    }
    return fail(Errc::too_large, object, "larger than 1 MiB", "split the file");
}

Result<std::vector<std::string>> config_list_folder(const std::string& folder) {
    std::vector<std::string> out;
    std::error_code error;
    std::filesystem::directory_iterator it(folder, error);
    if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory)
        return out;
    for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
        if (it->path().extension() == ".toml")
            out.push_back(it->path().string());
        if (out.size() > config_files_max) {
            return fail(Errc::too_large, "folder " + folder, "more than 256 files", "merge some of them");
        }
    }
    if (error)
        return fail(errno_error("folder " + folder, error.value()));
    std::ranges::sort(out);
    return out;
}

Result<Secret> config_resolve_secret(const std::string& key, const std::string& reference) {
    if (reference.empty())
        return Secret();
    const std::string name = reference.substr(reference.find(':') + 1);
    const std::string object = "secret " + key;
    if (reference.starts_with("env:")) {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) {
            return fail(Errc::not_found, object, "environment variable " + name + " is not set", "set it");
        }
        return Secret(value);
    }
    std::string path = name;
    if (reference.starts_with("cred:")) {
        const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
        if (folder == nullptr || name.find('/') != std::string::npos) {
            return fail(
                Errc::not_found,
                object,
                "no systemd credential \"" + name + "\"",
                "add LoadCredential=" + name + ":PATH to the unit"
            );
        }
        path = std::string(folder) + '/' + name;
    }
    auto text = config_read_file(path, FilePrivacy::not_for_others);
    if (!text) {
        Error error = std::move(text).error();
        error.object = object + ", " + error.object;
        return fail(std::move(error));
    }
    if (text->ends_with('\n'))
        text->pop_back();
    if (text->ends_with('\r'))
        text->pop_back();
    if (text->empty())
        return fail(Errc::invalid, object, "file " + path + " is empty", "write the secret into it");
    return Secret(std::move(*text));
}

} // namespace brim
