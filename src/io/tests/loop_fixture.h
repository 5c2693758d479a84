#pragma once
// A real loop for tests, with a log that writes to /dev/null, and a bound on every wait.

#include "base/log.h"
#include "io/epoll_loop.h"
#include "io/socket_network.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

namespace brim::io::testing {

struct LoopFixture {
    SystemClock clock;
    Descriptor null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    Log log{clock, {.fd = null.value()}};
    EpollLoop loop{log};
    SocketNetwork net{loop, log};

    /// Turns until `done` holds; false after `wait_max`.
    template <class Done> bool until(Done done, Duration wait_max = 10s) {
        const Mono deadline = clock.mono() + wait_max;
        while (!done()) {
            if (clock.mono() >= deadline)
                return false;
            loop.turn(10ms);
        }
        return true;
    }

    void settle(Duration time) {
        const Mono deadline = clock.mono() + time;
        while (clock.mono() < deadline)
            loop.turn(5ms);
    }
};

inline int open_descriptors() {
    int count = 0;
    for (int fd = 0; fd < 1'024; ++fd)
        if (::fcntl(fd, F_GETFD) != -1)
            ++count;
    return count;
}

} // namespace brim::io::testing
