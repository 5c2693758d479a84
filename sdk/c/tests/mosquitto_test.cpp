// The SDK on a real broker: mosquitto on a unix socket, with a small edge of raw packets as the other client.

#include "scripted_edge.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <poll.h>
#include <set>
#include <thread>

using namespace edge_script;

namespace {

bool wait_until(auto reached) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!reached()) {
        if (std::chrono::steady_clock::now() > deadline)
            return false;
        usleep(5'000);
    }
    return true;
}

class Mosquitto {
public:
    Mosquitto() {
        // Started as root it would become another user, who may not enter the scratch folder.
        std::ofstream(config_) << "user root\nlistener 0 " << socket
                               << "\nallow_anonymous true\npersistence false\nlog_dest none\n";
    }

    ~Mosquitto() {
        kill();
        unlink(config_.c_str());
        unlink(socket.c_str());
        rmdir(dir_.c_str());
    }

    void start() {
        unlink(socket.c_str());
        pid_ = fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            execl("/usr/sbin/mosquitto", "mosquitto", "-c", config_.c_str(), nullptr);
            _exit(127);
        }
        REQUIRE_MESSAGE(
            wait_until([this] { return access(socket.c_str(), F_OK) == 0; }), "apt-get install mosquitto"
        );
    }

    void kill() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
        pid_ = -1;
    }

private:
    std::string dir_ = scratch_dir();
    std::string config_ = dir_ + "/conf";
    pid_t pid_ = -1;

public:
    const std::string socket = dir_ + "/bus.sock";
};

/// The edge's part behind the broker: answers device messages and remembers reports. Connects again by
/// itself.
class EdgeClient {
public:
    explicit EdgeClient(std::string path) : path_(std::move(path)), thread_([this] { run(); }) {}

    ~EdgeClient() {
        stopping_ = true;
        thread_.join();
    }

    std::size_t distinct() {
        const std::lock_guard guard(lock_);
        return reports_.size();
    }

private:
    void run() {
        while (!stopping_) {
            const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            sockaddr_un address{};
            address.sun_family = AF_UNIX;
            std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
            if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
                serve(fd);
            close(fd);
            usleep(10'000);
        }
    }

    void serve(int fd) {
        brim_bytes out{};
        packet_connect(&out, "edge", nullptr, 60, 1 << 20);
        const char* const filters[] = {"bus/driver/+/device", "/sys/#"};
        packet_subscribe(&out, 1, filters, 2);
        std::string in;
        while (!stopping_) {
            if (out.size > 0 && send(fd, out.data, out.size, MSG_NOSIGNAL) != static_cast<ssize_t>(out.size))
                break;
            out.size = 0;
            pollfd readable{fd, POLLIN, 0};
            if (poll(&readable, 1, 20) == 0)
                continue;
            char chunk[65536];
            const ssize_t size = read(fd, chunk, sizeof chunk);
            if (size <= 0)
                break;
            in.append(chunk, static_cast<std::size_t>(size));
            packet message;
            long used = 0;
            while ((used = packet_read(
                        reinterpret_cast<const std::uint8_t*>(in.data()), in.size(), 1 << 20, &message
                    )) > 0) {
                if (message.type == PACKET_PUBLISH)
                    take(message, out);
                in.erase(0, static_cast<std::size_t>(used));
            }
            if (used < 0)
                break;
        }
        brim_bytes_free(&out);
    }

    void take(const packet& message, brim_bytes& out) {
        const std::string topic(message.topic.text, message.topic.size);
        const std::string payload(message.payload.text, message.payload.size);
        if (message.packet_id != 0)
            packet_puback(&out, message.packet_id);
        if (topic == "bus/driver/test/device") {
            const std::size_t id = payload.find(':') + 1;
            const std::string reply =
                "{\"id\":" + payload.substr(id, payload.find(',') - id) + ",\"code\":0}";
            packet_publish(&out, 0, "bus/driver/test/device_reply", reply.data(), reply.size());
            return;
        }
        const std::lock_guard guard(lock_);
        reports_.insert(payload.substr(0, payload.find("\"time\"")));
    }

    std::string path_;
    std::atomic<bool> stopping_ = false;
    std::mutex lock_;
    std::set<std::string> reports_;
    std::thread thread_;
};

} // namespace

TEST_CASE("[sdk-mosquitto-1] reports made while the broker is dead arrive after it is back") {
    Mosquitto broker;
    broker.start();
    brim_driver_options options{};
    options.bus_path = broker.socket.c_str();
    options.name = "test";
    options.backoff_max_ms = 50;
    brim_driver* driver = nullptr;
    REQUIRE(brim_driver_open(&options, &driver) == BRIM_OK);
    brim_device* device = nullptr;
    REQUIRE(brim_device_add(driver, "pk", "dn", nullptr, nullptr, &device) == BRIM_OK);
    {
        EdgeClient edge(broker.socket);
        brim_counts counts{};
        const auto run_until_acknowledged = [&](std::uint64_t count) {
            return wait_until([&] {
                brim_driver_run(driver, 20);
                brim_driver_counts(driver, &counts);
                return counts.acknowledged >= count;
            });
        };
        long number = 0;
        const auto report = [&](int count) {
            for (int i = 0; i < count; ++i) {
                const brim_value value = brim_int("N", number++);
                REQUIRE(brim_report_async(device, &value, 1, nullptr, nullptr) == BRIM_OK);
            }
        };
        report(200);
        REQUIRE(run_until_acknowledged(200));
        REQUIRE(wait_until([&] { return edge.distinct() == 200; }));
        broker.kill();
        report(150);
        for (int i = 0; i < 5; ++i)
            brim_driver_run(driver, 10);
        report(150);
        broker.start();
        REQUIRE(run_until_acknowledged(500));
        CHECK(wait_until([&] { return edge.distinct() == 500; }));
        CHECK(counts.refused == 0);
        CHECK(counts.connects >= 2);
    }
    brim_driver_close(driver);
}
