/* The JSON texts a driver sends. Each returns BRIM_OK, BRIM_E_PARAM, BRIM_E_JSON or BRIM_E_MEMORY. */
#ifndef BRIM_ENVELOPE_H
#define BRIM_ENVELOPE_H

#include "brim/driver.h"
#include "packet.h"

/* Values without a time of their own get `now_ms`. */
int envelope_properties(brim_bytes* out, uint64_t id, const brim_value* values, size_t count, int64_t now_ms);
int envelope_event(
    brim_bytes* out, uint64_t id, const char* event, const brim_value* values, size_t count, int64_t now_ms
);
/* `id_json` is the request's id as JSON. */
int envelope_answer(brim_bytes* out, const char* id_json, int code, const brim_value* values, size_t count);
int envelope_state(
    brim_bytes* out, uint64_t id, bool online, const char* product_key, const char* device_name
);

bool envelope_identifier_fits(const char* text
); /* 1 to 50 of letters, digits, '_'; ':' parts a module from its member */

#endif
