#include "io/posix_disk.h"

#include <doctest/doctest.h>
#include <filesystem>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace brim::io {

namespace {

struct Folder {
    std::string path = "/tmp/brim-disk-" + std::to_string(::getpid());
    PosixDisk disk;

    Folder() { REQUIRE(disk.make_dir(path + "/a/b").has_value()); }

    ~Folder() { std::filesystem::remove_all(path); }
};

} // namespace

TEST_CASE(
    "a file is made private, written at offsets, read short at its end, truncated and reserved with zeros"
) {
    Folder folder;
    const std::string path = folder.path + "/f";
    auto file = folder.disk.open(path, OpenMode::create_new);
    REQUIRE(file);
    CHECK(folder.disk.open(path, OpenMode::create_new).error().code == Errc::exists);
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK((*file)->write_at(5, "hello").has_value());
    Bytes out(100, '?');
    CHECK((*file)->read_at(0, out).value() == 10);
    CHECK(out.substr(0, 10) == Bytes("\0\0\0\0\0hello", 10));
    CHECK((*file)->read_at(10, out).value() == 0);
    CHECK((*file)->truncate(7).has_value());
    CHECK((*file)->size().value() == 7);
    CHECK((*file)->allocate(100'000).has_value());
    CHECK((*file)->size().value() == 100'000);
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(status.st_blocks * 512 >= 100'000);
    CHECK((*file)->read_at(5, out).value() == 100);
    CHECK(out == "he" + Bytes(98, '\0'));
    CHECK((*file)->sync().has_value());
}

TEST_CASE("what is not there, not a folder or not allowed is said with its path") {
    Folder folder;
    const auto absent = folder.disk.open(folder.path + "/none", OpenMode::read);
    CHECK(absent.error().code == Errc::not_found);
    CHECK(absent.error().object.find(folder.path + "/none") != std::string::npos);
    CHECK(folder.disk.open(folder.path + "/none", OpenMode::write).error().code == Errc::not_found);
    CHECK(folder.disk.list(folder.path + "/none").error().code == Errc::not_found);
    CHECK(folder.disk.remove(folder.path + "/none").error().code == Errc::not_found);
    CHECK(folder.disk.rename(folder.path + "/none", folder.path + "/x").error().code == Errc::not_found);
    CHECK(write_file_atomically(folder.disk, folder.path + "/f", "x").has_value());
    CHECK_FALSE(folder.disk.make_dir(folder.path + "/f").has_value());
    CHECK_FALSE(folder.disk.make_dir(folder.path + "/f/below").has_value());
    CHECK_FALSE(folder.disk.sync_dir(folder.path + "/f").has_value());
}

TEST_CASE("a FIFO in the place of a file is refused at once, not waited for") {
    Folder folder;
    const std::string path = folder.path + "/fifo";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    const auto opened = folder.disk.open(path, OpenMode::read);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == Errc::invalid);
    CHECK(opened.error().text().find(path) != std::string::npos);
}

TEST_CASE("a folder lists its names sorted, entries are renamed and removed") {
    Folder folder;
    for (const char* name : {"c", "a2", "b"})
        CHECK(write_file_atomically(folder.disk, folder.path + "/" + name, name).has_value());
    CHECK(folder.disk.list(folder.path).value() == std::vector<std::string>{"a", "a2", "b", "c"});
    CHECK(folder.disk.rename(folder.path + "/c", folder.path + "/d").has_value());
    CHECK(folder.disk.exists(folder.path + "/d"));
    CHECK_FALSE(folder.disk.exists(folder.path + "/c"));
    CHECK_FALSE(folder.disk.remove(folder.path + "/a").has_value()); // not empty
    CHECK(folder.disk.remove(folder.path + "/a/b").has_value());
    CHECK(folder.disk.remove(folder.path + "/a").has_value());
    CHECK(folder.disk.free_bytes(folder.path).value() > 0);
    CHECK(folder.disk.make_dir(folder.path).has_value());
}

TEST_CASE("an atomic write replaces whole content, leaves no other file, and read_file keeps its limit") {
    Folder folder;
    const std::string path = folder.path + "/state";
    // What a crash in the middle of an earlier attempt leaves behind must not end up in the new content.
    CHECK((*folder.disk.open(path + ".new", OpenMode::create))->write_at(0, Bytes(100, 'z')).has_value());
    CHECK(write_file_atomically(folder.disk, path, "first version").has_value());
    CHECK(read_file(folder.disk, path, 1'000).value() == "first version");
    CHECK(write_file_atomically(folder.disk, path, "second").has_value());
    CHECK(read_file(folder.disk, path, 6).value() == "second");
    CHECK(read_file(folder.disk, path, 5).error().code == Errc::too_large);
    CHECK(folder.disk.list(folder.path).value() == std::vector<std::string>{"a", "state"});
    CHECK(write_file_atomically(folder.disk, path, "").has_value());
    CHECK(read_file(folder.disk, path, 0).value().empty());
}

TEST_CASE("a lock is exclusive, names its holder, and goes with its owner or its process") {
    Folder folder;
    const std::string path = folder.path + "/lock";
    auto held = folder.disk.lock(path);
    REQUIRE(held);
    const auto second = folder.disk.lock(path);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Errc::busy);
    CHECK(second.error().cause.find("pid " + std::to_string(::getpid())) != std::string::npos);
    held->reset();
    CHECK(folder.disk.lock(path).has_value());

    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const auto theirs = folder.disk.lock(path);
        const char result = theirs ? 'y' : 'n';
        [[maybe_unused]] const auto n = ::write(ready[1], &result, 1);
        ::pause();
        ::_exit(0);
    }
    char result = 0;
    CHECK(::read(ready[0], &result, 1) == 1);
    CHECK(result == 'y');
    CHECK(folder.disk.lock(path).error().cause.find("pid " + std::to_string(child)) != std::string::npos);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);
    CHECK(folder.disk.lock(path).has_value());
}

TEST_CASE("a full disk is Errc::full, and the old file survives a failed atomic write") {
    // /dev/full answers every write with ENOSPC.
    PosixDisk disk;
    auto full = disk.open("/dev/full", OpenMode::write);
    REQUIRE(full);
    CHECK((*full)->write_at(0, "x").error().code == Errc::full);
}

} // namespace brim::io
