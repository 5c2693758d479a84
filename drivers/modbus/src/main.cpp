// The Modbus driver: TCP and RTU slaves as devices of the edge.

#include "bus.h"

#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <string_view>

namespace {

volatile std::sig_atomic_t stopping = 0;

void on_signal(int) {
    stopping = 1;
}

} // namespace

int main(int argc, char** argv) {
    const brim::SystemClock clock;
    brim::Log log(clock);
    brim::modbus::Bus bus(log);
    brim_driver_options options{};
    options.user = &bus;
    if (argc == 3 && std::string_view(argv[1]) == "--journal")
        options.journal_fd = open(argv[2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    options.on_config = [](brim_driver*, const char* json, std::size_t size, void* user) {
        static_cast<brim::modbus::Bus*>(user)->configure({json, size});
    };
    static brim::Log* connection_log = &log;
    options.on_connection = [](brim_driver*, bool connected, const char* reason, void*) {
        connection_log->write(connected ? brim::LogLevel::info : brim::LogLevel::warn, "modbus", reason);
    };
    brim_driver* driver = nullptr;
    if (brim_driver_open(&options, &driver) != BRIM_OK) {
        std::fputs(
            "modbus: BRIM_BUS and BRIM_DRIVER must be set; brim-edge does that when it starts a driver\n",
            stderr
        );
        return 2;
    }
    bus.attach(driver);
    struct sigaction action{};
    action.sa_handler = on_signal;
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    while (stopping == 0)
        brim_driver_run(driver, 1'000);
    bus.stop();
    brim_driver_close(driver);
    return 0;
}
