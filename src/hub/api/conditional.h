#pragma once
// Entity tags and the conditions a request sets on them (RFC 9110 sections 8.8.3 and 13.1). Pure.

#include "io/http_message.h"

#include <string>
#include <string_view>

namespace brim::hub {

/// A strong entity tag of what `content` says, with its quotes.
std::string entity_tag(std::string_view content);
/// True without If-Match, with "*", or when it lists `tag`; weak tags never match.
bool allows_change(const io::HttpHeaders& headers, std::string_view tag);
/// True when If-None-Match lists `tag` (weak or strong) or "*": the caller has it already.
bool has_already(const io::HttpHeaders& headers, std::string_view tag);

} // namespace brim::hub
