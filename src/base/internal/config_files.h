#pragma once
// The files a configuration is made of.

#include "base/error.h"
#include "base/log.h"

#include <vector>

namespace brim {

/// Of one configuration or secret file.
inline constexpr std::size_t config_file_bytes_max = 1'048'576;
inline constexpr std::size_t config_files_max = 256;

enum class FilePrivacy : std::uint8_t {
    any,
    not_for_others, ///< Errc::denied when users outside owner and group may read or write it
};

/// A regular file as a whole. Errc::too_large above config_file_bytes_max.
Result<std::string> config_read_file(const std::string& path, FilePrivacy privacy);

/// The *.toml files in `folder`, sorted by name; none when there is no such folder.
Result<std::vector<std::string>> config_list_folder(const std::string& folder);

/// What a reference "file:PATH", "env:NAME" or "cred:NAME" stands for; one line end at the end is dropped.
Result<Secret> config_resolve_secret(const std::string& key, const std::string& reference);

} // namespace brim
