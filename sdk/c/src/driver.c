#define _GNU_SOURCE
#include "envelope.h"
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

const char* brim_code_text(int code) {
    switch (code) {
    case BRIM_OK:
    case 200:
        return "success";
    case 400:
        return "the device failed";
    case 429:
        return "the device is busy";
    case 460:
    case BRIM_E_PARAM:
        return "invalid parameter";
    case BRIM_E_MEMORY:
        return "out of memory";
    case BRIM_E_TIMEOUT:
        return "timeout";
    case BRIM_E_FULL:
        return "the buffer is full";
    case BRIM_E_UNREACHABLE:
        return "the edge or the device cannot be reached";
    case BRIM_E_NO_DEVICE:
        return "device not configured for this driver";
    case BRIM_E_OFFLINE:
        return "device offline";
    case BRIM_E_NO_PROPERTY:
        return "no such property";
    case BRIM_E_READ_ONLY:
        return "property can only be read";
    case BRIM_E_WRITE_ONLY:
        return "property can only be written";
    case BRIM_E_NO_SERVICE:
        return "no such service";
    case BRIM_E_SERVICE_PARAM:
        return "invalid service parameter";
    case BRIM_E_JSON:
        return "invalid JSON";
    case BRIM_E_TYPE:
        return "wrong type";
    default:
        return "unknown error";
    }
}

brim_value brim_int(const char* identifier, int64_t value) {
    return (brim_value){.identifier = identifier, .kind = BRIM_KIND_INT, .whole = value};
}

brim_value brim_double(const char* identifier, double value) {
    return (brim_value){.identifier = identifier, .kind = BRIM_KIND_DOUBLE, .real = value};
}

brim_value brim_text(const char* identifier, const char* utf8) {
    return (brim_value){.identifier = identifier, .kind = BRIM_KIND_TEXT, .text = utf8};
}

brim_value brim_json(const char* identifier, const char* json) {
    return (brim_value){.identifier = identifier, .kind = BRIM_KIND_JSON, .text = json};
}

brim_value brim_at(brim_value value, int64_t time_ms) {
    value.time_ms = time_ms;
    return value;
}

static int64_t clock_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t brim_now_ms(void) {
    return clock_ms(CLOCK_REALTIME);
}

int64_t mono_ms(void) {
    return clock_ms(CLOCK_MONOTONIC);
}

static bool name_fits(const char* name) {
    const size_t size = strlen(name);
    return size >= 1 && size <= 32 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

static uint32_t bounded(uint32_t wanted, uint32_t highest) {
    return wanted == 0 || wanted > highest ? highest : wanted;
}

static bool take_options(brim_driver* driver, const brim_driver_options* given) {
    driver->options = *given;
    const char* path = given->bus_path != NULL ? given->bus_path : getenv("BRIM_BUS");
    const char* token = given->token != NULL ? given->token : getenv("BRIM_BUS_TOKEN");
    const char* name = given->name != NULL ? given->name : getenv("BRIM_DRIVER");
    struct sockaddr_un address;
    if (path == NULL || name == NULL || !name_fits(name) || strlen(path) >= sizeof address.sun_path)
        return false;
    if (token != NULL && strlen(token) > 65535)
        return false;
    strcpy(driver->name, name);
    driver->bus_path = strdup(path);
    driver->token = token == NULL ? NULL : strdup(token);
    brim_driver_options* options = &driver->options;
    options->reports_max = bounded(given->reports_max, BRIM_REPORTS_MAX);
    options->report_bytes_max = bounded(given->report_bytes_max, BRIM_REPORT_BYTES_MAX);
    options->window_max = bounded(given->window_max, BRIM_WINDOW_MAX);
    if (options->backoff_min_ms == 0)
        options->backoff_min_ms = 100;
    if (options->backoff_max_ms == 0)
        options->backoff_max_ms = 5000;
    return driver->bus_path != NULL && (token == NULL || driver->token != NULL);
}

static void free_driver(brim_driver* driver) {
    if (driver->wake_fd >= 0)
        close(driver->wake_fd);
    if (driver->fd >= 0)
        close(driver->fd);
    while (driver->devices != NULL) {
        brim_device* next = driver->devices->next;
        free(driver->devices);
        driver->devices = next;
    }
    brim_bytes_free(&driver->in);
    brim_bytes_free(&driver->out);
    brim_bytes_free(&driver->answers);
    pthread_cond_destroy(&driver->completed);
    pthread_mutex_destroy(&driver->lock);
    free(driver->bus_path);
    free(driver->token);
    free(driver);
}

int brim_driver_open(const brim_driver_options* options, brim_driver** out) {
    if (options == NULL || out == NULL)
        return BRIM_E_PARAM;
    brim_driver* driver = calloc(1, sizeof *driver);
    if (driver == NULL)
        return BRIM_E_MEMORY;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&driver->completed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&driver->lock, NULL);
    driver->fd = -1;
    driver->runner = pthread_self();
    driver->next_id = 1;
    driver->window = 1;
    driver->journal_fd = options->journal_fd;
    driver->random = (uint64_t)brim_now_ms() * 2654435761u + (uint64_t)getpid() * 40503u + 1;
    driver->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!take_options(driver, options) || driver->wake_fd < 0) {
        free_driver(driver);
        return BRIM_E_PARAM;
    }
    *out = driver;
    return BRIM_OK;
}

void brim_driver_wake(brim_driver* driver) {
    (void)eventfd_write(driver->wake_fd, 1);
}

void brim_driver_run(brim_driver* driver, int timeout_ms) {
    if (driver->callback_depth > 0)
        return;                        /* a callback that wants to wait inside of itself would never end */
    pthread_mutex_lock(&driver->lock); /* a blocking report of another thread asks who the runner is */
    driver->runner = pthread_self();
    pthread_mutex_unlock(&driver->lock);
    if (driver->link == LINK_DOWN && mono_ms() >= driver->retry_at)
        link_start(driver);
    session_send(driver);
    link_flush(driver);
    link_serve(driver, timeout_ms < 0 ? 0 : timeout_ms);
    session_send(driver);
    link_flush(driver);
    report_call_back(driver);
}

/* Goodbye, in order: what is encoded, then DISCONNECT. Waits a second at most for a socket that takes
 * nothing. */
static void say_goodbye(brim_driver* driver) {
    if (driver->link != LINK_UP)
        return;
    packet_disconnect(&driver->out);
    const int64_t deadline = mono_ms() + 1000;
    for (;;) {
        link_flush(driver);
        if (driver->fd < 0 || driver->out.size == 0 || mono_ms() >= deadline)
            return;
        struct pollfd writable = {.fd = driver->fd, .events = POLLOUT};
        (void)poll(&writable, 1, 100);
    }
}

void brim_driver_close(brim_driver* driver) {
    if (driver == NULL)
        return;
    driver->options.on_connection = NULL;
    for (brim_device* device = driver->devices; device != NULL; device = device->next)
        brim_device_offline(device);
    report_finish_all(driver, BRIM_E_UNREACHABLE);
    session_send(driver);
    say_goodbye(driver);
    report_call_back(driver);
    free_driver(driver);
}

void brim_driver_counts(brim_driver* driver, brim_counts* counts) {
    pthread_mutex_lock(&driver->lock);
    *counts = driver->counts;
    pthread_mutex_unlock(&driver->lock);
}

static bool part_fits(const char* text) {
    return text != NULL && text[0] != '\0' && strlen(text) < NAME_BYTES_MAX && strpbrk(text, "/+#") == NULL;
}

int brim_device_add(
    brim_driver* driver,
    const char* product_key,
    const char* device_name,
    const brim_device_callbacks* callbacks,
    void* user,
    brim_device** out
) {
    if (driver == NULL || out == NULL || !part_fits(product_key) || !part_fits(device_name))
        return BRIM_E_PARAM;
    brim_device* device = calloc(1, sizeof *device);
    if (device == NULL)
        return BRIM_E_MEMORY;
    device->driver = driver;
    strcpy(device->product_key, product_key);
    strcpy(device->device_name, device_name);
    if (callbacks != NULL)
        device->callbacks = *callbacks;
    device->user = user;
    device->wanted = true;
    device->state = DEVICE_DUE;
    int code = BRIM_OK;
    pthread_mutex_lock(&driver->lock);
    brim_device** end = &driver->devices;
    for (; *end != NULL; end = &(*end)->next) {
        const bool same =
            strcmp((*end)->product_key, product_key) == 0 && strcmp((*end)->device_name, device_name) == 0;
        if (same)
            code = BRIM_E_PARAM;
    }
    if (code == BRIM_OK && driver->device_count == BRIM_DEVICES_MAX)
        code = BRIM_E_FULL;
    if (code == BRIM_OK) {
        *end = device;
        driver->device_count++;
    }
    pthread_mutex_unlock(&driver->lock);
    if (code != BRIM_OK)
        free(device);
    else
        *out = device;
    return code;
}

void brim_device_online(brim_device* device) {
    brim_driver* driver = device->driver;
    pthread_mutex_lock(&driver->lock);
    if (!device->wanted) {
        device->wanted = true;
        if (device->leaving)
            device->state = DEVICE_ONLINE; /* the edge was not told yet */
        else
            device->state = DEVICE_DUE;
        device->leaving = false;
    } else if (device->state == DEVICE_REFUSED) {
        device->state = DEVICE_DUE;
    }
    pthread_mutex_unlock(&driver->lock);
    brim_driver_wake(driver);
}

void brim_device_offline(brim_device* device) {
    brim_driver* driver = device->driver;
    pthread_mutex_lock(&driver->lock);
    device->wanted = false;
    /* While it is leaving it stays online so that its accepted reports can go; report.c takes no new ones. */
    if (device->state == DEVICE_ONLINE || device->state == DEVICE_ASKED)
        device->leaving = true;
    else
        device->state = DEVICE_OFFLINE;
    if (!device->leaving)
        report_finish_device(driver, device, BRIM_E_OFFLINE, true);
    pthread_mutex_unlock(&driver->lock);
    brim_driver_wake(driver);
}

void brim_device_remove(brim_device* device) {
    brim_driver* driver = device->driver;
    brim_device_offline(device);
    pthread_mutex_lock(&driver->lock);
    report_finish_device(driver, device, BRIM_E_NO_DEVICE, false);
    pthread_mutex_unlock(&driver->lock);
    session_send(driver); /* the offline message, if one is due */
    pthread_mutex_lock(&driver->lock);
    for (brim_device** at = &driver->devices; *at != NULL; at = &(*at)->next) {
        if (*at != device)
            continue;
        *at = device->next;
        driver->device_count--;
        break;
    }
    pthread_mutex_unlock(&driver->lock);
    free(device);
}

const char* brim_device_product_key(const brim_device* device) {
    return device->product_key;
}

const char* brim_device_name(const brim_device* device) {
    return device->device_name;
}
