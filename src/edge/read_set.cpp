#include "edge/read_set.h"

namespace brim::edge {

namespace {

std::unexpected<Error> read_only(const std::string& path) {
    return fail(
        Errc::denied, "file " + path, "configuration is only read", "write it with the tools of its owner"
    );
}

/// A file of the set, which outlives it.
class KeptFile final : public io::File {
public:
    KeptFile(const std::string& path, const Bytes& content) : path_(path), content_(content) {}

    Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
        if (offset >= content_.size())
            return std::size_t{0};
        return content_.copy(out.data(), out.size(), static_cast<std::size_t>(offset));
    }

    Result<void> write_at(std::uint64_t, ByteView) override { return read_only(path_); }

    Result<void> sync() override { return {}; }

    Result<std::uint64_t> size() override { return content_.size(); }

    Result<void> truncate(std::uint64_t) override { return read_only(path_); }

    Result<void> allocate(std::uint64_t) override { return read_only(path_); }

private:
    const std::string& path_;
    const Bytes& content_;
};

} // namespace

Result<void> ReadSet::fetch(const std::string& path) {
    if (!disk_)
        return fail(Errc::not_found, "file " + path, "is not in the applied configuration", "apply it again");
    if (files_.size() >= limits_.files_max) {
        return fail(
            Errc::too_large,
            "configuration",
            "it has over " + std::to_string(limits_.files_max) + " files",
            "merge some"
        );
    }
    auto content = io::read_file(*disk_, path, limits_.bytes_max - bytes_);
    if (!content)
        return fail(content.error());
    bytes_ += content->size();
    files_.emplace(path, std::move(*content));
    return {};
}

Result<std::unique_ptr<io::File>> ReadSet::open(const std::string& path, io::OpenMode mode) {
    if (mode != io::OpenMode::read)
        return read_only(path);
    if (!files_.contains(path))
        BRIM_TRY(fetch(path));
    const auto& [name, content] = *files_.find(path);
    return std::make_unique<KeptFile>(name, content);
}

bool ReadSet::exists(const std::string& path) {
    return files_.contains(path) || (disk_ && disk_->exists(path));
}

std::string ReadSet::stamp(const std::string& path) {
    return exists(path) ? "=" : "!";
}

Result<std::vector<std::string>> ReadSet::list(const std::string& folder) {
    if (disk_)
        return disk_->list(folder);
    return fail(Errc::not_found, "folder " + folder, "an applied configuration has files only");
}

Result<void> ReadSet::rename(const std::string& from, const std::string&) {
    return read_only(from);
}

Result<void> ReadSet::remove(const std::string& path) {
    return read_only(path);
}

Result<void> ReadSet::make_dir(const std::string& folder) {
    return read_only(folder);
}

Result<void> ReadSet::sync_dir(const std::string& folder) {
    return read_only(folder);
}

Result<std::unique_ptr<io::File>> ReadSet::lock(const std::string& path) {
    return read_only(path);
}

Result<std::uint64_t> ReadSet::free_bytes(const std::string&) {
    return std::uint64_t{0};
}

} // namespace brim::edge
