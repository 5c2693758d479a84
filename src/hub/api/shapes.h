#pragma once
// The hub's objects as the API shows them (components/schemas of openapi.json), and cursors of pages.

#include "hub/api/accounts.h"
#include "hub/registry.h"

#include <optional>
#include <string>
#include <string_view>

namespace brim::hub {

Json product_json(const Product& product);
/// {"productKey","deviceName"}; null when there is none.
Json device_ref_json(const Device* device);
Json device_json(Registry& registry, const Device& device, bool with_values);
/// Key -> value, of the device's own tags or those its SDK told.
Json tags_json(const Device& device, bool system);
Json property_state_json(Device& device, const thing::Property& property, PropertyId id);
Json desired_json(const DesiredValue& desired);
Json account_json(const Account& account);
Json token_json(const ApiToken& token);
Json time_or_null(WallTime time); ///< null for zero

/// {"items":[...],"next":cursor or null,"total":n}
Json page_json(Json items, const std::string& next, std::size_t total);

/// Cursors are opaque to callers: a position behind a kind letter, hex-coded.
std::string make_cursor(std::string_view position);
/// Errc::malformed for anything make_cursor() did not make. Empty text is the start.
Result<std::string> read_cursor(std::string_view cursor);

/// ASCII case-insensitive "is part of"; other characters as they are.
bool contains_text(std::string_view text, std::string_view part);

} // namespace brim::hub
