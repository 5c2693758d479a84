#include "loop_fixture.h"
#include "stream_recorder.h"

#include "io/http_client.h"
#include "io/posix_disk.h"
#include "io/resident.h"
#include "io/tls.h"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sys/socket.h>
#include <sys/un.h>

namespace brim::io {

using testing::LoopFixture;
using testing::Recorder;

namespace {

/// A server that speaks raw bytes: what it got, and what the test answers.
struct RawServer : LoopFixture {
    struct Link : Recorder {
        std::unique_ptr<Stream> stream;
    };

    std::vector<std::unique_ptr<Link>> links;
    std::unique_ptr<Listener> listener;
    std::function<void(Link&)> answer = [](Link&) {};
    HttpClient client{loop};
    std::vector<std::unique_ptr<HttpExchange>> exchanges;

    explicit RawServer(Network* through = nullptr) { listen(through != nullptr ? *through : net); }

    ~RawServer() { exchanges.clear(); }

    void listen(Network& through) {
        listener = std::move(*through.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [this](auto stream) {
            Link& link = *links.emplace_back(std::make_unique<Link>());
            link.stream = std::move(stream);
            link.then = [this, &link](ByteView) { answer(link); };
            link.stream->start(link);
        }));
    }

    std::string url(const std::string& path = "/", const std::string& scheme = "http") const {
        return scheme + "://127.0.0.1:" + std::to_string(listener->local().port) + path;
    }

    Result<HttpAnswer> ask(HttpFetch request) {
        std::optional<Result<HttpAnswer>> got;
        bool inside = true;
        const auto exchange = client.request(std::move(request), [&](auto response) {
            CHECK_FALSE(inside);
            got = std::move(response);
        });
        inside = false;
        REQUIRE(until([&] { return got.has_value(); }));
        return std::move(*got);
    }

    void reply(const std::string& bytes) {
        answer = [bytes](Link& link) {
            if (link.received.find("\r\n\r\n") == Bytes::npos)
                return;
            link.received.clear();
            link.stream->write(bytes);
        };
    }
};

} // namespace

TEST_CASE("a request is sent as written and its response comes back with lower-case header names") {
    RawServer server;
    Bytes seen;
    server.answer = [&](RawServer::Link& link) {
        if (!link.received.ends_with("{\"a\":1}"))
            return;
        seen = link.received;
        link.stream->write("HTTP/1.1 404 No\r\nContent-Length: 5\r\nX-Thing:  value \r\n\r\nnope!");
    };
    const auto response = server.ask(
        {.method = "POST", .url = server.url("/x?y=1"), .headers = {{"X-Key", "k"}}, .body = "{\"a\":1}"}
    );
    REQUIRE(response);
    CHECK(response->status == 404);
    CHECK(response->body == "nope!");
    CHECK(response->header("x-thing") == "value");
    CHECK(response->header("absent").empty());
    CHECK(seen.starts_with("POST /x?y=1 HTTP/1.1\r\n"));
    CHECK(seen.find("X-Key: k\r\n") != Bytes::npos);
    CHECK(seen.find("Expect:") == Bytes::npos);
    CHECK_FALSE(server.ask({.url = server.url(), .headers = {{"X", "a\r\nY: b"}}}).has_value());
}

TEST_CASE("a response is accepted at its size limit and refused one byte above, also without a length") {
    RawServer server;
    server.reply("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + Bytes(1'000, 'x'));
    CHECK(server.ask({.url = server.url(), .response_bytes_max = 1'000})->body.size() == 1'000);
    CHECK(server.ask({.url = server.url(), .response_bytes_max = 999}).error().code == Errc::too_large);
    server.reply(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + Bytes(1'000, 'x') + "\r\n0\r\n\r\n"
    );
    CHECK(server.ask({.url = server.url(), .response_bytes_max = 999}).error().code == Errc::too_large);
    server.reply(
        "HTTP/1.1 200 OK\r\nX: " + Bytes(HttpClient::header_bytes_max, 'x') + "\r\nContent-Length: 0\r\n\r\n"
    );
    CHECK(server.ask({.url = server.url()}).error().code == Errc::too_large);
}

TEST_CASE("redirects are not followed unless asked, then at most five and never to another protocol") {
    RawServer server;
    server.reply("HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n");
    CHECK(server.ask({.url = server.url()})->status == 302);
    CHECK_FALSE(server.ask({.url = server.url(), .follow_redirects = true}).has_value());
    server.reply("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
    CHECK_FALSE(server.ask({.url = server.url(), .follow_redirects = true}).has_value());
    for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "nonsense:", ""})
        CHECK_FALSE(server.ask({.url = url}).has_value());
}

TEST_CASE("nobody there, a silent server, a cut answer and a forbidden address each have their code") {
    RawServer server;
    CHECK(server.ask({.url = server.url(), .timeout = 100ms}).error().code == Errc::timeout);
    server.answer = [](RawServer::Link& link) {
        link.stream->write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        link.stream->close();
    };
    CHECK(server.ask({.url = server.url()}).error().code == Errc::closed);
    std::string asked;
    const auto refused = server.ask({.url = server.url(), .allow_address = [&](const std::string& address) {
                                         asked = address;
                                         return false;
                                     }});
    CHECK(refused.error().code == Errc::denied);
    CHECK(asked == "127.0.0.1");
    const std::string gone = server.url();
    server.listener.reset();
    CHECK(server.ask({.url = gone}).error().code == Errc::unavailable);
}

TEST_CASE("a long stream of events comes chunk by chunk, and ends when its exchange is destroyed inside the "
          "callback") {
    RawServer server;
    server.reply("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 0\n\n");
    Bytes events;
    bool done = false;
    std::unique_ptr<HttpExchange> exchange;
    exchange = server.client.request(
        {.url = server.url(),
         .timeout = 0ms,
         .response_bytes_max = 4,
         .on_chunk =
             [&](ByteView chunk) {
                 events.append(chunk);
                 if (events.ends_with("data: 3\n\n"))
                     exchange.reset();
             }},
        [&](auto) { done = true; }
    );
    for (int i = 0; i < 4; ++i) {
        const Bytes event = "data: " + std::to_string(i) + "\n\n";
        if (i > 0)
            server.links.at(0)->stream->write(event);
        REQUIRE(server.until([&] { return events.ends_with(event); }));
    }
    CHECK(exchange == nullptr);
    CHECK_FALSE(done);
    CHECK(server.until([&] { return server.links.at(0)->closed == 1; }));
}

TEST_CASE("many requests run at once, some are cancelled, and no watch is left behind") {
    RawServer server;
    server.reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    int done = 0;
    for (int i = 0; i < 50; ++i)
        server.exchanges.push_back(server.client.request({.url = server.url()}, [&](auto response) {
            CHECK(response.has_value());
            ++done;
        }));
    for (int i = 0; i < 10; ++i)
        server.exchanges.pop_back();
    CHECK(server.until([&] { return done == 40; }));
    server.settle(20ms);
    CHECK(done == 40);
}

TEST_CASE("https trusts the given authority alone and checks the name") {
    const std::string folder = "/tmp/brim-http-" + std::to_string(::getpid());
    PosixDisk disk;
    SystemClock clock;
    REQUIRE(disk.make_dir(folder).has_value());
    REQUIRE(
        make_self_signed(disk, clock.wall(), folder + "/cert", folder + "/key", {"127.0.0.1"}, 3).has_value()
    );
    REQUIRE(
        make_self_signed(disk, clock.wall(), folder + "/other-cert", folder + "/other-key", {"127.0.0.1"}, 3)
            .has_value()
    );
    const auto context = std::move(
        *TlsContext::server(disk, {.certificate_file = folder + "/cert", .key_file = folder + "/key"})
    );
    RawServer server;
    TlsNetwork tls(server.loop, server.net, nullptr, context.get());
    server.listen(tls);
    server.reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    const auto response = server.ask({.url = server.url("/", "https"), .ca_file = folder + "/cert"});
    CHECK_MESSAGE(response.has_value(), (response ? "" : response.error().text()));
    CHECK(
        server.ask({.url = server.url("/", "https"), .ca_file = folder + "/other-cert"}).error().code ==
        Errc::denied
    );
    CHECK(server.ask({.url = server.url("/", "https")}).error().code == Errc::denied);
    CHECK_FALSE(server.ask({.url = server.url("/", "https"), .ca_file = folder + "/none"}).has_value());
    server.links.clear();
    server.listener.reset();
    std::filesystem::remove_all(folder);
}

TEST_CASE("the process knows what it costs, and tells its supervisor when there is one") {
    const ProcessCost cost = process_cost();
    CHECK(cost.resident_bytes > 1'000'000);
    CHECK(cost.open_descriptors >= 3);
    CHECK(cost.open_descriptors == static_cast<std::uint64_t>(testing::open_descriptors()));
    CHECK(cost.threads >= 1);
    CHECK(cost.cpu > 0ns);
    Metrics metrics;
    register_process_metrics(metrics);
    CHECK(metrics.text().find("brim_process_resident_bytes") != std::string::npos);

    ::unsetenv("NOTIFY_SOCKET");
    CHECK(notify_supervisor("READY=1").has_value());
    const std::string path = "/tmp/brim-notify-" + std::to_string(::getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.sun_path);
    const Descriptor supervisor(::socket(AF_UNIX, SOCK_DGRAM, 0));
    REQUIRE(::bind(supervisor.value(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    CHECK(notify_supervisor("READY=1").has_value());
    char text[32] = {};
    CHECK(::recv(supervisor.value(), text, sizeof text, MSG_DONTWAIT) == 7);
    CHECK(std::string(text) == "READY=1");
    ::unlink(path.c_str());
    CHECK_FALSE(notify_supervisor("READY=1").has_value());
    ::unsetenv("NOTIFY_SOCKET");

    ::setenv("WATCHDOG_USEC", "30000000", 1);
    ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
    CHECK(watchdog_interval() == 15s);
    ::setenv("WATCHDOG_PID", "1", 1);
    CHECK(watchdog_interval() == 0s);
    ::unsetenv("WATCHDOG_USEC");
    ::unsetenv("WATCHDOG_PID");
    CHECK(watchdog_interval() == 0s);
}

} // namespace brim::io
