#include "packet.h"

#include <stdlib.h>
#include <string.h>

void brim_bytes_put(brim_bytes* bytes, const void* data, size_t size) {
    if (size > SIZE_MAX / 4 - bytes->size)
        bytes->failed = true;
    if (bytes->failed || size == 0)
        return;
    if (bytes->size + size > bytes->capacity) {
        const size_t capacity = (bytes->size + size) * 2;
        uint8_t* grown = realloc(bytes->data, capacity);
        if (grown == NULL) {
            bytes->failed = true;
            return;
        }
        bytes->data = grown;
        bytes->capacity = capacity;
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void brim_bytes_text(brim_bytes* bytes, const char* text) {
    brim_bytes_put(bytes, text, strlen(text));
}

void brim_bytes_drop_front(brim_bytes* bytes, size_t size) {
    memmove(bytes->data, bytes->data + size, bytes->size - size);
    bytes->size -= size;
}

void brim_bytes_free(brim_bytes* bytes) {
    free(bytes->data);
    *bytes = (brim_bytes){0};
}

static void put_u8(brim_bytes* out, unsigned value) {
    const uint8_t byte = (uint8_t)value;
    brim_bytes_put(out, &byte, 1);
}

static void put_u16(brim_bytes* out, unsigned value) {
    put_u8(out, value >> 8);
    put_u8(out, value & 0xff);
}

static void put_length(brim_bytes* out, size_t value) {
    do {
        const unsigned digit = (unsigned)(value & 0x7f);
        value >>= 7;
        put_u8(out, value > 0 ? digit | 0x80 : digit);
    } while (value > 0);
}

static void put_text(brim_bytes* out, const char* text) {
    const size_t size = strlen(text);
    put_u16(out, (unsigned)size);
    brim_bytes_put(out, text, size);
}

void packet_connect(
    brim_bytes* out, const char* client_id, const char* password, uint16_t keep_alive_s, uint32_t size_max
) {
    const size_t name = 2 + strlen(client_id);
    const size_t properties = 5; /* Maximum Packet Size */
    size_t length = 10 + 1 + properties + 2 * name;
    if (password != NULL)
        length += 2 + strlen(password);
    put_u8(out, PACKET_CONNECT << 4);
    put_length(out, length);
    put_text(out, "MQTT");
    put_u8(out, 5);
    put_u8(out, 0x02 | 0x80 | (password != NULL ? 0x40 : 0)); /* clean start, user name, password */
    put_u16(out, keep_alive_s);
    put_length(out, properties);
    put_u8(out, 0x27);
    put_u16(out, size_max >> 16);
    put_u16(out, size_max & 0xffff);
    put_text(out, client_id);
    put_text(out, client_id);
    if (password != NULL)
        put_text(out, password);
}

void packet_subscribe(brim_bytes* out, uint16_t packet_id, const char* const* filters, size_t count) {
    size_t length = 3;
    for (size_t i = 0; i < count; ++i)
        length += 3 + strlen(filters[i]);
    put_u8(out, PACKET_SUBSCRIBE << 4 | 0x02);
    put_length(out, length);
    put_u16(out, packet_id);
    put_length(out, 0);
    for (size_t i = 0; i < count; ++i) {
        put_text(out, filters[i]);
        put_u8(out, 0x01 | 0x04); /* QoS 1, no local: a driver's own messages do not come back */
    }
}

void packet_publish(
    brim_bytes* out, uint16_t packet_id, const char* topic, const void* payload, size_t size
) {
    put_u8(out, PACKET_PUBLISH << 4 | (packet_id != 0 ? 0x02 : 0));
    put_length(out, 2 + strlen(topic) + (packet_id != 0 ? 2 : 0) + 1 + size);
    put_text(out, topic);
    if (packet_id != 0)
        put_u16(out, packet_id);
    put_length(out, 0);
    brim_bytes_put(out, payload, size);
}

void packet_puback(brim_bytes* out, uint16_t packet_id) {
    put_u8(out, PACKET_PUBACK << 4);
    put_length(out, 2);
    put_u16(out, packet_id);
}

void packet_ping(brim_bytes* out) {
    brim_bytes_put(out, "\xc0\x00", 2);
}

void packet_disconnect(brim_bytes* out) {
    brim_bytes_put(out, "\xe0\x00", 2);
}

/* Reads fields in a straight line; the first one that is missing fails the reader, and all after it are zero.
 */
typedef struct {
    const uint8_t* data;
    size_t left;
    bool failed;
} reader;

static const uint8_t* take(reader* in, size_t size) {
    if (in->failed || size > in->left) {
        in->failed = true;
        return NULL;
    }
    const uint8_t* at = in->data;
    in->data += size;
    in->left -= size;
    return at;
}

static unsigned take_u8(reader* in) {
    const uint8_t* at = take(in, 1);
    return at == NULL ? 0 : at[0];
}

static unsigned take_u16(reader* in) {
    const uint8_t* at = take(in, 2);
    return at == NULL ? 0 : (unsigned)at[0] << 8 | at[1];
}

static size_t take_length(reader* in) {
    size_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        const unsigned digit = take_u8(in);
        value |= (size_t)(digit & 0x7f) << shift;
        if (!(digit & 0x80))
            return value;
    }
    in->failed = true;
    return 0;
}

static packet_view take_text(reader* in) {
    const size_t size = take_u16(in);
    const uint8_t* at = take(in, size);
    return (packet_view){(const char*)at, at == NULL ? 0 : size};
}

/* Skips a property's value by its type (MQTT 5 table 2-4); fails on an identifier that does not exist. */
static void skip_property(reader* in, size_t identifier) {
    switch (identifier) {
    case 0x01:
    case 0x17:
    case 0x19:
    case 0x24:
    case 0x25:
    case 0x28:
    case 0x29:
    case 0x2a:
        take(in, 1);
        break;
    case 0x13:
    case 0x21:
    case 0x22:
    case 0x23:
        take(in, 2);
        break;
    case 0x02:
    case 0x11:
    case 0x18:
    case 0x27:
        take(in, 4);
        break;
    case 0x0b:
        take_length(in);
        break;
    case 0x26: /* User Property: two texts */
        take_text(in);
        take_text(in);
        break;
    case 0x03:
    case 0x08:
    case 0x09:
    case 0x12:
    case 0x15:
    case 0x16:
    case 0x1a:
    case 0x1c:
    case 0x1f:
        take_text(in);
        break;
    default:
        in->failed = true;
    }
}

static void read_properties(reader* in, packet* out) {
    const size_t size = take_length(in);
    const uint8_t* at = take(in, size);
    reader inner = {at, at == NULL ? 0 : size, in->failed};
    while (!inner.failed && inner.left > 0) {
        const size_t identifier = take_length(&inner);
        if (identifier == 0x21) {
            out->receive_max = (uint16_t)take_u16(&inner);
            if (out->receive_max == 0)
                inner.failed = true;
        } else {
            skip_property(&inner, identifier);
        }
    }
    if (inner.failed)
        in->failed = true;
}

static void read_publish(reader* in, unsigned flags, packet* out) {
    out->qos = (flags >> 1) & 3;
    if (out->qos > 1)
        in->failed = true; /* the subscriptions ask for QoS 1 at most */
    out->topic = take_text(in);
    if (out->qos > 0) {
        out->packet_id = (uint16_t)take_u16(in);
        if (out->packet_id == 0)
            in->failed = true;
    }
    read_properties(in, out);
    out->payload = (packet_view){(const char*)in->data, in->left};
    in->left = 0;
}

static void read_body(reader* in, unsigned flags, packet* out) {
    switch (out->type) {
    case PACKET_CONNACK:
        take_u8(in);
        out->reason = (uint8_t)take_u8(in);
        read_properties(in, out);
        break;
    case PACKET_PUBLISH:
        read_publish(in, flags, out);
        break;
    case PACKET_PUBACK:
        out->packet_id = (uint16_t)take_u16(in);
        if (in->left > 0)
            out->reason = (uint8_t)take_u8(in);
        if (in->left > 0)
            read_properties(in, out);
        break;
    case PACKET_SUBACK:
        out->packet_id = (uint16_t)take_u16(in);
        read_properties(in, out);
        while (!in->failed && in->left > 0) {
            const unsigned reason = take_u8(in);
            if (reason > out->reason)
                out->reason = (uint8_t)reason;
        }
        break;
    case PACKET_DISCONNECT:
        if (in->left > 0)
            out->reason = (uint8_t)take_u8(in);
        if (in->left > 0)
            read_properties(in, out);
        break;
    case PACKET_PINGRESP:
        break;
    default:
        in->failed = true; /* what a client sends, or AUTH which was not asked for */
    }
    if (in->left > 0)
        in->failed = true;
}

long packet_read(const uint8_t* data, size_t size, size_t size_max, packet* out) {
    *out = (packet){.receive_max = 65535};
    if (size < 2)
        return 0;
    size_t length = 0;
    size_t head = 1;
    for (unsigned shift = 0;; shift += 7) {
        if (shift == 28)
            return -1;
        if (head == size)
            return 0;
        const unsigned digit = data[head++];
        length |= (size_t)(digit & 0x7f) << shift;
        if (!(digit & 0x80))
            break;
    }
    if (head + length > size_max)
        return -1;
    if (head + length > size)
        return 0;
    out->type = (enum packet_type)(data[0] >> 4);
    reader in = {data + head, length, false};
    read_body(&in, data[0] & 0x0f, out);
    return in.failed ? -1 : (long)(head + length);
}
