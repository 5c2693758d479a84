#include "envelope.h"
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

static void append(report_list* list, report* entry) {
    entry->next = NULL;
    entry->previous = list->last;
    if (list->last != NULL)
        list->last->next = entry;
    else
        list->first = entry;
    list->last = entry;
}

static void unlink_report(report_list* list, report* entry) {
    if (entry->previous != NULL)
        entry->previous->next = entry->next;
    else
        list->first = entry->next;
    if (entry->next != NULL)
        entry->next->previous = entry->previous;
    else
        list->last = entry->previous;
}

static size_t bytes_of(const report* entry) {
    return entry->topic_size + entry->payload_size;
}

/* Moves a report from `list` to the finished ones. The lock is held. */
static void finish(brim_driver* driver, report_list* list, report* entry, int code) {
    unlink_report(list, entry);
    if (entry->packet_id != 0) {
        driver->by_packet_id[entry->packet_id] = NULL;
        driver->in_flight_count--;
        entry->packet_id = 0;
    }
    entry->device->reports--;
    driver->counts.queued--;
    driver->counts.queued_bytes -= bytes_of(entry);
    entry->code = code;
    entry->device = NULL;
    append(&driver->finished, entry);
}

static uint16_t free_packet_id(const brim_driver* driver) {
    for (uint16_t id = 1; id <= BRIM_WINDOW_MAX; ++id) {
        if (driver->by_packet_id[id] == NULL)
            return id;
    }
    return 0;
}

void report_send(brim_driver* driver) {
    pthread_mutex_lock(&driver->lock);
    report* entry = driver->waiting.first;
    while (entry != NULL && driver->in_flight_count < driver->window && driver->out.size < OUT_BYTES_SOFT_MAX
    ) {
        report* next = entry->next;
        if (entry->device->state ==
            DEVICE_ONLINE) { /* those of other devices wait without blocking this one's */
            entry->packet_id = free_packet_id(driver);
            packet_publish(
                &driver->out,
                entry->packet_id,
                entry->data,
                entry->data + entry->topic_size,
                entry->payload_size
            );
            driver->by_packet_id[entry->packet_id] = entry;
            driver->in_flight_count++;
            if (entry->sent_before)
                driver->counts.resent++;
            entry->sent_before = true;
            unlink_report(&driver->waiting, entry);
            append(&driver->in_flight, entry);
        }
        entry = next;
    }
    pthread_mutex_unlock(&driver->lock);
}

static int code_of_reason(uint8_t reason) {
    switch (reason) {
    case 0x87:
        return BRIM_E_OFFLINE;
    case 0x97:
        return BRIM_E_FULL;
    case 0x99:
        return BRIM_E_JSON;
    default:
        return BRIM_E_UNKNOWN;
    }
}

/* One write, so that lines of a process that is killed are whole or absent. A failing journal never holds up
 * reports. */
static void note_in_journal(const brim_driver* driver, const report* entry) {
    if (driver->journal_fd <= 0)
        return;
    const struct iovec parts[] = {
        {.iov_base = (void*)(uintptr_t)entry->data, .iov_len = entry->topic_size - 1},
        {.iov_base = (void*)(uintptr_t)" ", .iov_len = 1},
        {.iov_base = (void*)(uintptr_t)(entry->data + entry->topic_size), .iov_len = entry->payload_size},
        {.iov_base = (void*)(uintptr_t)"\n", .iov_len = 1}
    };
    const ssize_t written = writev(driver->journal_fd, parts, 4);
    (void)written;
}

void report_acknowledged(brim_driver* driver, uint16_t packet_id, uint8_t reason) {
    if (packet_id == 0 || packet_id > BRIM_WINDOW_MAX)
        return;
    pthread_mutex_lock(&driver->lock);
    report* entry = driver->by_packet_id[packet_id];
    if (entry != NULL) {
        const bool taken = reason < 0x80;
        if (taken) {
            driver->counts.acknowledged++;
            note_in_journal(driver, entry);
        } else
            driver->counts.refused++;
        finish(driver, &driver->in_flight, entry, taken ? BRIM_OK : code_of_reason(reason));
    }
    pthread_mutex_unlock(&driver->lock);
}

void report_return_in_flight(brim_driver* driver) {
    pthread_mutex_lock(&driver->lock);
    while (driver->in_flight.last != NULL) { /* from the back to the front of the queue: the order stays */
        report* entry = driver->in_flight.last;
        unlink_report(&driver->in_flight, entry);
        driver->by_packet_id[entry->packet_id] = NULL;
        entry->packet_id = 0;
        entry->previous = NULL;
        entry->next = driver->waiting.first;
        if (entry->next != NULL)
            entry->next->previous = entry;
        else
            driver->waiting.last = entry;
        driver->waiting.first = entry;
    }
    driver->in_flight_count = 0;
    pthread_mutex_unlock(&driver->lock);
}

static void
finish_list(brim_driver* driver, report_list* list, const brim_device* device, int code, bool refused) {
    report* entry = list->first;
    while (entry != NULL) {
        report* next = entry->next;
        if (device == NULL || entry->device == device) {
            if (refused)
                driver->counts.refused++;
            else
                driver->counts.abandoned++;
            finish(driver, list, entry, code);
        }
        entry = next;
    }
}

void report_finish_device(brim_driver* driver, brim_device* device, int code, bool refused) {
    finish_list(driver, &driver->in_flight, device, code, refused);
    finish_list(driver, &driver->waiting, device, code, refused);
}

void report_finish_all(brim_driver* driver, int code) {
    pthread_mutex_lock(&driver->lock);
    finish_list(driver, &driver->in_flight, NULL, code, false);
    finish_list(driver, &driver->waiting, NULL, code, false);
    pthread_mutex_unlock(&driver->lock);
}

void report_call_back(brim_driver* driver) {
    pthread_mutex_lock(&driver->lock);
    while (driver->finished.first != NULL) {
        report* entry = driver->finished.first;
        unlink_report(&driver->finished, entry);
        pthread_mutex_unlock(&driver->lock);
        if (entry->done != NULL) {
            driver->callback_depth++;
            entry->done(entry->code, entry->user);
            driver->callback_depth--;
        }
        free(entry);
        pthread_mutex_lock(&driver->lock);
    }
    pthread_cond_broadcast(&driver->completed);
    pthread_mutex_unlock(&driver->lock);
}

/* Takes a built report into the queue or frees it. */
static int enqueue(brim_device* device, report* entry) {
    brim_driver* driver = device->driver;
    int code = BRIM_OK;
    pthread_mutex_lock(&driver->lock);
    const uint64_t bytes = driver->counts.queued_bytes + bytes_of(entry);
    if (!device->wanted) {
        code = BRIM_E_OFFLINE;
    } else if (device->state == DEVICE_REFUSED) {
        code = BRIM_E_NO_DEVICE;
    } else if (driver->counts.queued >= driver->options.reports_max ||
               bytes > driver->options.report_bytes_max) {
        code = BRIM_E_FULL;
        driver->counts.turned_away++;
    } else {
        append(&driver->waiting, entry);
        device->reports++;
        driver->counts.accepted++;
        driver->counts.queued++;
        driver->counts.queued_bytes = bytes;
    }
    pthread_mutex_unlock(&driver->lock);
    if (code != BRIM_OK)
        free(entry);
    else
        brim_driver_wake(driver);
    return code;
}

static uint64_t next_id(brim_driver* driver) {
    pthread_mutex_lock(&driver->lock);
    const uint64_t id = driver->next_id++;
    pthread_mutex_unlock(&driver->lock);
    return id;
}

static int queue_report(
    brim_device* device, const char* event, const brim_value* values, size_t count, brim_done done, void* user
) {
    if (device == NULL)
        return BRIM_E_PARAM;
    brim_bytes payload = {0};
    const uint64_t id = next_id(device->driver);
    int code = event == NULL ? envelope_properties(&payload, id, values, count, brim_now_ms())
                             : envelope_event(&payload, id, event, values, count, brim_now_ms());
    if (code == BRIM_OK && payload.size > BRIM_PAYLOAD_BYTES_MAX)
        code = BRIM_E_PARAM;
    char topic[512];
    const int topic_size = snprintf(
                               topic,
                               sizeof topic,
                               "/sys/%s/%s/thing/event/%s/post",
                               device->product_key,
                               device->device_name,
                               event == NULL ? "property" : event
                           ) +
                           1;
    report* entry = code == BRIM_OK ? malloc(sizeof *entry + (size_t)topic_size + payload.size) : NULL;
    if (entry != NULL) {
        *entry = (report){.device = device, .done = done, .user = user};
        entry->topic_size = (size_t)topic_size;
        entry->payload_size = payload.size;
        memcpy(entry->data, topic, entry->topic_size);
        memcpy(entry->data + entry->topic_size, payload.data, payload.size);
        code = enqueue(device, entry);
    } else if (code == BRIM_OK) {
        code = BRIM_E_MEMORY;
    }
    brim_bytes_free(&payload);
    return code;
}

/* Shared by a blocking caller and the completion; whoever is last frees it. */
typedef struct {
    brim_driver* driver;
    int code;
    bool completed, abandoned;
} waiter;

static void waiter_done(int code, void* user) {
    waiter* wait = user;
    pthread_mutex_lock(&wait->driver->lock);
    const bool abandoned = wait->abandoned;
    wait->code = code;
    wait->completed = true;
    pthread_mutex_unlock(&wait->driver->lock);
    if (abandoned)
        free(wait); /* otherwise the caller sees `completed` and frees */
}

static bool on_runner(brim_driver* driver) {
    pthread_mutex_lock(&driver->lock);
    const bool same = pthread_equal(pthread_self(), driver->runner) != 0;
    pthread_mutex_unlock(&driver->lock);
    return same;
}

static void wait_off_runner(brim_driver* driver, const waiter* wait, int timeout_ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t ns = until.tv_nsec + (int64_t)(timeout_ms % 1000) * 1000000;
    until.tv_sec += timeout_ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&driver->lock);
    while (!wait->completed && pthread_cond_timedwait(&driver->completed, &driver->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&driver->lock);
}

static int queue_and_wait(
    brim_device* device, const char* event, const brim_value* values, size_t count, int timeout_ms
) {
    if (device == NULL || timeout_ms < 0)
        return BRIM_E_PARAM;
    brim_driver* driver = device->driver;
    const bool runner = on_runner(driver);
    if (runner && driver->callback_depth > 0)
        return BRIM_E_PARAM;
    waiter* wait = calloc(1, sizeof *wait);
    if (wait == NULL)
        return BRIM_E_MEMORY;
    wait->driver = driver;
    int code = queue_report(device, event, values, count, waiter_done, wait);
    if (code != BRIM_OK) {
        free(wait);
        return code;
    }
    if (runner) {
        const int64_t deadline = mono_ms() + timeout_ms;
        for (int64_t left = timeout_ms; !wait->completed && left > 0; left = deadline - mono_ms()) {
            brim_driver_run(driver, (int)left);
        }
    } else {
        wait_off_runner(driver, wait, timeout_ms);
    }
    pthread_mutex_lock(&driver->lock);
    const bool completed = wait->completed;
    code = completed ? wait->code : BRIM_E_TIMEOUT;
    wait->abandoned = !completed;
    pthread_mutex_unlock(&driver->lock);
    if (completed)
        free(wait);
    return code;
}

int brim_report_async(
    brim_device* device, const brim_value* values, size_t count, brim_done done, void* user
) {
    return queue_report(device, NULL, values, count, done, user);
}

int brim_event_async(
    brim_device* device, const char* event, const brim_value* values, size_t count, brim_done done, void* user
) {
    return event == NULL ? BRIM_E_PARAM : queue_report(device, event, values, count, done, user);
}

int brim_report(brim_device* device, const brim_value* values, size_t count, int timeout_ms) {
    return queue_and_wait(device, NULL, values, count, timeout_ms);
}

int brim_event(
    brim_device* device, const char* event, const brim_value* values, size_t count, int timeout_ms
) {
    return event == NULL ? BRIM_E_PARAM : queue_and_wait(device, event, values, count, timeout_ms);
}
