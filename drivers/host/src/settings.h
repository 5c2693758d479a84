/* What the host driver is told by the edge. */
#ifndef BRIM_HOST_SETTINGS_H
#define BRIM_HOST_SETTINGS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HOST_INTERVAL_MS_MIN 100
#define HOST_INTERVAL_MS_MAX 86400000

typedef struct {
    int interval_ms;                       /* between two reports; 1000 unless configured */
    char disk_path[256];                   /* the file system that DiskUsed and DiskTotal look at; "/" */
    char product_key[64], device_name[64]; /* the first device; empty when none is configured */
} host_settings;

/* Reads a driver configuration: config.json{} or config.kv[], overridden by the device's custom. False when
 * it is no JSON, or a value is outside of its limits: then `settings` holds what was configured so far or the
 * defaults. */
bool host_settings_read(const char* json, host_settings* settings);

#ifdef __cplusplus
}
#endif

#endif
