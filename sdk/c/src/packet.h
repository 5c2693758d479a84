/* The MQTT 5 packets a driver needs: bytes in and out, no socket. Integers are big-endian (MQTT 5
 * section 1.5). */
#ifndef BRIM_PACKET_H
#define BRIM_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing byte string. `failed` is set when memory ran out and stays; check once at the end. */
typedef struct {
    uint8_t* data;
    size_t size, capacity;
    bool failed;
} brim_bytes;

void brim_bytes_put(brim_bytes* bytes, const void* data, size_t size);
void brim_bytes_text(brim_bytes* bytes, const char* text);
void brim_bytes_drop_front(brim_bytes* bytes, size_t size);
void brim_bytes_free(brim_bytes* bytes);

enum packet_type {
    PACKET_CONNECT = 1,
    PACKET_CONNACK,
    PACKET_PUBLISH,
    PACKET_PUBACK,
    PACKET_SUBSCRIBE = 8,
    PACKET_SUBACK,
    PACKET_PINGREQ = 12,
    PACKET_PINGRESP,
    PACKET_DISCONNECT,
};

typedef struct {
    const char* text;
    size_t size;
} packet_view;

/* One received packet; views point into the buffer it was read from. */
typedef struct {
    enum packet_type type;
    uint8_t reason;       /* CONNACK, PUBACK, DISCONNECT; of SUBACK the worst one */
    uint16_t packet_id;   /* PUBACK, SUBACK, PUBLISH with QoS 1 */
    uint16_t receive_max; /* CONNACK; 65535 when not said */
    uint8_t qos;          /* PUBLISH */
    packet_view topic, payload;
} packet;

/* Reads one packet from the front of `data`. Returns its size, 0 when more bytes are needed, -1 when the
 * bytes are no packet that a broker may send, or longer than `size_max`. */
long packet_read(const uint8_t* data, size_t size, size_t size_max, packet* out);

/* Clean start, user name and password; `password` may be NULL. */
void packet_connect(
    brim_bytes* out, const char* client_id, const char* password, uint16_t keep_alive_s, uint32_t size_max
);
void packet_subscribe(brim_bytes* out, uint16_t packet_id, const char* const* filters, size_t count);
/* packet_id 0 = QoS 0. */
void packet_publish(brim_bytes* out, uint16_t packet_id, const char* topic, const void* payload, size_t size);
void packet_puback(brim_bytes* out, uint16_t packet_id);
void packet_ping(brim_bytes* out);
void packet_disconnect(brim_bytes* out);

#endif
