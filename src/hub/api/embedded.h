#pragma once
// Files built into the program (cmake/embed.cmake): the OpenAPI document, docs/errors.md and the console.

#include <string_view>

namespace brim::hub {

struct EmbeddedFile {
    std::string_view path; ///< "/index.html", "/assets/app-1a2b.js.gz"
    std::string_view content;
};

/// Null when there is no such file.
const EmbeddedFile* find_embedded(std::string_view path) noexcept;
std::string_view openapi_document() noexcept;
std::string_view errors_document() noexcept; ///< Markdown

} // namespace brim::hub
