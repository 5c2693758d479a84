#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* xorshift64*: spreads the reconnects of many drivers, needs no secrecy. */
static uint64_t next_random(brim_driver* driver) {
    driver->random ^= driver->random >> 12;
    driver->random ^= driver->random << 25;
    driver->random ^= driver->random >> 27;
    return driver->random * 2685821657736338717ULL;
}

static void report_connection(brim_driver* driver, bool connected, const char* reason) {
    if (driver->options.on_connection == NULL)
        return;
    driver->callback_depth++;
    driver->options.on_connection(driver, connected, reason, driver->options.user);
    driver->callback_depth--;
}

void link_fail(brim_driver* driver, const char* reason) {
    if (driver->fd >= 0)
        close(driver->fd);
    driver->fd = -1;
    const bool was_up = driver->link == LINK_UP;
    driver->link = LINK_DOWN;
    driver->in.size = driver->out.size = 0;
    driver->out.failed = driver->in.failed = false;
    /* Full jitter: anywhere between now and a step that doubles with each failure. */
    uint64_t step = driver->options.backoff_min_ms;
    for (unsigned i = 0; i < driver->failures && step < driver->options.backoff_max_ms; ++i)
        step *= 2;
    if (step > driver->options.backoff_max_ms)
        step = driver->options.backoff_max_ms;
    driver->failures++;
    driver->retry_at = mono_ms() + (int64_t)(next_random(driver) % (step + 1));
    session_lost(driver);
    if (was_up || driver->failures == 1)
        report_connection(driver, false, reason);
}

void link_start(brim_driver* driver) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(
        address.sun_path, driver->bus_path, strlen(driver->bus_path) + 1
    ); /* the length was checked at open */
    driver->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (driver->fd < 0 || connect(driver->fd, (struct sockaddr*)&address, sizeof address) != 0) {
        char reason[192];
        snprintf(reason, sizeof reason, "cannot connect to %.100s: %s", driver->bus_path, strerror(errno));
        link_fail(driver, reason);
        return;
    }
    driver->link = LINK_CONNECTING;
    driver->last_sent = driver->last_received = mono_ms();
    driver->link_deadline = driver->last_sent + CONNECT_MS_MAX;
    packet_connect(&driver->out, driver->name, driver->token, KEEP_ALIVE_S, BRIM_CONFIG_BYTES_MAX);
    link_flush(driver);
}

void link_flush(brim_driver* driver) {
    if (driver->fd < 0)
        return;
    if (driver->out.failed) {
        link_fail(driver, "out of memory for what is to be sent");
        return;
    }
    size_t sent = 0;
    while (sent < driver->out.size) {
        const ssize_t written =
            send(driver->fd, driver->out.data + sent, driver->out.size - sent, MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (written < 0) {
            link_fail(driver, strerror(errno));
            return;
        }
        sent += (size_t)written;
    }
    if (sent == 0)
        return;
    driver->last_sent = mono_ms();
    brim_bytes_drop_front(&driver->out, sent);
}

/* Handles the whole packets at the front of the buffer. */
static void read_packets(brim_driver* driver) {
    size_t done = 0;
    while (driver->fd >= 0) {
        packet in;
        const long size =
            packet_read(driver->in.data + done, driver->in.size - done, BRIM_CONFIG_BYTES_MAX, &in);
        if (size < 0 || (size > 0 && !session_receive(driver, &in))) {
            if (driver->fd >= 0)
                link_fail(driver, "the edge sent something that a driver does not understand");
            return;
        }
        if (size == 0)
            break;
        done += (size_t)size;
    }
    if (driver->fd >= 0 && done > 0)
        brim_bytes_drop_front(&driver->in, done);
}

static void receive(brim_driver* driver) {
    uint8_t chunk[16384];
    const ssize_t size = recv(driver->fd, chunk, sizeof chunk, 0);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (size <= 0) {
        link_fail(driver, size == 0 ? "the edge closed the connection" : strerror(errno));
        return;
    }
    driver->last_received = mono_ms();
    brim_bytes_put(&driver->in, chunk, (size_t)size);
    if (driver->in.failed)
        link_fail(driver, "out of memory for what was received");
    else
        read_packets(driver);
}

static int min_wait(int a, int64_t b) {
    if (b < 0)
        b = 0;
    return b < a ? (int)b : a;
}

static void keep_alive(brim_driver* driver) {
    const int64_t now = mono_ms();
    if (driver->link == LINK_CONNECTING && now >= driver->link_deadline) {
        link_fail(driver, "the edge did not answer the connect");
    } else if (driver->link == LINK_UP && now - driver->last_received >= KEEP_ALIVE_S * 1500) {
        link_fail(driver, "the edge is silent");
    } else if (driver->link == LINK_UP && now - driver->last_sent >= KEEP_ALIVE_S * 500) {
        packet_ping(&driver->out);
        link_flush(driver);
    }
}

static int wait_ms(brim_driver* driver, int timeout_ms) {
    const int64_t now = mono_ms();
    if (driver->link == LINK_DOWN)
        return min_wait(timeout_ms, driver->retry_at - now);
    if (driver->link == LINK_CONNECTING)
        return min_wait(timeout_ms, driver->link_deadline - now);
    const int session = session_wait_ms(driver);
    if (session >= 0)
        timeout_ms = min_wait(timeout_ms, session);
    return min_wait(timeout_ms, driver->last_sent + KEEP_ALIVE_S * 500 - now);
}

void link_serve(brim_driver* driver, int timeout_ms) {
    struct pollfd polled[2] = {
        {.fd = driver->wake_fd, .events = POLLIN}, {.fd = driver->fd, .events = POLLIN}
    };
    if (driver->out.size > 0)
        polled[1].events |= POLLOUT;
    const int ready = poll(polled, 2, wait_ms(driver, timeout_ms));
    if (ready > 0 && polled[0].revents != 0) {
        eventfd_t ignored;
        (void)eventfd_read(driver->wake_fd, &ignored);
    }
    if (driver->fd >= 0 && ready > 0 && (polled[1].revents & POLLOUT))
        link_flush(driver);
    if (driver->fd >= 0 && ready > 0 && (polled[1].revents & (POLLIN | POLLHUP | POLLERR)))
        receive(driver);
    keep_alive(driver);
}
