/*
 * Brim driver SDK for C11: write a device driver in an afternoon.
 *
 * A driver is a program that brim-edge starts. It reads its configuration, brings its devices online, reports
 * their properties and events, and answers requests. This library does the rest: it speaks the local bus
 * (docs/spec/bus.md), reconnects when the edge restarts, brings the devices online again and keeps what was
 * reported until the edge has it on its disk.
 *
 *     static void on_config(brim_driver *driver, const char *json, size_t length, void *user) { ... add
 * devices ... }
 *
 *     int main(void) {
 *         brim_driver_options options = {.on_config = on_config};
 *         brim_driver *driver;
 *         if (brim_driver_open(&options, &driver) != BRIM_OK) return 1;
 *         for (;;) {
 *             brim_driver_run(driver, 1000);            // connects, receives, sends, calls back
 *             brim_value values[] = {brim_double("Temperature", 21.5), brim_int("Count", 7)};
 *             brim_report_async(device, values, 2, NULL, NULL);
 *         }
 *     }
 *
 * Threads. One thread, the "runner", calls brim_driver_run(); all callbacks run on it, without any lock held.
 * The report functions, brim_answer(), brim_device_online(), brim_device_offline() and brim_driver_counts()
 * may be called from any thread; everything else belongs to the runner. brim_driver_close() is called when no
 * other thread uses the driver any more.
 *
 * What is promised. A report that was accepted (return value BRIM_OK of the asynchronous call) is completed
 * exactly once: with BRIM_OK when the edge has it on its disk, or with the code for which the edge refused
 * it. It is sent again after each reconnect until then, so the edge may see a report twice, never not at all,
 * as long as the process lives.
 */
#ifndef BRIM_DRIVER_H
#define BRIM_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits; those in brim_driver_options may be lowered there. */
#define BRIM_REPORTS_MAX 4096u         /* reports held in memory until acknowledged */
#define BRIM_REPORT_BYTES_MAX 4194304u /* their bytes together */
#define BRIM_WINDOW_MAX 128u           /* reports sent and not yet acknowledged */
#define BRIM_PAYLOAD_BYTES_MAX                                                                               \
    262144u /* one report, and one message from the edge other than the configuration */
#define BRIM_CONFIG_BYTES_MAX 4194304u /* the configuration with all models */
#define BRIM_DEVICES_MAX 2000u

/* Results. Those of the edge keep the numbers of the edge gateway interface; brim_code_text() names them. */
enum brim_code {
    BRIM_OK = 0,
    BRIM_E_UNKNOWN = 100000,
    BRIM_E_PARAM = 100001, /* an argument that makes no sense: NaN, text that is not UTF-8, no identifier */
    BRIM_E_MEMORY = 100002,
    BRIM_E_TIMEOUT = 100006,     /* not acknowledged in time; the report stays queued and will be sent */
    BRIM_E_FULL = 100007,        /* the buffer here, or the edge's, is full; the report was not taken */
    BRIM_E_UNREACHABLE = 100008, /* the driver was closed before the edge acknowledged */
    BRIM_E_NO_DEVICE = 109000,   /* not configured for this driver */
    BRIM_E_OFFLINE = 109001,     /* the device is offline */
    BRIM_E_NO_PROPERTY = 109002,
    BRIM_E_READ_ONLY = 109003,
    BRIM_E_WRITE_ONLY = 109004,
    BRIM_E_NO_SERVICE = 109005,
    BRIM_E_SERVICE_PARAM = 109006,
    BRIM_E_JSON = 109007,
    BRIM_E_TYPE = 109008
};

const char* brim_code_text(int code);

/* One value. Make it with the functions below; identifier and text are borrowed for the call only. */
enum brim_kind { BRIM_KIND_INT, BRIM_KIND_DOUBLE, BRIM_KIND_TEXT, BRIM_KIND_JSON };

typedef struct {
    const char* identifier;
    enum brim_kind kind;
    int64_t whole;
    double real;
    const char* text;
    int64_t time_ms; /* Unix time of the sample; 0 = the moment of the report call */
} brim_value;

brim_value brim_int(const char* identifier, int64_t value); /* int, bool (0, 1), enum */
brim_value brim_double(const char* identifier, double value);
brim_value brim_text(const char* identifier, const char* utf8);
brim_value brim_json(const char* identifier, const char* json); /* struct, array: text that is JSON already */
brim_value brim_at(brim_value value, int64_t time_ms);
int64_t brim_now_ms(void);

typedef struct brim_driver brim_driver;
typedef struct brim_device brim_device;
typedef struct brim_request brim_request;

/* Everything is optional: a zeroed struct takes the environment that brim-edge gives to its children. */
typedef struct {
    const char* bus_path; /* BRIM_BUS */
    const char* token;    /* BRIM_BUS_TOKEN; may be absent for a broker without passwords */
    const char* name;     /* BRIM_DRIVER */
    /* The whole configuration as JSON, at start and on each change. The text is zero-terminated. */
    void (*on_config)(brim_driver* driver, const char* json, size_t length, void* user);
    /* The bus came or went. `reason` is one sentence for a log. */
    void (*on_connection)(brim_driver* driver, bool connected, const char* reason, void* user);
    void* user;
    uint32_t reports_max, report_bytes_max,
        window_max; /* 0 = the constants above, which are also the upper bounds */
    uint32_t backoff_min_ms,
        backoff_max_ms; /* 0 = 100 and 5000; full jitter between 0 and the current step */
    /* Open file that gets one line, "topic payload", for each report the edge has on its disk: for audits
     * that compare both ends. 0 = none. */
    int journal_fd;
} brim_driver_options;

/* Makes a driver; connects in brim_driver_run(). BRIM_E_PARAM without a path or name, or with a name that is
 * not 1 to 32 of [a-z0-9-]; BRIM_E_MEMORY. */
int brim_driver_open(const brim_driver_options* options, brim_driver** driver);

/* Serves the bus for at most `timeout_ms`, returning earlier after something happened; 0 = only what is due
 * now. */
void brim_driver_run(brim_driver* driver, int timeout_ms);
/* Makes a brim_driver_run() in progress return. Any thread, and signal handlers. */
void brim_driver_wake(brim_driver* driver);

/* Takes the devices offline, says goodbye and frees everything, devices included. Reports that were not
 * acknowledged are completed with BRIM_E_UNREACHABLE. */
void brim_driver_close(brim_driver* driver);

/* A device's callbacks; each may be NULL (then the request is answered with 109005, or 109003 for a set).
 * A request must be answered exactly once with brim_answer(), in the callback or later, within 10 s. */
typedef struct {
    /* `params` is the JSON object of the values to set. */
    void (*on_set)(brim_device* device, const char* params, brim_request* request, void* user);
    /* `identifiers` names the properties to read. */
    void (*on_get)(
        brim_device* device, const char* const* identifiers, size_t count, brim_request* request, void* user
    );
    void (*on_service)(
        brim_device* device, const char* service, const char* params, brim_request* request, void* user
    );
    /* The device is online now, or is not with the edge's code (109000: not configured for this driver). */
    void (*on_state)(brim_device* device, bool online, int code, void* user);
} brim_device_callbacks;

/* Adds a device and brings it online, now or as soon as the bus is there, and again after each reconnect.
 * BRIM_E_FULL above BRIM_DEVICES_MAX; BRIM_E_PARAM when it was added before. */
int brim_device_add(
    brim_driver* driver,
    const char* product_key,
    const char* device_name,
    const brim_device_callbacks* callbacks,
    void* user,
    brim_device** device
);
/* Offline: reports are refused with BRIM_E_OFFLINE; those already accepted are sent first. Online again: as
 * added. */
void brim_device_offline(brim_device* device);
void brim_device_online(brim_device* device);
/* Offline and gone. Its unacknowledged reports are completed with BRIM_E_NO_DEVICE. The handle is invalid
 * afterwards. */
void brim_device_remove(brim_device* device);
const char* brim_device_product_key(const brim_device* device);
const char* brim_device_name(const brim_device* device);

/* Completion of an asynchronous report, called once on the runner. */
typedef void (*brim_done)(int code, void* user);

/* Queues a report of properties (all of them in one message) or of an event. BRIM_E_OFFLINE, BRIM_E_PARAM,
 * BRIM_E_JSON, BRIM_E_FULL: not taken, `done` is not called. When the buffer is full the newest report is the
 * one refused: what was accepted is never dropped, and the caller learns at once that it is faster than the
 * edge. */
int brim_report_async(
    brim_device* device, const brim_value* values, size_t count, brim_done done, void* user
);
int brim_event_async(
    brim_device* device, const char* event, const brim_value* values, size_t count, brim_done done, void* user
);
/* The same, returning when the report is on the edge's disk (BRIM_OK), refused, or BRIM_E_TIMEOUT. On the
 * runner the call serves the bus meanwhile; inside of a callback it is refused with BRIM_E_PARAM. */
int brim_report(brim_device* device, const brim_value* values, size_t count, int timeout_ms);
int brim_event(
    brim_device* device, const char* event, const brim_value* values, size_t count, int timeout_ms
);

/* Answers a request and frees it. `code` is BRIM_OK or 200 for success, else 400, 460, 429 or 100000 and
 * above. When the bus is down the answer is dropped: the edge has stopped waiting. */
void brim_answer(brim_request* request, int code, const brim_value* values, size_t count);

/* accepted = acknowledged + refused + abandoned + queued at any time. */
typedef struct {
    uint64_t accepted;
    uint64_t acknowledged;
    uint64_t refused;   /* accepted here, refused by the edge */
    uint64_t abandoned; /* completed by removing the device or closing the driver */
    uint64_t queued;
    uint64_t queued_bytes;
    uint64_t turned_away; /* not accepted: the buffer was full */
    uint64_t resent;      /* sent again after a reconnect */
    uint64_t connects;
} brim_counts;

void brim_driver_counts(brim_driver* driver, brim_counts* counts);

#ifdef __cplusplus
}
#endif

#endif
