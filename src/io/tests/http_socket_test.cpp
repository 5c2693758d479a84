// The server on real sockets, asked by a foreign client.
#include "io/http_server.h"
#include "io/real_env.h"
#include "loop_fixture.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <doctest/doctest.h>
#include <thread>

using namespace brim;
using namespace brim::io;

namespace {

struct Echo : HttpHandler {
    void on_request(HttpRequest request, HttpResponder responder) override {
        if (request.path == "/stream") {
            auto writer = responder.start_stream(200, {{"Content-Type", "text/plain"}});
            for (int i = 0; i < 3; ++i)
                CHECK(writer.write("part " + std::to_string(i) + "\n"));
            return;
        }
        responder.respond(
            200, {}, request.method + " " + request.path + " " + std::to_string(request.body.size())
        );
    }
};

std::string shell_output(const std::string& command) {
    std::string text;
    FILE* pipe = ::popen(command.c_str(), "r");
    if (!pipe)
        return text;
    std::array<char, 4096> buffer;
    for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
        text.append(buffer.data(), got);
    ::pclose(pipe);
    return text;
}

} // namespace

TEST_CASE("curl gets answers, streams and uploads over TCP and over a unix socket") {
    SystemClock clock;
    const Descriptor null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    Log log(clock, {.fd = null.value()});
    Metrics metrics;
    RealEnv env(log, metrics);
    Echo echo;
    HttpServer server(env, {}, echo);
    const auto path = "/tmp/brim-http-" + std::to_string(::getpid()) + ".sock";
    const auto serve = [&server](std::unique_ptr<Stream> stream) { server.serve(std::move(stream)); };
    const auto tcp = env.net().listen(Endpoint::parse("tcp:127.0.0.1:0").value(), serve).value();
    const auto local = env.net().listen(Endpoint::parse("unix:" + path).value(), serve).value();
    const auto url = "http://127.0.0.1:" + std::to_string(tcp->local().port);
    std::string answers[3];
    std::atomic<bool> done = false;
    std::thread client([&] {
        answers[0] = shell_output("curl -s -m 20 '" + url + "/a%20b' '" + url + "/stream'");
        // Above 1 MiB curl asks with Expect: 100-continue.
        answers[1] =
            shell_output("head -c 1048576 /dev/zero | curl -s -m 20 --data-binary @- '" + url + "/up'");
        answers[2] = shell_output(
            "head -c 1048577 /dev/zero | curl -s -m 20 -o /dev/null -w '%{http_code}' -T - --unix-socket " +
            path + " http://hub/up"
        );
        done = true;
    });
    for (const Mono deadline = clock.mono() + 60s; !done && clock.mono() < deadline;)
        env.loop().turn(10ms);
    client.join();
    CHECK(answers[0] == "GET /a b 0part 0\npart 1\npart 2\n");
    CHECK(answers[1] == "POST /up 1048576");
    CHECK(answers[2] == "413");
}
