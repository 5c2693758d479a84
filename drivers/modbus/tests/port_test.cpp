// The port against a slave made of libmodbus itself, which knows function 0x16 (mask write).

#include "port.h"

#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <modbus.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace brim;
using namespace brim::modbus;

namespace {

/// Serves one connection with 32 holding registers until it ends, and counts requests by function.
class Slave {
public:
    Slave() {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        listener_ = socket(AF_INET, SOCK_STREAM, 0);
        REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&at), size) == 0);
        REQUIRE(listen(listener_, 1) == 0);
        REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) == 0);
        port = ntohs(at.sin_port);
        thread_ = std::thread([this] { serve(); });
    }

    ~Slave() {
        shutdown(listener_, SHUT_RDWR);
        thread_.join();
        close(listener_);
        modbus_mapping_free(map);
    }

    Slave(const Slave&) = delete;
    Slave& operator=(const Slave&) = delete;

    std::uint16_t port = 0;
    modbus_mapping_t* map = modbus_mapping_new(0, 0, 32, 0);
    std::vector<int> functions; ///< to be read when the connection is closed

    void wait() {
        thread_.join();
        thread_ = std::thread([] {});
    }

private:
    void serve() {
        modbus_t* modbus = modbus_new_tcp("127.0.0.1", port);
        if (modbus_tcp_accept(modbus, &listener_) != -1) {
            std::uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
            for (int size = 0; (size = modbus_receive(modbus, query)) > 0;) {
                functions.push_back(query[modbus_get_header_length(modbus)]);
                modbus_reply(modbus, query, size, map);
            }
        }
        modbus_close(modbus);
        modbus_free(modbus);
    }

    int listener_ = -1;
    std::thread thread_;
};

} // namespace

TEST_CASE("[modbus-port-1] bits of a register are written in one request where the slave can do that") {
    Slave slave;
    slave.map->tab_registers[7] = 0xa5a5;
    ChannelSettings settings;
    settings.endpoint = TcpEndpoint{"127.0.0.1", slave.port};
    {
        Port port(settings);
        REQUIRE(port.open(0));
        CHECK(port.write(1, {Area::holding, 7, {0x0030}, 0x00f0}));
        std::vector<std::uint16_t> held;
        REQUIRE(port.read(1, {Area::holding, 7, 1, {}}, held));
        CHECK(held == std::vector<std::uint16_t>{0xa535});
        const Answer refused = port.write(1, {Area::holding, 32, {1}, 1});
        CHECK(refused.failure == Failure::exception);
        CHECK(refused.exception == 2);
    }
    slave.wait();
    CHECK(slave.functions == std::vector<int>{0x16, 0x03, 0x16});
}

namespace {

/// A slave that answers a connection's first request with bytes that never become an answer: without end, or
/// once.
class EndlessSlave {
public:
    /// `piece` is sent again and again; its first two bytes become the request's transaction id.
    explicit EndlessSlave(std::string piece, bool is_endless = true)
        : piece_(std::move(piece)), is_endless_(is_endless) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        listener_ = socket(AF_INET, SOCK_STREAM, 0);
        REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&at), size) == 0);
        REQUIRE(listen(listener_, 8) == 0);
        REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) == 0);
        port = ntohs(at.sin_port);
        thread_ = std::thread([this] { serve(); });
    }

    ~EndlessSlave() {
        shutdown(listener_, SHUT_RDWR);
        thread_.join();
        close(listener_);
    }

    EndlessSlave(const EndlessSlave&) = delete;
    EndlessSlave& operator=(const EndlessSlave&) = delete;

    std::uint16_t port = 0;
    std::atomic<std::uint64_t> sent_bytes{0};

private:
    void serve() {
        for (int peer = 0; (peer = accept(listener_, nullptr, nullptr)) >= 0; close(peer)) {
            char request[300];
            if (recv(peer, request, sizeof request, 0) < 12)
                continue;
            piece_[0] = request[0];
            piece_[1] = request[1];
            ssize_t sent = 0;
            do {
                sent = send(peer, piece_.data(), piece_.size(), MSG_NOSIGNAL);
                sent_bytes += sent > 0 ? static_cast<std::uint64_t>(sent) : 0;
            } while (is_endless_ && sent > 0);
            while (!is_endless_ && recv(peer, request, sizeof request, 0) > 0) // until it is given up
                ;
        }
    }

    std::string piece_;
    bool is_endless_;
    int listener_ = -1;
    std::thread thread_;
};

std::uint64_t resident_bytes() {
    std::uint64_t total = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// A frame of ten registers' length in which the byte count, function or length says something else.
std::string frame(std::uint16_t length, std::uint8_t function, std::uint8_t count) {
    std::string bytes(9, '\0');
    bytes[4] = static_cast<char>(length >> 8);
    bytes[5] = static_cast<char>(length & 0xff);
    bytes[6] = 1;
    bytes[7] = static_cast<char>(function);
    bytes[8] = static_cast<char>(count);
    return bytes + std::string(60'000, 'x');
}

} // namespace

TEST_CASE("[B-11] a slave that sends without end, or never the last byte, costs less than 1 MiB") {
    constexpr std::uint64_t mebi = 1'048'576;
    const std::string pieces[] = {
        frame(65'535, 3, 255),       // longer than any frame
        frame(23, 3, 20),            // right, and 60,000 bytes behind it
        frame(23, 0x83, 2),          // an exception with a tail
        frame(0, 0, 0),              // nothing at all
        std::string(60'000, '\xff'), // no frame
    };
    for (const std::string& piece : pieces) {
        EndlessSlave slave(piece);
        ChannelSettings settings;
        settings.endpoint = TcpEndpoint{"127.0.0.1", slave.port};
        settings.timeout_ms = 100;
        Port port(settings);
        std::vector<std::uint16_t> data;
        std::uint64_t before = 0;
        const auto is_due = [&](int round) {
            return round < 20 || (slave.sent_bytes <= mebi && round < 1'000);
        };
        for (int round = 0; is_due(round); ++round) {
            if (port.open(round * 10'000))
                (void)port.read(1, {Area::holding, 0, 10, {}}, data);
            CHECK(data.size() <= 10);
            if (round == 4)
                before = resident_bytes();
        }
        CHECK(slave.sent_bytes > mebi); // it did offer more
        CHECK(resident_bytes() < before + mebi);
        port.close();
    }
}

TEST_CASE("[B-11] an answer whose last byte never comes ends with the timeout") {
    constexpr std::size_t whole_bytes = 9 + 20;
    for (const std::size_t missing : {std::size_t{0}, std::size_t{1}, whole_bytes - 1}) {
        EndlessSlave slave(frame(23, 3, 20).substr(0, whole_bytes - missing), false);
        ChannelSettings settings;
        settings.endpoint = TcpEndpoint{"127.0.0.1", slave.port};
        settings.timeout_ms = 100;
        Port port(settings);
        std::vector<std::uint16_t> data;
        REQUIRE(port.open(0));
        const Answer answer = port.read(1, {Area::holding, 0, 10, {}}, data);
        CHECK(answer.failure == (missing == 0 ? Failure::none : Failure::timeout));
        port.close();
    }
}
