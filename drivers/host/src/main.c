/* This machine as a device: load, processor, memory, disk, network and uptime, in one report per interval. */
#define _GNU_SOURCE
#include "brim/driver.h"
#include "proc.h"
#include "settings.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define VALUES_MAX 11

typedef struct {
    host_settings settings;
    brim_device* device;
    uint64_t busy, all; /* the last reading of the processor */
    bool has_cpu;
    uint64_t lost_reports;
} host;

static volatile sig_atomic_t stopping;

static void on_signal(int number) {
    (void)number;
    stopping = 1;
}

static int64_t mono_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool read_file(const char* path, char* text, size_t size) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t used = 0;
    for (ssize_t got = 1; got > 0 && used < size - 1; used += got > 0 ? (size_t)got : 0) {
        got = read(fd, text + used, size - 1 - used);
    }
    close(fd);
    text[used] = '\0';
    return used > 0;
}

static size_t add_cpu(host* self, const char* text, brim_value* values, size_t count) {
    uint64_t busy, all;
    if (!proc_cpu(text, &busy, &all))
        return count;
    if (self->has_cpu)
        values[count++] = brim_double("CpuPercent", proc_cpu_percent(self->busy, self->all, busy, all));
    self->busy = busy;
    self->all = all;
    self->has_cpu = true;
    return count;
}

/* What cannot be read is left out of the report. */
static size_t collect(host* self, brim_value* values) {
    static char text[65536];
    size_t count = 0;
    double load[3], used, total;
    if (read_file("/proc/loadavg", text, sizeof text) && proc_load(text, load)) {
        values[count++] = brim_double("LoadAverage1", load[0]);
        values[count++] = brim_double("LoadAverage5", load[1]);
        values[count++] = brim_double("LoadAverage15", load[2]);
    }
    if (read_file("/proc/stat", text, sizeof text))
        count = add_cpu(self, text, values, count);
    if (read_file("/proc/meminfo", text, sizeof text) && proc_memory(text, &used, &total)) {
        values[count++] = brim_double("MemoryUsed", used);
        values[count++] = brim_double("MemoryTotal", total);
    }
    struct statvfs disk;
    if (statvfs(self->settings.disk_path, &disk) == 0) {
        values[count++] =
            brim_double("DiskUsed", (double)(disk.f_blocks - disk.f_bfree) * (double)disk.f_frsize);
        values[count++] = brim_double("DiskTotal", (double)disk.f_blocks * (double)disk.f_frsize);
    }
    if (read_file("/proc/net/dev", text, sizeof text) && proc_network(text, &used, &total)) {
        values[count++] = brim_double("NetworkReceived", used);
        values[count++] = brim_double("NetworkSent", total);
    }
    if (read_file("/proc/uptime", text, sizeof text) && proc_uptime(text, &used))
        values[count++] = brim_double("Uptime", used);
    return count;
}

static void on_state(brim_device* device, bool online, int code, void* user) {
    (void)user;
    fprintf(
        stderr,
        "host: device %s is %s: %s\n",
        brim_device_name(device),
        online ? "online" : "offline",
        brim_code_text(code)
    );
}

static void on_config(brim_driver* driver, const char* json, size_t size, void* user) {
    (void)size;
    host* self = user;
    host_settings settings;
    if (!host_settings_read(json, &settings)) {
        fprintf(
            stderr,
            "host: the configuration has a value outside of its limits (intervalMs %d to %d, diskPath up to "
            "255 bytes); "
            "the default is used for it\n",
            HOST_INTERVAL_MS_MIN,
            HOST_INTERVAL_MS_MAX
        );
    }
    const bool same = strcmp(settings.product_key, self->settings.product_key) == 0 &&
                      strcmp(settings.device_name, self->settings.device_name) == 0;
    self->settings = settings;
    if (same)
        return;
    if (self->device != NULL)
        brim_device_remove(self->device);
    self->device = NULL;
    if (settings.device_name[0] == '\0')
        return;
    const brim_device_callbacks callbacks = {.on_state = on_state};
    const int code =
        brim_device_add(driver, settings.product_key, settings.device_name, &callbacks, self, &self->device);
    if (code != BRIM_OK)
        fprintf(stderr, "host: cannot add device %s: %s\n", settings.device_name, brim_code_text(code));
}

static void on_connection(brim_driver* driver, bool connected, const char* reason, void* user) {
    (void)driver;
    (void)connected;
    (void)user;
    fprintf(stderr, "host: %s\n", reason);
}

static void report(host* self) {
    brim_value values[VALUES_MAX];
    const size_t count = collect(self, values);
    if (self->device == NULL || count == 0)
        return;
    /* A full buffer means that the edge has been away for an hour: newer readings are as good as older ones.
     */
    if (brim_report_async(self->device, values, count, NULL, NULL) == BRIM_E_FULL &&
        self->lost_reports++ % 1000 == 0) {
        fprintf(
            stderr,
            "host: the buffer is full, %llu reports turned away\n",
            (unsigned long long)self->lost_reports
        );
    }
}

int main(int argc, char** argv) {
    host self = {.settings = {.interval_ms = 1000, .disk_path = "/"}};
    brim_driver_options options = {.on_config = on_config, .on_connection = on_connection, .user = &self};
    if (argc == 3 && strcmp(argv[1], "--journal") == 0)
        options.journal_fd = open(argv[2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    brim_driver* driver;
    if (brim_driver_open(&options, &driver) != BRIM_OK) {
        fprintf(
            stderr,
            "host: BRIM_BUS and BRIM_DRIVER must be set; brim-edge does that when it starts a driver\n"
        );
        return 2;
    }
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    int64_t due = mono_ms();
    while (!stopping) {
        const int64_t now = mono_ms();
        if (now >= due) {
            report(&self);
            due += self.settings.interval_ms;
            if (due <= now)
                due = now + self.settings.interval_ms; /* asleep for a while: no burst to catch up */
        }
        if (due > now + self.settings.interval_ms)
            due = now + self.settings.interval_ms;
        brim_driver_run(driver, (int)(due > now ? due - now : 0));
    }
    brim_driver_close(driver);
    return 0;
}
