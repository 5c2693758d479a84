// The driver as a process against a scripted edge; what it reports is judged by its own model.

#include "scripted_edge.h"
#include "thing/value.h"

#include <sstream>

using namespace brim;

namespace {

std::string model_text(const std::string& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

} // namespace

TEST_CASE("[host-run-1] the driver reports all of its model, and nothing outside of it") {
    const auto model = thing::Model::parse_text(model_text(BRIM_SOURCE_DIR "/drivers/host/model.json"));
    REQUIRE_MESSAGE(model.has_value(), (model ? std::string() : model.error().text()));
    edge_script::Edge edge(edge_script::scratch_dir());
    edge.start(
        {.config =
             R"({"config":{"json":{"intervalMs":100}},"deviceList":[{"productKey":"host","deviceName":"me"}]})"
        }
    );
    const pid_t driver = fork();
    REQUIRE(driver >= 0);
    if (driver == 0) {
        setenv("BRIM_BUS", edge.socket.c_str(), 1);
        setenv("BRIM_DRIVER", "test", 1);
        execl(BRIM_DRIVER_HOST, "brim-driver-host", nullptr);
        _exit(127);
    }
    for (int i = 0; i < 1'000 && edge.journaled("/sys/host/me/") < 3; ++i)
        usleep(10'000);
    kill(driver, SIGTERM);
    int status = -1;
    waitpid(driver, &status, 0);
    CHECK(status == 0);

    thing::PostReader reader;
    thing::PropertyPost post;
    std::string last;
    for (const std::string& line : edge_script::lines_of(edge.journal)) {
        if (line.find("/sys/host/me/") == std::string::npos)
            continue;
        last = line.substr(line.find(' ') + 1);
        const SystemClock clock;
        REQUIRE_FALSE(reader.read(*model, last, clock.wall(), {}, post).has_value());
        CHECK(post.rejected.empty());
    }
    CAPTURE(last);
    CHECK(
        post.samples.size() == model->properties().size()
    ); // the first report lacks CpuPercent, the last has it
}
