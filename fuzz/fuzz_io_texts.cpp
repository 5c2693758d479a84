// Texts that io reads: addresses, networks, endpoints, URL paths and queries, WebSocket upgrades, the
// kernel's memory files. What is taken is sound and, where it has a text form, reads back as itself.
#include "fuzz/require.h"
#include "io/address_set.h"
#include "io/http_message.h"
#include "io/memory_limit.h"
#include "io/net.h"
#include "io/websocket.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace brim;
using namespace brim::io;

namespace {

using brim::fuzz::require;

constexpr std::size_t parameters_max = 16;

std::string_view take_line(std::string_view& rest) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    return line;
}

void try_endpoint(std::string_view text) {
    const auto endpoint = Endpoint::parse(text);
    if (!endpoint)
        return require(!endpoint.error().cause.empty());
    require(!endpoint->host.empty());
    const auto again = Endpoint::parse(endpoint->text());
    require(again && again->text() == endpoint->text() && again->is_local() == endpoint->is_local());
}

void try_addresses(std::string_view text) {
    if (const auto address = IpAddress::parse(text)) {
        require(IpAddress::parse(address->text()) == address);
        require(IpAddress::of_peer(address->text_with(1)) == address);
        const auto alone = AddressSet::parse({address->text()});
        require(alone && alone->contains(*address));
    }
    (void)IpAddress::of_peer(text);
    // One entry a line; an address is in the set when it is in one of the entries alone.
    std::vector<std::string> entries;
    std::vector<IpAddress> asked;
    for (std::string_view rest = text; !rest.empty() && entries.size() < 16;) {
        const std::string_view line = take_line(rest);
        if (const auto address = IpAddress::parse(line.substr(0, line.find('/'))))
            asked.push_back(*address);
        if (!line.starts_with('='))
            entries.emplace_back(line);
        else if (const auto other = IpAddress::parse(line.substr(1)))
            asked.push_back(*other);
    }
    const auto all = AddressSet::parse(entries);
    if (!all)
        return require(!all.error().cause.empty());
    std::vector<AddressSet> each;
    each.reserve(entries.size());
    for (const std::string& entry : entries)
        each.push_back(*AddressSet::parse({entry}));
    for (const IpAddress& address : asked) {
        const bool expected =
            std::ranges::any_of(each, [&](const AddressSet& one) { return one.contains(address); });
        require(all->contains(address) == expected);
    }
}

void try_url(std::string_view text) {
    if (const auto path = decode_path(text)) {
        require(path->starts_with('/') && is_utf8(*path) && path->find('\0') == std::string::npos);
        require(path->find("/../") == std::string::npos && !path->ends_with("/.."));
        require(path->find("/./") == std::string::npos && !path->ends_with("/."));
        require(std::ranges::count(*path, '/') == std::ranges::count(text, '/'));
    }
    const auto query = HttpQuery::parse(text, parameters_max);
    if (query) {
        require(query->size() <= parameters_max);
        for (const auto& [name, value] : *query)
            require(name.size() + value.size() <= text.size() && query->find(name) != nullptr);
    }
}

/// Each line "Name: value" is a field of an upgrade request; the first is the origin we allow.
void try_upgrade(std::string_view rest) {
    HttpRequest request;
    request.method = "GET";
    request.path = "/mqtt";
    const std::string_view allowed = take_line(rest);
    while (!rest.empty() && request.headers.size() < 16) {
        const std::string_view line = take_line(rest);
        const std::size_t colon = std::min(line.find(':'), line.size());
        request.headers.add(line.substr(0, colon), line.substr(std::min(colon + 1, line.size())));
    }
    WebSocketOptions options;
    options.subprotocols = {"mqtt", "mqttv3.1"};
    options.subprotocol_required = true;
    if (!allowed.empty())
        options.check_origin = [allowed](std::string_view origin, std::string_view) {
            return origin == allowed;
        };
    const auto accept = accept_websocket(request, options);
    if (!accept)
        return require(!accept.error().cause.empty());
    require(accept->key.size() == 28 && (accept->subprotocol == "mqtt" || accept->subprotocol == "mqttv3.1"));
    const std::string* origin = request.headers.find("Origin");
    require(allowed.empty() || origin == nullptr || *origin == allowed);
}

void try_memory(std::string_view text) {
    (void)parse_memory_bytes(text);
    (void)memory_field(text, "anon");
    for (const std::string& path : cgroup_paths(text, "memory"))
        require(path.empty() || (path.starts_with('/') && path.find("/..") == std::string::npos));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1)
        return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        try_endpoint(text);
        break;
    case 1:
        try_addresses(text);
        break;
    case 2:
        try_url(text);
        break;
    case 3:
        try_upgrade(text);
        break;
    default:
        try_memory(text);
    }
    return 0;
}
