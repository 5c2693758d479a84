// The port against a slave made of libmodbus itself, which knows function 0x16 (mask write).

#include "port.h"

#include <doctest/doctest.h>

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
