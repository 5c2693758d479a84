#pragma once
// GET /docs/errors: docs/errors.md as a page with an anchor for each code, where `type` of a problem points.
// Pure.

#include <string>
#include <string_view>

namespace brim::hub {

/// HTML of the text before the table, and a section for each row. Understands what that file uses:
/// paragraphs, one table, `code` and <a id="..."></a>.
std::string error_page(std::string_view markdown);

} // namespace brim::hub
