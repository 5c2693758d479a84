/* Reads the text files of /proc. Pure: text in, numbers out; false when the text is not what Linux writes. */
#ifndef BRIM_HOST_PROC_H
#define BRIM_HOST_PROC_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

bool proc_load(const char* text, double load[3]); /* /proc/loadavg */
bool proc_cpu(
    const char* text, uint64_t* busy, uint64_t* all
); /* /proc/stat: ticks since boot, all processors */
/* /proc/meminfo, bytes; used = MemTotal - MemAvailable. */
bool proc_memory(const char* text, double* used, double* total);
/* /proc/net/dev: bytes of all interfaces but the loopback. */
bool proc_network(const char* text, double* received, double* sent);
bool proc_uptime(const char* text, double* seconds); /* /proc/uptime */

/* Percent between two readings of proc_cpu; 0 when no tick passed or the counters went back. */
double proc_cpu_percent(uint64_t busy_before, uint64_t all_before, uint64_t busy, uint64_t all);

#ifdef __cplusplus
}
#endif

#endif
