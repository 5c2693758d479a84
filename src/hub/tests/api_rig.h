#pragma once
// A whole hub on a simulated machine, and a client that speaks HTTP to it from another.

#include "hub/hub.h"
#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "store/sqlite_vfs.h"

#include <doctest/doctest.h>

#include <map>
#include <optional>

namespace brim::hub::test {

struct HttpReply {
    int status = 0;
    std::map<std::string, std::string> headers; ///< names in lower case
    std::string body;

    Json json() const { return Json::parse(body).value_or(Json()); }

    std::string header(const std::string& name) const {
        const auto found = headers.find(name);
        return found == headers.end() ? std::string{} : found->second;
    }
};

/// One request on a connection of its own.
class HttpExchange final : private io::StreamHandler {
public:
    HttpExchange(io::SimWorld& world, const std::string& text) : env_(world.machine("browser").env()) {
        connecting_ = env_.net().connect(
            {io::Endpoint::Kind::tcp, "hub", 8080},
            std::chrono::seconds{10},
            [this, text](Result<std::unique_ptr<io::Stream>> made) {
                REQUIRE(made);
                stream_ = std::move(*made);
                stream_->start(*this);
                stream_->write(text);
            }
        );
    }

    bool done() const { return done_; }

    /// Hangs up before the answer.
    void leave() { stream_.reset(); }

    HttpReply reply() const {
        HttpReply reply;
        const std::size_t end = received_.find("\r\n\r\n");
        REQUIRE(end != std::string::npos);
        reply.status = std::atoi(received_.c_str() + 9);
        reply.body = received_.substr(end + 4);
        std::size_t at = received_.find("\r\n") + 2;
        while (at < end) {
            const std::size_t stop = received_.find("\r\n", at);
            const std::size_t colon = received_.find(':', at);
            std::string name = received_.substr(at, colon - at);
            for (char& c : name)
                c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
            reply.headers[name] = received_.substr(colon + 2, stop - colon - 2);
            at = stop + 2;
        }
        return reply;
    }

private:
    void on_data(ByteView bytes) override { received_ += bytes; }

    void on_closed(const Error&) override { done_ = true; }

    io::Env& env_;
    std::unique_ptr<io::Connecting> connecting_;
    std::unique_ptr<io::Stream> stream_;
    std::string received_;
    bool done_ = false;
};

struct ApiRig {
    ApiRig() {
        config.data_dir = "/hub";
        config.ingest.folder = "/hub/ingress";
        config.ingest.segment_bytes = 65'536;
        config.ingest.log_bytes_max = 16'777'216;
        ListenerConfig http;
        http.protocol = ListenerConfig::Protocol::http;
        http.address = {io::Endpoint::Kind::tcp, "0.0.0.0", 8080};
        config.listeners.push_back(http);
        start();
        const std::string link = hub->setup_link();
        const HttpReply made = call(
            "POST",
            "/api/v1/setup",
            R"({"token":")" + link.substr(link.find("t=") + 2) +
                R"(","user":"root","password":"a long password"})"
        );
        REQUIRE_MESSAGE(made.status == 200, made.body);
        const std::string cookie = made.header("set-cookie");
        const HttpReply token_made = call(
            "POST",
            "/api/v1/tokens",
            R"({"name":"test","role":"admin"})",
            {{"Cookie", cookie.substr(0, cookie.find(';'))}, {"X-Brim-Request", "1"}}
        );
        REQUIRE_MESSAGE(token_made.status == 201, token_made.body);
        token = token_made.json()["token"].as_string();
    }

    ~ApiRig() { stop(); }

    io::SimMachine& machine() { return world.machine("hub"); }

    void start() {
        auto started = Hub::start(machine().env(), config);
        REQUIRE_MESSAGE(started, (started ? "" : started.error().text()));
        hub = std::move(*started);
    }

    void stop(bool power_cut = false) {
        io::Disk& disk = machine().env().disk(); // of the process that ends here
        if (power_cut)
            machine().power_cut(io::CutMode::lose_all);
        else
            machine().crash();
        hub.reset();
        store::unregister_vfs(disk);
    }

    void restart(bool power_cut = false) {
        stop(power_cut);
        start();
    }

    using Headers = std::vector<std::pair<std::string, std::string>>;

    std::unique_ptr<HttpExchange> send(
        const std::string& method,
        const std::string& path,
        const std::string& body = {},
        const Headers& headers = {}
    ) {
        std::string text = method + " " + path + " HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n";
        if (!token.empty())
            text += "Authorization: Bearer " + token + "\r\n";
        for (const auto& [name, value] : headers)
            text += name + ": " + value + "\r\n";
        if (!body.empty())
            text +=
                "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
        return std::make_unique<HttpExchange>(world, text + "\r\n" + body);
    }

    HttpReply call(
        const std::string& method,
        const std::string& path,
        const std::string& body = {},
        const Headers& headers = {}
    ) {
        const auto exchange = send(method, path, body, headers);
        REQUIRE(world.run_until([&exchange] { return exchange->done(); }, std::chrono::seconds{60}));
        return exchange->reply();
    }

    io::SimWorld world{1};
    HubConfig config;
    std::unique_ptr<Hub> hub;
    std::string token;
};

} // namespace brim::hub::test
