/*
 * The inside of a driver, shared by the .c files of this folder.
 *
 * Locking: `lock` guards everything marked (L): devices, reports, counters. The rest belongs to the runner
 * alone. The lock is never held while a callback runs, nor across a system call that may wait.
 */
#ifndef BRIM_INTERNAL_H
#define BRIM_INTERNAL_H

#include "brim/driver.h"
#include "packet.h"

#include <pthread.h>

#define NAME_BYTES_MAX 64
#define KEEP_ALIVE_S 30
#define CONNECT_MS_MAX 5000 /* from connect() to CONNACK */
#define ANSWER_MS_MAX 5000  /* from asking a device online to the edge's answer; then asked again */
#define CONTROL_MAX 8       /* device messages in flight; kept out of the report window */
#define CONTROL_ID_FIRST 60000
#define OUT_BYTES_SOFT_MAX 65536 /* more reports are encoded when less than this waits for the socket */

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_UP };

enum device_state {
    DEVICE_OFFLINE, /* not wanted */
    DEVICE_DUE,     /* wanted, to be asked for */
    DEVICE_ASKED,   /* waits for the edge's answer */
    DEVICE_ONLINE,
    DEVICE_REFUSED, /* the edge said no; asked again when the configuration changes */
};

struct brim_device {
    brim_driver* driver;
    brim_device* next; /* (L) */
    char product_key[NAME_BYTES_MAX], device_name[NAME_BYTES_MAX];
    brim_device_callbacks callbacks;
    void* user;
    bool wanted;             /* (L) */
    enum device_state state; /* (L) */
    uint64_t asked_id;       /* (L) */
    int64_t asked_deadline;  /* (L) */
    size_t reports;          /* (L) queued for it */
    bool leaving;            /* (L) an offline message is due once its reports are acknowledged */
};

/* A report from acceptance to completion; topic and payload lie behind it in one block. */
typedef struct report {
    struct report *next, *previous; /* (L) */
    brim_device* device;
    brim_done done;
    void* user;
    uint16_t packet_id; /* (L) 0 = not in flight */
    bool sent_before;   /* (L) */
    int code;
    size_t topic_size, payload_size;
    char data[]; /* topic with its zero, then payload */
} report;

typedef struct {
    report *first, *last;
} report_list;

struct brim_driver {
    int journal_fd; /* 0 = none */
    char *bus_path, *token;
    char name[NAME_BYTES_MAX];
    brim_driver_options options;
    pthread_mutex_t lock;
    pthread_cond_t completed; /* signalled after completions, for blocking calls off the runner */
    int wake_fd;

    /* the runner's */
    pthread_t runner; /* (L) */
    int callback_depth;
    enum link_state link;
    int fd;
    brim_bytes in, out;
    int64_t link_deadline, retry_at, last_sent, last_received;
    unsigned failures;
    uint64_t random;
    uint16_t control_id;
    unsigned control_in_flight;

    /* (L) */
    brim_device* devices;
    size_t device_count;
    report_list waiting, in_flight, finished; /* finished: completed, callback due */
    brim_bytes answers;                       /* encoded, to be sent by the runner */
    report* by_packet_id[BRIM_WINDOW_MAX + 1];
    uint32_t in_flight_count, window;
    uint64_t next_id;
    brim_counts counts;
};

int64_t mono_ms(void);

/* link.c */
void link_start(brim_driver* driver);                 /* when the retry is due */
void link_serve(brim_driver* driver, int timeout_ms); /* poll, read, write, keep alive */
void link_fail(brim_driver* driver, const char* reason);
void link_flush(brim_driver* driver);

/* session.c */
bool session_receive(brim_driver* driver, const packet* in); /* false: the connection is to be dropped */
void session_lost(brim_driver* driver);
void session_send(brim_driver* driver);   /* device messages and reports that may go now */
int session_wait_ms(brim_driver* driver); /* until the next deadline, -1 = none */

/* report.c */
void report_send(brim_driver* driver);
void report_acknowledged(brim_driver* driver, uint16_t packet_id, uint8_t reason);
void report_return_in_flight(brim_driver* driver); /* the connection is gone: send again, in order */
void report_finish_device(
    brim_driver* driver, brim_device* device, int code, bool refused
); /* (L) held by the caller */
void report_finish_all(brim_driver* driver, int code);
void report_call_back(brim_driver* driver);

#endif
