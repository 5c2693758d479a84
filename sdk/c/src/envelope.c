#include "envelope.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool envelope_identifier_fits(const char* text) {
    if (text == NULL)
        return false;
    size_t size = 0;
    for (; text[size] != '\0'; ++size) {
        const char c = text[size];
        const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          c == '_' || c == ':';
        if (!fits || size >= 101)
            return false;
    }
    return size > 0;
}

/* The size of the UTF-8 character at `at`, or 0 when it is none (overlong forms and surrogates included). */
static size_t utf8_size(const unsigned char* at) {
    if (at[0] < 0x80)
        return 1;
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < size; ++i) {
        if ((at[i] & 0xc0) != 0x80)
            return 0; /* also stops at the terminating zero */
    }
    if (at[0] == 0xe0 && at[1] < 0xa0)
        return 0;
    if (at[0] == 0xed && at[1] > 0x9f)
        return 0;
    if (at[0] == 0xf0 && at[1] < 0x90)
        return 0;
    if (at[0] == 0xf4 && at[1] > 0x8f)
        return 0;
    return size;
}

static int put_json_text(brim_bytes* out, const char* text) {
    brim_bytes_text(out, "\"");
    const unsigned char* at = (const unsigned char*)text;
    while (*at != 0) {
        const size_t size = utf8_size(at);
        if (size == 0)
            return BRIM_E_PARAM;
        if (*at == '"' || *at == '\\') {
            const char escaped[2] = {'\\', (char)*at};
            brim_bytes_put(out, escaped, 2);
        } else if (*at < 0x20) {
            char escaped[8];
            snprintf(escaped, sizeof escaped, "\\u%04x", *at);
            brim_bytes_text(out, escaped);
        } else {
            brim_bytes_put(out, at, size);
        }
        at += size;
    }
    brim_bytes_text(out, "\"");
    return BRIM_OK;
}

static void put_whole(brim_bytes* out, int64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    brim_bytes_text(out, text);
}

static int put_real(brim_bytes* out, double value) {
    if (!isfinite(value))
        return BRIM_E_PARAM;
    char text[32];
    for (int digits = 15; digits <= 17; ++digits) { /* the shortest that reads back as the same number */
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    char* comma = strchr(text, ','); /* a locale's decimal sign */
    if (comma != NULL)
        *comma = '.';
    brim_bytes_text(out, text);
    return BRIM_OK;
}

static int put_raw_json(brim_bytes* out, const char* text) {
    cJSON* parsed = cJSON_ParseWithOpts(text, NULL, 1);
    if (parsed == NULL)
        return BRIM_E_JSON;
    cJSON_Delete(parsed);
    brim_bytes_text(out, text);
    return BRIM_OK;
}

static int put_value(brim_bytes* out, const brim_value* value) {
    switch (value->kind) {
    case BRIM_KIND_INT:
        put_whole(out, value->whole);
        return BRIM_OK;
    case BRIM_KIND_DOUBLE:
        return put_real(out, value->real);
    case BRIM_KIND_TEXT:
        return value->text == NULL ? BRIM_E_PARAM : put_json_text(out, value->text);
    case BRIM_KIND_JSON:
        return value->text == NULL ? BRIM_E_PARAM : put_raw_json(out, value->text);
    }
    return BRIM_E_PARAM;
}

/* "identifier":value or, with a time, "identifier":{"value":value,"time":ms}, comma separated in braces. */
static int put_values(brim_bytes* out, const brim_value* values, size_t count, int64_t now_ms) {
    brim_bytes_text(out, "{");
    for (size_t i = 0; i < count; ++i) {
        if (!envelope_identifier_fits(values[i].identifier))
            return BRIM_E_PARAM;
        brim_bytes_text(out, i == 0 ? "\"" : ",\"");
        brim_bytes_text(out, values[i].identifier);
        brim_bytes_text(out, now_ms != 0 ? "\":{\"value\":" : "\":");
        const int code = put_value(out, &values[i]);
        if (code != BRIM_OK)
            return code;
        if (now_ms == 0)
            continue;
        brim_bytes_text(out, ",\"time\":");
        put_whole(out, values[i].time_ms != 0 ? values[i].time_ms : now_ms);
        brim_bytes_text(out, "}");
    }
    brim_bytes_text(out, "}");
    return BRIM_OK;
}

static void put_head(brim_bytes* out, uint64_t id) {
    char text[96];
    snprintf(
        text, sizeof text, "{\"id\":\"%" PRIu64 "\",\"version\":\"1.0\",\"sys\":{\"ack\":0},\"params\":", id
    );
    brim_bytes_text(out, text);
}

int envelope_properties(
    brim_bytes* out, uint64_t id, const brim_value* values, size_t count, int64_t now_ms
) {
    if (values == NULL || count == 0)
        return BRIM_E_PARAM;
    put_head(out, id);
    const int code = put_values(out, values, count, now_ms);
    brim_bytes_text(out, ",\"method\":\"thing.event.property.post\"}");
    return out->failed ? BRIM_E_MEMORY : code;
}

int envelope_event(
    brim_bytes* out, uint64_t id, const char* event, const brim_value* values, size_t count, int64_t now_ms
) {
    if (!envelope_identifier_fits(event) || (values == NULL && count > 0))
        return BRIM_E_PARAM;
    put_head(out, id);
    brim_bytes_text(out, "{\"value\":");
    const int code = put_values(out, values, count, 0);
    brim_bytes_text(out, ",\"time\":");
    put_whole(out, count > 0 && values[0].time_ms != 0 ? values[0].time_ms : now_ms);
    brim_bytes_text(out, "},\"method\":\"thing.event.");
    brim_bytes_text(out, event);
    brim_bytes_text(out, ".post\"}");
    return out->failed ? BRIM_E_MEMORY : code;
}

int envelope_answer(brim_bytes* out, const char* id_json, int code, const brim_value* values, size_t count) {
    brim_bytes_text(out, "{\"id\":");
    brim_bytes_text(out, id_json);
    brim_bytes_text(out, ",\"code\":");
    put_whole(out, code == BRIM_OK ? 200 : code);
    brim_bytes_text(out, ",\"data\":");
    const int result = put_values(out, values, values == NULL ? 0 : count, 0);
    if (code != BRIM_OK && code != 200) {
        brim_bytes_text(out, ",\"message\":");
        put_json_text(out, brim_code_text(code));
    }
    brim_bytes_text(out, "}");
    return out->failed ? BRIM_E_MEMORY : result;
}

int envelope_state(
    brim_bytes* out, uint64_t id, bool online, const char* product_key, const char* device_name
) {
    char text[96];
    snprintf(
        text,
        sizeof text,
        "{\"id\":%" PRIu64 ",\"action\":\"%s\",\"productKey\":",
        id,
        online ? "online" : "offline"
    );
    brim_bytes_text(out, text);
    int code = put_json_text(out, product_key);
    brim_bytes_text(out, ",\"deviceName\":");
    if (code == BRIM_OK)
        code = put_json_text(out, device_name);
    brim_bytes_text(out, "}");
    return out->failed ? BRIM_E_MEMORY : code;
}
