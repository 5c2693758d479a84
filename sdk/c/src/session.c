#include "envelope.h"
#include "internal.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct brim_request {
    brim_driver* driver;
    char* topic; /* of the answer */
    char* id;    /* as JSON */
};

static const char device_reply[] = "/device_reply";
static const char config[] = "/config";

static uint16_t next_control_id(brim_driver* driver) {
    driver->control_id = driver->control_id < CONTROL_ID_FIRST || driver->control_id == 65535
                             ? CONTROL_ID_FIRST
                             : driver->control_id + 1;
    return driver->control_id;
}

static void subscribe(brim_driver* driver) {
    char own_config[128], own_reply[128];
    snprintf(own_config, sizeof own_config, "bus/driver/%s%s", driver->name, config);
    snprintf(own_reply, sizeof own_reply, "bus/driver/%s%s", driver->name, device_reply);
    /* The answers first: the configuration, once it is here, starts questions. */
    const char* const filters[] = {own_reply, "/sys/+/+/thing/service/#", own_config};
    packet_subscribe(&driver->out, next_control_id(driver), filters, 3);
}

static bool connected(brim_driver* driver, const packet* in) {
    if (driver->link != LINK_CONNECTING)
        return false;
    if (in->reason != 0) {
        char reason[96];
        snprintf(reason, sizeof reason, "the edge refused the connection with reason 0x%02x", in->reason);
        link_fail(driver, reason);
        return false;
    }
    driver->link = LINK_UP;
    driver->failures = 0;
    driver->control_in_flight = 0;
    pthread_mutex_lock(&driver->lock);
    driver->counts.connects++;
    /* The edge's window also holds the device messages. */
    const uint32_t room = in->receive_max > CONTROL_MAX * 2 ? in->receive_max - CONTROL_MAX : 1;
    driver->window = room < driver->options.window_max ? room : driver->options.window_max;
    for (brim_device* device = driver->devices; device != NULL; device = device->next) {
        device->state = device->wanted ? DEVICE_DUE : DEVICE_OFFLINE;
        device->leaving = false;
    }
    pthread_mutex_unlock(&driver->lock);
    subscribe(driver);
    if (driver->options.on_connection != NULL) {
        driver->callback_depth++;
        driver->options.on_connection(driver, true, "connected to the edge", driver->options.user);
        driver->callback_depth--;
    }
    return true;
}

void session_lost(brim_driver* driver) {
    report_return_in_flight(driver);
    pthread_mutex_lock(&driver->lock);
    for (brim_device* device = driver->devices; device != NULL; device = device->next) {
        device->state = device->wanted ? DEVICE_DUE : DEVICE_OFFLINE;
        device->leaving = false;
        if (!device->wanted)
            report_finish_device(driver, device, BRIM_E_OFFLINE, true);
    }
    pthread_mutex_unlock(&driver->lock);
}

static char* copy_view(packet_view view) {
    char* text = malloc(view.size + 1);
    if (text == NULL)
        return NULL;
    if (view.size > 0)
        memcpy(text, view.text, view.size);
    text[view.size] = '\0';
    return text;
}

static void call_on_state(brim_device* device, bool online, int code) {
    if (device->callbacks.on_state == NULL)
        return;
    device->driver->callback_depth++;
    device->callbacks.on_state(device, online, code, device->user);
    device->driver->callback_depth--;
}

static void device_answered(brim_driver* driver, const char* payload) {
    cJSON* answer = cJSON_Parse(payload);
    const cJSON* id = cJSON_GetObjectItemCaseSensitive(answer, "id");
    const cJSON* code = cJSON_GetObjectItemCaseSensitive(answer, "code");
    brim_device* found = NULL;
    int result = BRIM_E_UNKNOWN;
    if (cJSON_IsNumber(id) && cJSON_IsNumber(code)) {
        result = code->valueint == 200 ? 0 : code->valueint;
        pthread_mutex_lock(&driver->lock);
        for (brim_device* device = driver->devices; device != NULL; device = device->next) {
            if (device->state == DEVICE_ASKED && (double)device->asked_id == id->valuedouble)
                found = device;
        }
        if (found != NULL)
            found->state = result == 0 ? DEVICE_ONLINE : DEVICE_REFUSED;
        if (found != NULL && result != 0)
            report_finish_device(driver, found, result, true);
        pthread_mutex_unlock(&driver->lock);
    }
    cJSON_Delete(answer);
    if (found != NULL)
        call_on_state(found, result == 0, result);
}

static void config_came(brim_driver* driver, const char* payload, size_t size) {
    pthread_mutex_lock(&driver->lock);
    for (brim_device* device = driver->devices; device != NULL; device = device->next) {
        if (device->state == DEVICE_REFUSED)
            device->state = DEVICE_DUE; /* it may be configured now */
    }
    pthread_mutex_unlock(&driver->lock);
    if (driver->options.on_config == NULL)
        return;
    driver->callback_depth++;
    driver->options.on_config(driver, payload, size, driver->options.user);
    driver->callback_depth--;
}

/* "/sys/{pk}/{dn}/thing/service/{rest}": finds the device, returns the rest. */
static const char* find_device(brim_driver* driver, const char* topic, brim_device** device) {
    char product_key[NAME_BYTES_MAX], device_name[NAME_BYTES_MAX];
    int used = 0;
    if (sscanf(topic, "/sys/%63[^/]/%63[^/]/thing/service/%n", product_key, device_name, &used) != 2 ||
        used == 0)
        return NULL;
    pthread_mutex_lock(&driver->lock);
    for (*device = driver->devices; *device != NULL; *device = (*device)->next) {
        if (strcmp((*device)->product_key, product_key) == 0 &&
            strcmp((*device)->device_name, device_name) == 0)
            break;
    }
    pthread_mutex_unlock(&driver->lock);
    return *device == NULL ? NULL : topic + used;
}

static void call_get(brim_device* device, const cJSON* params, brim_request* request) {
    const size_t count = (size_t)cJSON_GetArraySize(params);
    const char** identifiers = calloc(count + 1, sizeof *identifiers);
    size_t used = 0;
    const cJSON* item;
    if (identifiers != NULL) {
        cJSON_ArrayForEach(item, params) {
            if (cJSON_IsString(item))
                identifiers[used++] = item->valuestring;
        }
    }
    if (identifiers == NULL || used != count || !cJSON_IsArray(params))
        brim_answer(request, 460, NULL, 0);
    else
        device->callbacks.on_get(device, identifiers, used, request, device->user);
    free(identifiers);
}

static void call_request(brim_device* device, const char* what, const cJSON* params, brim_request* request) {
    const bool set = strcmp(what, "property/set") == 0;
    if (strcmp(what, "property/get") == 0) {
        if (device->callbacks.on_get != NULL)
            call_get(device, params, request);
        else
            brim_answer(request, BRIM_E_NO_SERVICE, NULL, 0);
        return;
    }
    if (set && device->callbacks.on_set == NULL) {
        brim_answer(request, BRIM_E_READ_ONLY, NULL, 0);
        return;
    }
    if (!set && (device->callbacks.on_service == NULL || strchr(what, '/') != NULL)) {
        brim_answer(request, BRIM_E_NO_SERVICE, NULL, 0);
        return;
    }
    char* text = cJSON_IsObject(params) ? cJSON_PrintUnformatted(params) : strdup("{}");
    if (text == NULL)
        brim_answer(request, BRIM_E_MEMORY, NULL, 0);
    else if (set)
        device->callbacks.on_set(device, text, request, device->user);
    else
        device->callbacks.on_service(device, what, text, request, device->user);
    free(text);
}

static void request_came(brim_driver* driver, const char* topic, const char* payload) {
    brim_device* device = NULL;
    const char* what = find_device(driver, topic, &device);
    const size_t size = strlen(topic);
    if (what == NULL || (size > 6 && strcmp(topic + size - 6, "_reply") == 0))
        return; /* somebody's answer */
    cJSON* envelope = cJSON_Parse(payload);
    const cJSON* id = cJSON_GetObjectItemCaseSensitive(envelope, "id");
    brim_request* request = calloc(1, sizeof *request);
    if (request != NULL) {
        request->driver = driver;
        request->id = cJSON_IsString(id) || cJSON_IsNumber(id) ? cJSON_PrintUnformatted(id) : strdup("\"\"");
        request->topic = malloc(size + 7);
    }
    if (request == NULL || request->id == NULL || request->topic == NULL) {
        if (request != NULL) {
            free(request->id);
            free(request->topic);
        }
        free(request);
    } else {
        memcpy(request->topic, topic, size);
        memcpy(request->topic + size, "_reply", 7);
        driver->callback_depth++;
        if (envelope == NULL)
            brim_answer(request, BRIM_E_JSON, NULL, 0);
        else
            call_request(device, what, cJSON_GetObjectItemCaseSensitive(envelope, "params"), request);
        driver->callback_depth--;
    }
    cJSON_Delete(envelope);
}

void brim_answer(brim_request* request, int code, const brim_value* values, size_t count) {
    brim_driver* driver = request->driver;
    brim_bytes payload = {0};
    int built = envelope_answer(&payload, request->id, code, values, count);
    if (built != BRIM_OK &&
        built != BRIM_E_MEMORY) { /* the values make no sense: say so rather than nothing */
        payload.size = 0;
        built = envelope_answer(&payload, request->id, built, NULL, 0);
    }
    pthread_mutex_lock(&driver->lock);
    /* QoS 0: on a unix socket it arrives, or the connection and the edge's patience are both gone. */
    if (built == BRIM_OK)
        packet_publish(&driver->answers, 0, request->topic, payload.data, payload.size);
    pthread_mutex_unlock(&driver->lock);
    brim_driver_wake(driver);
    brim_bytes_free(&payload);
    free(request->topic);
    free(request->id);
    free(request);
}

static bool published(brim_driver* driver, const packet* in) {
    char* topic = copy_view(in->topic);
    char* payload = copy_view(in->payload);
    const bool ok = topic != NULL && payload != NULL;
    if (ok) {
        if (in->packet_id != 0)
            packet_puback(&driver->out, in->packet_id);
        const size_t size = strlen(topic);
        const size_t prefix = strlen("bus/driver/") + strlen(driver->name);
        if (strncmp(topic, "/sys/", 5) == 0) {
            if (in->payload.size <= BRIM_PAYLOAD_BYTES_MAX)
                request_came(driver, topic, payload);
        } else if (size > prefix && strcmp(topic + prefix, device_reply) == 0) {
            device_answered(driver, payload);
        } else if (size > prefix && strcmp(topic + prefix, config) == 0) {
            config_came(driver, payload, in->payload.size);
        }
    }
    free(topic);
    free(payload);
    return ok;
}

bool session_receive(brim_driver* driver, const packet* in) {
    if (driver->link != LINK_UP && in->type != PACKET_CONNACK)
        return false;
    switch (in->type) {
    case PACKET_CONNACK:
        return connected(driver, in);
    case PACKET_SUBACK:
        return in->reason < 0x80; /* without its answers a driver cannot work: connect again, later */
    case PACKET_PUBACK:
        if (in->packet_id >= CONTROL_ID_FIRST && driver->control_in_flight > 0)
            driver->control_in_flight--;
        report_acknowledged(driver, in->packet_id, in->reason);
        return true;
    case PACKET_PUBLISH:
        return published(driver, in);
    case PACKET_PINGRESP:
        return true;
    case PACKET_DISCONNECT: {
        char reason[96];
        snprintf(reason, sizeof reason, "the edge ended the connection with reason 0x%02x", in->reason);
        link_fail(driver, reason);
        return false;
    }
    default:
        return false;
    }
}

static void publish_state(brim_driver* driver, brim_device* device, bool online) {
    char topic[128];
    snprintf(topic, sizeof topic, "bus/driver/%s/device", driver->name);
    brim_bytes payload = {0};
    device->asked_id = driver->next_id++;
    device->asked_deadline = mono_ms() + ANSWER_MS_MAX;
    if (envelope_state(&payload, device->asked_id, online, device->product_key, device->device_name) ==
        BRIM_OK) {
        packet_publish(&driver->out, next_control_id(driver), topic, payload.data, payload.size);
        driver->control_in_flight++;
    }
    brim_bytes_free(&payload);
}

/* Device messages, as many as the window for them allows. */
static void send_states(brim_driver* driver) {
    const int64_t now = mono_ms();
    pthread_mutex_lock(&driver->lock);
    for (brim_device* device = driver->devices; device != NULL && driver->control_in_flight < CONTROL_MAX;
         device = device->next) {
        const bool overdue = device->state == DEVICE_ASKED && now >= device->asked_deadline;
        if (device->state == DEVICE_DUE || overdue) {
            publish_state(driver, device, true);
            device->state = DEVICE_ASKED;
        } else if (device->leaving && device->reports == 0) {
            publish_state(driver, device, false);
            device->leaving = false;
            device->state = DEVICE_OFFLINE;
        }
    }
    pthread_mutex_unlock(&driver->lock);
}

void session_send(brim_driver* driver) {
    pthread_mutex_lock(&driver->lock);
    if (driver->link == LINK_UP && driver->answers.size > 0) {
        brim_bytes_put(&driver->out, driver->answers.data, driver->answers.size);
    }
    driver->answers.size = 0;
    driver->answers.failed = false;
    pthread_mutex_unlock(&driver->lock);
    if (driver->link != LINK_UP)
        return;
    send_states(driver);
    report_send(driver);
}

int session_wait_ms(brim_driver* driver) {
    const int64_t now = mono_ms();
    int64_t wait = -1;
    pthread_mutex_lock(&driver->lock);
    for (const brim_device* device = driver->devices; device != NULL; device = device->next) {
        if (device->state != DEVICE_ASKED)
            continue;
        const int64_t left = device->asked_deadline > now ? device->asked_deadline - now : 1;
        if (wait < 0 || left < wait)
            wait = left;
    }
    pthread_mutex_unlock(&driver->lock);
    return (int)wait;
}
