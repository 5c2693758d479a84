#pragma once
// Paths of the simulated disk: one spelling for each file. Private to sim/.

#include <string>
#include <string_view>

namespace brim::io {

/// Without doubled and trailing slashes and without "./" parts, so that each file has one name.
std::string plain_path(std::string_view path);
/// The folder part: "/a/b" -> "/a", "/a" -> "/", "a" -> "".
std::string folder_of(const std::string& path);
std::string name_of(const std::string& path);
/// True when `path` lies somewhere below `folder`.
bool is_inside(const std::string& path, const std::string& folder);

} // namespace brim::io
