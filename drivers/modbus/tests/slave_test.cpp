// The driver as a process between a real slave (modbus-serial, in Node) and a scripted edge.

#include "base/json.h"
#include "scripted_edge.h"

#include <chrono>
#include <functional>
#include <set>
#include <sstream>

using namespace brim;
using edge_script::Edge;
using edge_script::Script;

namespace {

using Clock = std::chrono::steady_clock;

bool wait_until(const std::function<bool()>& reached, int seconds = 20) {
    const auto deadline = Clock::now() + std::chrono::seconds(seconds);
    while (!reached()) {
        if (Clock::now() > deadline)
            return false;
        usleep(20'000);
    }
    return true;
}

/// A child process; killed at the end.
class Child {
public:
    Child() = default;

    ~Child() { stop(SIGKILL); }

    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    /// Returns the first line that it prints, when `wants_line`.
    std::string start(const std::vector<std::string>& command, bool wants_line) {
        int out[2];
        REQUIRE(pipe(out) == 0);
        pid_ = fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            if (wants_line)
                dup2(out[1], 1);
            close(out[0]);
            close(out[1]);
            std::vector<char*> arguments;
            for (const std::string& part : command)
                arguments.push_back(const_cast<char*>(part.c_str()));
            arguments.push_back(nullptr);
            execvp(arguments[0], arguments.data());
            _exit(127);
        }
        close(out[1]);
        std::string line;
        char byte = 0;
        while (wants_line && read(out[0], &byte, 1) == 1 && byte != '\n')
            line += byte;
        close(out[0]);
        return line;
    }

    int stop(int number) {
        if (pid_ <= 0)
            return 0;
        ::kill(pid_, number);
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return status;
    }

private:
    pid_t pid_ = -1;
};

std::string file_text(const std::string& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

struct Plant {
    std::string dir = edge_script::scratch_dir();
    Edge edge{dir};
    std::string slave_journal = dir + "/slave";
    Child slave, driver;
    std::string port = "0";
    Json config = *Json::parse(file_text(BRIM_SOURCE_DIR "/drivers/modbus/example/config.json"));

    ~Plant() {
        driver.stop(SIGKILL);
        slave.stop(SIGKILL);
        unlink(slave_journal.c_str());
    }

    void start_slave(std::vector<std::string> where = {}) {
        const std::string program = BRIM_SOURCE_DIR "/tests/support/modbus-slave/slave.mjs";
        const std::string library =
            BRIM_SOURCE_DIR "/tests/support/modbus-slave/node_modules/modbus-serial/package.json";
        REQUIRE_MESSAGE(
            access(library.c_str(), R_OK) == 0, "run: npm ci --ignore-scripts in tests/support/modbus-slave"
        );
        if (where.empty())
            where = {"--port", port};
        std::vector<std::string> command{"node", program, "--journal", slave_journal};
        command.insert(command.end(), where.begin(), where.end());
        const auto line = Json::parse(slave.start(command, true));
        REQUIRE(line.has_value());
        if (where[0] == "--port")
            port = (*line)["port"].text();
    }

    /// The example's configuration with this channel and one device, or two with the slave ids given.
    std::string configured(Json server, const std::vector<int>& slaves = {1}) {
        server.set("serverId", "line1");
        server.set("timeoutMs", 300);
        config.set("config", Json::object({{"serverList", Json::array({server})}}));
        Json devices = Json::array();
        for (const int id : slaves) {
            Json device =
                Json::object({{"productKey", "modbusdemo"}, {"serverId", "line1"}, {"slaveId", id}});
            device.set("deviceName", "demo-" + std::to_string(id));
            devices.push(std::move(device));
        }
        config.set("deviceList", std::move(devices));
        return config.text();
    }

    std::string configured_tcp(const std::vector<int>& slaves = {1}) {
        return configured(
            Json::object({{"protocol", "TCP"}, {"ip", "127.0.0.1"}, {"port", Json::parse(port)->as_int()}}),
            slaves
        );
    }

    void start_driver() {
        driver.start(
            {"env", "BRIM_BUS=" + edge.socket, "BRIM_DRIVER=test", "BRIM_BUS_TOKEN=t", BRIM_DRIVER_MODBUS},
            false
        );
    }

    /// What the slave says it served or took of one name, in order.
    std::vector<double> journaled(std::string_view op, std::string_view name) const {
        std::vector<double> out;
        for (const std::string& line : edge_script::lines_of(slave_journal)) {
            const auto json = Json::parse(line);
            if (json && (*json)["op"].as_string() == op && (*json)["name"].as_string() == name) {
                const Json& value = (*json)["value"];
                out.push_back(value.is_int() ? static_cast<double>(value.as_int()) : value.as_double());
            }
        }
        return out;
    }

    /// What the edge has of one property, in order of arrival.
    std::vector<double> arrived(std::string_view name) const {
        std::vector<double> out;
        const std::string head = "\"" + std::string(name) + "\":{\"value\":";
        for (const std::string& line : edge_script::lines_of(edge.journal)) {
            const auto at = line.find(head);
            if (at != std::string::npos)
                out.push_back(std::strtod(line.c_str() + at + head.size(), nullptr));
        }
        return out;
    }
};

/// Every value the slave served is at the edge.
void check_all_arrived(const Plant& plant, std::string_view name) {
    CAPTURE(name);
    const auto served = plant.journaled("read", name);
    CHECK(served.size() > 5);
    std::multiset<double> missing(served.begin(), served.end());
    for (const double value : plant.arrived(name)) {
        const auto at = missing.find(value);
        if (at != missing.end())
            missing.erase(at);
    }
    CHECK(missing.empty());
}

} // namespace

TEST_CASE_FIXTURE(Plant, "[modbus-tcp-1] every value served arrives, also while the edge is killed") {
    start_slave();
    const Script script{.config = configured_tcp()};
    edge.start(script);
    start_driver();
    REQUIRE(wait_until([&] { return arrived("Counter").size() >= 10; }));
    edge.kill();
    const std::size_t before = journaled("read", "Counter").size();
    REQUIRE(wait_until([&] { return journaled("read", "Counter").size() >= before + 8; })
    ); // polled on without the edge
    edge.start(script);
    REQUIRE(wait_until([&] { return arrived("Counter").size() >= before + 12; }));
    slave.stop(SIGKILL);
    const double last = journaled("read", "Counter").back();
    REQUIRE(wait_until([&] { return !arrived("Counter").empty() && arrived("Counter").back() == last; }));
    for (const std::string_view name : {"Counter", "Temperature", "Pressure", "Running"})
        check_all_arrived(*this, name);
    for (const std::string& line : edge_script::lines_of(edge.journal)) {
        if (line.find("\"Counter\"") == std::string::npos)
            continue;
        CHECK(line.find("\"Temperature\"") != std::string::npos); // one cycle, one message
        CHECK(line.find("\"Pressure\"") != std::string::npos);
    }
}

TEST_CASE_FIXTURE(
    Plant, "[modbus-tcp-2] values are written, read back, reported, and refusals have their code"
) {
    start_slave();
    const std::string set = "/sys/modbusdemo/demo-1/thing/service/property/set";
    edge.start(
        {.config = configured_tcp(),
         .requests =
             {
                 {set, R"({"id":"1","params":{"Setpoint":"25.5","Valve":1}})"},
                 {set, R"({"id":"2","params":{"Setpoint":99999}})"},
                 {set, R"({"id":"3","params":{"Counter":1}})"},
                 {set, R"({"id":"4","params":{"Nothing":1}})"},
                 {"/sys/modbusdemo/demo-1/thing/service/property/get",
                  R"({"id":"5","params":["Setpoint","Valve"]})"},
                 {"/sys/modbusdemo/demo-1/thing/service/dance", R"({"id":"6","params":{}})"},
             }}
    );
    start_driver();
    REQUIRE(wait_until([&] { return edge.journaled("_reply ") == 6; }));
    CHECK(edge.journaled(R"(set_reply {"id":"1","code":200,"data":{}})") == 1);
    CHECK(edge.journaled(R"(set_reply {"id":"2","code":460,)") == 1);
    CHECK(edge.journaled(R"(set_reply {"id":"3","code":109003,)") == 1);
    CHECK(edge.journaled(R"(set_reply {"id":"4","code":109002,)") == 1);
    CHECK(edge.journaled(R"(get_reply {"id":"5","code":200,"data":{"Setpoint":25.5,"Valve":1}})") == 1);
    CHECK(edge.journaled(R"(dance_reply {"id":"6","code":109005,)") == 1);
    CHECK(journaled("write", "Setpoint") == std::vector<double>{25.5});
    CHECK(journaled("write", "Valve") == std::vector<double>{1});
    CHECK(wait_until([&] { return edge.journaled(R"("Setpoint":{"value":25.5,)") >= 1; }));
}

TEST_CASE_FIXTURE(Plant, "[modbus-tcp-3] a slave that never answers does not hold the others up") {
    start_slave();
    edge.start({.config = configured_tcp({1, 9})}); // 9 is nobody
    start_driver();
    REQUIRE(wait_until([&] { return arrived("Counter").size() >= 40; }));
    std::int64_t last = 0;
    std::size_t held_up = 0; // pauses of a whole timeout
    for (const std::string& line : edge_script::lines_of(slave_journal)) {
        const auto json = Json::parse(line);
        if (!json || (*json)["name"].as_string() != "Counter")
            continue;
        const std::int64_t at = (*json)["at"].as_int();
        if (last != 0 && at - last >= 300)
            ++held_up;
        last = at;
    }
    // Taking turns, each poll would wait for one timeout; asked once in five timeouts it is one in eighteen.
    const std::size_t polls = journaled("read", "Counter").size();
    MESSAGE("polls: ", polls, ", held up: ", held_up);
    CHECK(held_up * 3 <= polls);
    CHECK(edge.journaled(R"("action":"online","productKey":"modbusdemo","deviceName":"demo-1")") == 1);
    CHECK(edge.journaled(R"("action":"online","productKey":"modbusdemo","deviceName":"demo-9")") == 0);
}

TEST_CASE_FIXTURE(
    Plant, "[modbus-tcp-4] a slave that goes away takes its device offline, and brings it back"
) {
    start_slave();
    edge.start({.config = configured_tcp()});
    start_driver();
    const auto said = [&](const char* action) {
        return edge.journaled("\"action\":\"" + std::string(action) + "\"");
    };
    REQUIRE(wait_until([&] { return said("online") == 1; }));
    slave.stop(SIGKILL);
    REQUIRE(wait_until([&] { return said("offline") == 1; }));
    const std::size_t before = arrived("Counter").size();
    start_slave(); // on the same port
    REQUIRE(wait_until([&] { return said("online") == 2; }));
    CHECK(wait_until([&] { return arrived("Counter").size() > before; }));
    CHECK(driver.stop(SIGTERM) == 0);
    CHECK(wait_until([&] { return edge.journaled("DISCONNECT") == 1; }));
}

TEST_CASE_FIXTURE(Plant, "[modbus-tcp-5] points that a slave does not serve together are read one by one") {
    start_slave();
    Json extension = config["extensions"]["modbusdemo"];
    Json points = extension["properties"];
    Json missing = points.items()[1]; // Temperature again, at an address that does not exist
    missing.set("identifier", "Setpoint");
    missing.set("registerAddress", "0x05");
    points.push(missing);
    extension.set("properties", points);
    config.set("extensions", Json::object({{"modbusdemo", extension}}));
    edge.start({.config = configured_tcp()});
    start_driver();
    REQUIRE(wait_until([&] { return arrived("Counter").size() >= 5; }));
    CHECK(arrived("Temperature").size() >= 5);
}

TEST_CASE_FIXTURE(Plant, "[modbus-tcp-6] bits of a register are properties of their own") {
    start_slave();
    const auto bits = [](const char* name, const char* specs) {
        return *Json::parse(
            std::string(R"({"identifier":")") + name +
            R"(","operateType":"holdingRegister","registerAddress":"0x12","originalDataType":{"type":"uint16","specs":)" +
            specs + "}}"
        );
    };
    Json extension = config["extensions"]["modbusdemo"];
    Json points = Json::array();
    for (const Json& point : extension["properties"].items()) {
        const std::string_view name = point["identifier"].as_string();
        if (name != "Setpoint" && name != "Valve")
            points.push(point);
    }
    points.push(bits("Setpoint", R"({"bitOffset":4,"bitCount":6})"));
    points.push(bits("Valve", R"({"bitOffset":15})"));
    extension.set("properties", points);
    config.set("extensions", Json::object({{"modbusdemo", extension}}));
    const std::string set = "/sys/modbusdemo/demo-1/thing/service/property/set";
    edge.start(
        {.config = configured_tcp(),
         .requests =
             {
                 {set, R"({"id":"1","params":{"Setpoint":42}})"},
                 {set, R"({"id":"2","params":{"Setpoint":64}})"},
                 {set, R"({"id":"3","params":{"Valve":0,"Setpoint":3}})"},
             }}
    );
    start_driver();
    REQUIRE(wait_until([&] { return edge.journaled("_reply ") == 3; }));
    CHECK(edge.journaled(R"(set_reply {"id":"1","code":200,)") == 1);
    CHECK(edge.journaled(R"(set_reply {"id":"2","code":460,)") == 1);
    CHECK(edge.journaled(R"(set_reply {"id":"3","code":200,)") == 1);
    // The other bits stay as they are, and what is set at once is written at once.
    CHECK(journaled("write", "Flags") == std::vector<double>{0x8001 | 42 << 4, 0x0001 | 3 << 4});
    CHECK(wait_until([&] { return edge.journaled(R"("Setpoint":{"value":3,)") >= 1; }));
    CHECK(wait_until([&] { return edge.journaled(R"("Valve":{"value":0,)") >= 1; }));
}

TEST_CASE_FIXTURE(Plant, "[modbus-rtu-1] a serial line carries the same values and writes") {
    const std::string master = dir + "/master";
    const std::string remote = dir + "/remote";
    Child line;
    line.start({"socat", "pty,raw,echo=0,link=" + master, "pty,raw,echo=0,link=" + remote}, false);
    REQUIRE_MESSAGE(
        wait_until([&] { return access(master.c_str(), R_OK) == 0 && access(remote.c_str(), R_OK) == 0; }, 5),
        "socat makes the serial line: apt-get install socat"
    );
    start_slave({"--serial", remote});
    edge.start(
        {.config = configured(
             Json::object({{"protocol", "RTU"}, {"serialPort", master}, {"baudRate", 9600}, {"parity", 0}})
         ),
         .requests =
             {{"/sys/modbusdemo/demo-1/thing/service/property/set", R"({"id":"1","params":{"Setpoint":-3.5}})"
             }}}
    );
    start_driver();
    REQUIRE(wait_until([&] { return arrived("Counter").size() >= 10 && edge.journaled("set_reply ") == 1; }));
    CHECK(edge.journaled(R"(set_reply {"id":"1","code":200,"data":{}})") == 1);
    CHECK(journaled("write", "Setpoint") == std::vector<double>{-3.5});
    slave.stop(SIGKILL);
    const double last = journaled("read", "Counter").back();
    REQUIRE(wait_until([&] { return arrived("Counter").back() == last; }));
    check_all_arrived(*this, "Counter");
    line.stop(SIGTERM);
}
