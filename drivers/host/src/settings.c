#include "settings.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static bool take_interval(host_settings* settings, double value) {
    if (!(value >= HOST_INTERVAL_MS_MIN && value <= HOST_INTERVAL_MS_MAX))
        return false;
    settings->interval_ms = (int)value;
    return true;
}

static bool take_text(char* to, size_t size, const cJSON* from) {
    if (!cJSON_IsString(from) || strlen(from->valuestring) >= size)
        return false;
    strcpy(to, from->valuestring);
    return true;
}

static bool take_object(host_settings* settings, const cJSON* object) {
    const cJSON* interval = cJSON_GetObjectItemCaseSensitive(object, "intervalMs");
    const cJSON* path = cJSON_GetObjectItemCaseSensitive(object, "diskPath");
    bool ok = true;
    if (interval != NULL)
        ok = cJSON_IsNumber(interval) && take_interval(settings, interval->valuedouble);
    if (path != NULL)
        ok = take_text(settings->disk_path, sizeof settings->disk_path, path) && ok;
    return ok;
}

static bool take_pairs(host_settings* settings, const cJSON* pairs) {
    bool ok = true;
    const cJSON* pair;
    cJSON_ArrayForEach(pair, pairs) {
        const cJSON* key = cJSON_GetObjectItemCaseSensitive(pair, "key");
        const cJSON* value = cJSON_GetObjectItemCaseSensitive(pair, "value");
        if (!cJSON_IsString(key) || !cJSON_IsString(value))
            continue;
        if (strcmp(key->valuestring, "intervalMs") == 0) {
            ok = take_interval(settings, strtod(value->valuestring, NULL)) && ok;
        } else if (strcmp(key->valuestring, "diskPath") == 0) {
            ok = take_text(settings->disk_path, sizeof settings->disk_path, value) && ok;
        }
    }
    return ok;
}

bool host_settings_read(const char* json, host_settings* settings) {
    *settings = (host_settings){.interval_ms = 1000, .disk_path = "/"};
    cJSON* root = cJSON_Parse(json);
    if (root == NULL)
        return false;
    const cJSON* config = cJSON_GetObjectItemCaseSensitive(root, "config");
    const cJSON* device = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(root, "deviceList"), 0);
    bool ok = take_object(settings, cJSON_GetObjectItemCaseSensitive(config, "json"));
    ok = take_pairs(settings, cJSON_GetObjectItemCaseSensitive(config, "kv")) && ok;
    if (device != NULL) {
        const cJSON* custom = cJSON_GetObjectItemCaseSensitive(device, "custom");
        cJSON* parsed = cJSON_IsString(custom) ? cJSON_Parse(custom->valuestring) : NULL;
        ok = take_object(settings, parsed != NULL ? parsed : custom) && ok;
        cJSON_Delete(parsed);
        const cJSON* key = cJSON_GetObjectItemCaseSensitive(device, "productKey");
        const cJSON* name = cJSON_GetObjectItemCaseSensitive(device, "deviceName");
        ok = take_text(settings->product_key, sizeof settings->product_key, key) && ok;
        ok = take_text(settings->device_name, sizeof settings->device_name, name) && ok;
    }
    cJSON_Delete(root);
    return ok;
}
