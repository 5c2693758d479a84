#pragma once
// Blocking calls of the hub's HTTP API for the command line.

#include "base/json.h"
#include "cli/context.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace brim::cli {

class HubApi {
public:
    explicit HubApi(Context context);
    ~HubApi();

    /// The JSON answer (null for an empty one). A problem document becomes its Error; no connection is
    /// Errc::unavailable with the URL named.
    Result<Json> call(std::string_view method, const std::string& path, const Json* body = nullptr);
    /// As call, but keeps the answer's Set-Cookie and sends it from then on (only `brim login` needs it).
    Result<Json> sign_in(const std::string& user, const Secret& password);
    /// All pages of a list: items joined. `path` may already carry a query.
    Result<Json> list(const std::string& path);
    /// Server-sent events until `on_event` returns false or the connection ends.
    Result<void> events(
        const std::string& path, const std::function<bool(std::string_view type, const Json& data)>& on_event
    );

    const Context& context() const { return context_; }

private:
    struct Machinery;
    Context context_;
    std::string cookie_;
    std::unique_ptr<Machinery> machinery_;
};

/// Percent-encodes one path segment or query value.
std::string encoded(std::string_view text);

} // namespace brim::cli
