#include "cli/hub_api.h"

#include "base/log.h"
#include "io/epoll_loop.h"
#include "io/http_client.h"

#include <algorithm>
#include <array>
#include <optional>

namespace brim::cli {

struct HubApi::Machinery {
    SystemClock clock;
    Log log{clock};
    io::EpollLoop loop{log};
    io::HttpClient client{loop};
};

HubApi::HubApi(Context context) : context_(std::move(context)), machinery_(std::make_unique<Machinery>()) {
    while (context_.url.ends_with('/'))
        context_.url.pop_back();
}

HubApi::~HubApi() = default;

std::string encoded(std::string_view text) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += digits[byte >> 4U];
            out += digits[byte & 15U];
        }
    }
    return out;
}

namespace {

Errc code_named(std::string_view name, int status) {
    for (int i = 0; i <= static_cast<int>(Errc::io); ++i) {
        if (errc_name(static_cast<Errc>(i)) == name)
            return static_cast<Errc>(i);
    }
    return status == 404 ? Errc::not_found : Errc::unavailable;
}

Error problem_of(const std::string& url, int status, const std::string& body) {
    const auto json = Json::parse(body);
    if (!json || !json->is_object()) {
        return {
            Errc::unavailable,
            url,
            "answered " + std::to_string(status) + " without a reason",
            "check that this is a Brim hub and no proxy in between"
        };
    }
    Error error;
    error.code = code_named((*json)["code"].as_string(), status);
    error.object = (*json)["object"].as_string(url);
    error.cause = (*json)["cause"].as_string((*json)["title"].as_string());
    error.fix = (*json)["fix"].as_string();
    if (error.code == Errc::unauthenticated)
        error.fix = "brim login " + url.substr(0, url.find("/api/"));
    return error;
}

} // namespace

Result<Json> HubApi::call(std::string_view method, const std::string& path, const Json* body) {
    io::HttpFetch request;
    request.method = method;
    request.url = context_.url + path;
    request.ca_file = context_.ca_file;
    if (!context_.token.empty())
        request.headers.emplace_back("Authorization", "Bearer " + context_.token.reveal());
    if (!cookie_.empty()) {
        request.headers.emplace_back("Cookie", cookie_);
        request.headers.emplace_back("X-Brim-Request", "brim");
    }
    if (body != nullptr) {
        request.headers.emplace_back("Content-Type", "application/json");
        request.body = body->text();
    }
    std::optional<Result<io::HttpAnswer>> answer;
    const auto exchange =
        machinery_->client.request(std::move(request), [&](Result<io::HttpAnswer> response) {
            answer = std::move(response);
            machinery_->loop.stop();
        });
    machinery_->loop.run();
    if (!answer)
        return fail(Errc::closed, context_.url, "interrupted");
    if (!*answer) {
        Error error = answer->error();
        if (error.code == Errc::io || error.code == Errc::closed)
            error.code = Errc::unavailable;
        return fail(std::move(error));
    }
    const io::HttpAnswer& response = **answer;
    if (response.status >= 400)
        return fail(problem_of(context_.url + path, response.status, response.body));
    if (const std::string_view set = response.header("set-cookie"); !set.empty())
        cookie_ = set.substr(0, set.find(';'));
    if (response.body.empty())
        return Json();
    return Json::parse(
        response.body, {.bytes_max = 64 * 1'048'576, .depth_max = 64, .values_max = 10'000'000}
    );
}

Result<Json> HubApi::sign_in(const std::string& user, const Secret& password) {
    const Json body = Json::object({{"user", user}, {"password", password.reveal()}});
    context_.token = Secret{};
    return call("POST", "/api/v1/session", &body);
}

Result<Json> HubApi::list(const std::string& path) {
    Json items = Json::array();
    std::string cursor;
    const std::string joint = path.find('?') == std::string::npos ? "?" : "&";
    do {
        auto page =
            call("GET", path + joint + "limit=1000" + (cursor.empty() ? "" : "&cursor=" + encoded(cursor)));
        if (!page)
            return fail(std::move(page).error());
        for (const Json& item : (*page)["items"].items())
            items.push(item);
        cursor = (*page)["next"].as_string();
    } while (!cursor.empty());
    return items;
}

Result<void> HubApi::events(
    const std::string& path, const std::function<bool(std::string_view type, const Json& data)>& on_event
) {
    io::HttpFetch request;
    request.url = context_.url + path;
    request.ca_file = context_.ca_file;
    request.timeout = Duration::zero();
    request.headers.emplace_back("Authorization", "Bearer " + context_.token.reveal());
    std::string pending;
    std::string type;
    bool wanted = true;
    request.on_chunk = [&](ByteView bytes) {
        pending += bytes;
        std::size_t end = 0;
        while (wanted && (end = pending.find('\n')) != std::string::npos) {
            const std::string line = pending.substr(0, end);
            pending.erase(0, end + 1);
            if (line.starts_with("event: "))
                type = line.substr(7);
            if (!line.starts_with("data: "))
                continue;
            const auto data = Json::parse(line.substr(6));
            if (data)
                wanted = on_event(type, *data);
        }
        if (!wanted)
            machinery_->loop.stop();
    };
    std::optional<Result<io::HttpAnswer>> answer;
    const auto exchange =
        machinery_->client.request(std::move(request), [&](Result<io::HttpAnswer> response) {
            answer = std::move(response);
            machinery_->loop.stop();
        });
    machinery_->loop.run();
    if (!wanted || !answer)
        return {};
    if (!*answer)
        return fail(answer->error());
    if ((*answer)->status >= 400)
        return fail(problem_of(context_.url + path, (*answer)->status, (*answer)->body));
    return fail(Errc::closed, context_.url, "the hub ended the event stream", "run the command again");
}

} // namespace brim::cli
