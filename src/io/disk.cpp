#include "io/disk.h"

#include <algorithm>

namespace brim::io {

namespace {

constexpr std::size_t rewrite_block_bytes = 65'536;

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos)
        return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

/// Writes and syncs a new file; its name is not durable yet.
Result<void> write_new(Disk& disk, const std::string& path, ByteView content) {
    auto file = disk.open(path, OpenMode::create);
    if (!file)
        return fail(std::move(file).error());
    BRIM_TRY((*file)->truncate(0)); // a crash may have left one behind
    BRIM_TRY((*file)->write_at(0, content));
    return (*file)->sync();
}

} // namespace

Result<void> rewrite(File& file, std::uint64_t from, std::uint64_t to) {
    Bytes block;
    while (from < to) {
        block.resize(std::min<std::uint64_t>(to - from, rewrite_block_bytes));
        const auto got = file.read_at(from, block);
        if (!got)
            return fail(got.error());
        if (*got == 0)
            break;
        BRIM_TRY(file.write_at(from, ByteView(block).substr(0, *got)));
        from += *got;
    }
    return {};
}

Result<Bytes> read_file(Disk& disk, const std::string& path, std::size_t bytes_max) {
    auto file = disk.open(path, OpenMode::read);
    if (!file)
        return fail(std::move(file).error());
    auto size = (*file)->size();
    if (!size)
        return fail(std::move(size).error());
    if (*size > bytes_max)
        return fail(
            Errc::too_large,
            "file " + path,
            "it has " + std::to_string(*size) + " bytes, at most " + std::to_string(bytes_max) + " are read"
        );
    Bytes content(*size, '\0');
    auto count = (*file)->read_at(0, content);
    if (!count)
        return fail(std::move(count).error());
    content.resize(*count);
    return content;
}

Result<void> write_file_atomically(Disk& disk, const std::string& path, ByteView content) {
    const std::string temporary = path + ".new";
    auto written = write_new(disk, temporary, content);
    if (written)
        written = disk.rename(temporary, path);
    if (!written) {
        // The first failure is the one to tell; the leftover is overwritten by the next attempt in any case.
        [[maybe_unused]] const auto removed = disk.remove(temporary);
        return written;
    }
    return disk.sync_dir(parent_of(path));
}

} // namespace brim::io
