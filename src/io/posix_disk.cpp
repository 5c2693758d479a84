#include "io/posix_disk.h"

#include "io/internal/descriptor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

namespace brim::io {

namespace {

class PosixFile final : public File {
public:
    PosixFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
        std::size_t done = 0;
        while (done < out.size()) {
            const ssize_t count =
                ::pread(fd_.value(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
            if (count < 0 && errno == EINTR)
                continue;
            if (count < 0)
                return failed(errno);
            if (count == 0)
                break;
            done += static_cast<std::size_t>(count);
        }
        return done;
    }

    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        while (!bytes.empty()) {
            const ssize_t count =
                ::pwrite(fd_.value(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (count < 0 && errno == EINTR)
                continue;
            if (count < 0)
                return failed(errno);
            // Regular files return 0 for no reason but a full disk.
            if (count == 0)
                return failed(ENOSPC);
            bytes.remove_prefix(static_cast<std::size_t>(count));
            offset += static_cast<std::uint64_t>(count);
        }
        return {};
    }

    Result<void> sync() override {
        // Not retried on EINTR or anything else: the kernel may have dropped the dirty pages with the first
        // report.
        if (::fdatasync(fd_.value()) != 0)
            return failed(errno);
        return {};
    }

    Result<std::uint64_t> size() override {
        struct stat status{};
        if (::fstat(fd_.value(), &status) != 0)
            return failed(errno);
        return static_cast<std::uint64_t>(status.st_size);
    }

    Result<void> truncate(std::uint64_t size) override {
        while (::ftruncate(fd_.value(), static_cast<off_t>(size)) != 0)
            if (errno != EINTR)
                return failed(errno);
        return {};
    }

    Result<void> allocate(std::uint64_t size) override {
        auto present = this->size();
        if (!present)
            return fail(std::move(present).error());
        if (size == 0)
            return {};
        // ZERO_RANGE without KEEP_SIZE would clear what is there; plain fallocate only adds.
        int result = 0;
        do {
            result = ::fallocate(fd_.value(), 0, 0, static_cast<off_t>(size));
        } while (result != 0 && errno == EINTR);
        if (result == 0)
            return {};
        if (errno != EOPNOTSUPP && errno != ENOSYS)
            return failed(errno);
        return write_zeros(*present, size);
    }

private:
    Result<void> write_zeros(std::uint64_t from, std::uint64_t to) {
        static constexpr std::array<char, 64 * 1024> zeros{};
        while (from < to) {
            const auto count = std::min<std::uint64_t>(to - from, zeros.size());
            BRIM_TRY(write_at(from, {zeros.data(), static_cast<std::size_t>(count)}));
            from += count;
        }
        return {};
    }

    std::unexpected<Error> failed(int errno_value) const {
        return fail(errno_error("file " + path_, errno_value));
    }

    Descriptor fd_;
    std::string path_;
};

Descriptor open_descriptor(const std::string& path, int flags) {
    for (;;) {
        Descriptor fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
        if (fd || errno != EINTR)
            return fd;
    }
}

std::unexpected<Error> disk_error(const char* kind, const std::string& path, int errno_value) {
    return fail(errno_error(std::string(kind) + " " + path, errno_value));
}

std::string read_holder(const Descriptor& fd) {
    std::array<char, 32> text{};
    ssize_t count = 0;
    do
        count = ::pread(fd.value(), text.data(), text.size() - 1, 0);
    while (count < 0 && errno == EINTR);
    std::string holder(text.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    holder.erase(
        std::find_if(holder.begin(), holder.end(), [](char c) { return c < '0' || c > '9'; }), holder.end()
    );
    return holder;
}

} // namespace

Result<std::unique_ptr<File>> PosixDisk::open(const std::string& path, OpenMode mode) {
    int flags = O_RDONLY;
    if (mode != OpenMode::read)
        flags = O_RDWR;
    if (mode == OpenMode::create)
        flags |= O_CREAT;
    if (mode == OpenMode::create_new)
        flags |= O_CREAT | O_EXCL;
    // Non-blocking: a FIFO in the place of a file must not hang the program; for files it means nothing.
    Descriptor fd = open_descriptor(path, flags | O_NONBLOCK);
    if (!fd)
        return disk_error("file", path, errno);
    struct stat status{};
    if (::fstat(fd.value(), &status) != 0)
        return disk_error("file", path, errno);
    if (S_ISFIFO(status.st_mode))
        return fail(Errc::invalid, "file " + path, "a FIFO, not a file", "give the path of a file");
    return std::make_unique<PosixFile>(std::move(fd), path);
}

Result<void> PosixDisk::rename(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) != 0)
        return disk_error("file", from, errno);
    return {};
}

Result<void> PosixDisk::remove(const std::string& path) {
    if (::unlink(path.c_str()) == 0)
        return {};
    if (errno == EISDIR && ::rmdir(path.c_str()) == 0)
        return {};
    return disk_error("file", path, errno);
}

bool PosixDisk::exists(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0;
}

std::string PosixDisk::stamp(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0)
        return "!" + std::to_string(errno);
    std::string text;
    for (const auto part :
         {static_cast<std::int64_t>(status.st_dev),
          static_cast<std::int64_t>(status.st_ino),
          std::int64_t{status.st_size},
          std::int64_t{status.st_mtim.tv_sec},
          std::int64_t{status.st_mtim.tv_nsec},
          std::int64_t{status.st_ctim.tv_sec}, // a copy may bring its old mtime with it
          std::int64_t{status.st_ctim.tv_nsec}})
        text += std::to_string(part) + '.';
    return text;
}

Result<std::vector<std::string>> PosixDisk::list(const std::string& folder) {
    const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(folder.c_str()), &::closedir);
    if (!opened)
        return disk_error("folder", folder, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(opened.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..")
            names.emplace_back(name);
        errno = 0;
    }
    if (errno != 0)
        return disk_error("folder", folder, errno);
    std::sort(names.begin(), names.end());
    return names;
}

Result<void> PosixDisk::make_dir(const std::string& folder) {
    for (std::size_t end = folder.find('/', 1); end != std::string::npos; end = folder.find('/', end + 1)) {
        const std::string parent = folder.substr(0, end);
        if (::mkdir(parent.c_str(), 0700) != 0 && errno != EEXIST)
            return disk_error("folder", parent, errno);
    }
    if (::mkdir(folder.c_str(), 0700) == 0)
        return {};
    const int error = errno;
    struct stat status{};
    if (error == EEXIST && ::stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
        return {};
    return disk_error("folder", folder, error);
}

Result<void> PosixDisk::sync_dir(const std::string& folder) {
    const Descriptor fd = open_descriptor(folder, O_RDONLY | O_DIRECTORY);
    if (!fd)
        return disk_error("folder", folder, errno);
    if (::fsync(fd.value()) != 0)
        return disk_error("folder", folder, errno);
    return {};
}

Result<std::unique_ptr<File>> PosixDisk::lock(const std::string& path) {
    Descriptor fd = open_descriptor(path, O_RDWR | O_CREAT);
    if (!fd)
        return disk_error("lock file", path, errno);
    struct flock whole{};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(fd.value(), F_OFD_SETLK, &whole) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return disk_error("lock file", path, errno);
        const std::string holder = read_holder(fd);
        return fail(
            Errc::busy,
            "lock file " + path,
            "locked by " + (holder.empty() ? "another process" : "pid " + holder),
            "stop that process, or give this one a data folder of its own"
        );
    }
    auto file = std::make_unique<PosixFile>(std::move(fd), path);
    BRIM_TRY(file->truncate(0));
    BRIM_TRY(file->write_at(0, std::to_string(::getpid()) + "\n"));
    return file;
}

Result<std::uint64_t> PosixDisk::free_bytes(const std::string& folder) {
    struct statvfs status{};
    if (::statvfs(folder.c_str(), &status) != 0)
        return disk_error("folder", folder, errno);
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

} // namespace brim::io
