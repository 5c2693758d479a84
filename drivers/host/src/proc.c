#include "proc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool proc_load(const char* text, double load[3]) {
    return sscanf(text, "%lf %lf %lf", &load[0], &load[1], &load[2]) == 3 && load[0] >= 0;
}

bool proc_cpu(const char* text, uint64_t* busy, uint64_t* all) {
    uint64_t field[8] = {0
    }; /* user nice system idle iowait irq softirq steal; guest time is inside of user */
    const int count = sscanf(
        text,
        "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
        &field[0],
        &field[1],
        &field[2],
        &field[3],
        &field[4],
        &field[5],
        &field[6],
        &field[7]
    );
    if (count < 4)
        return false;
    *all = 0;
    for (int i = 0; i < 8; ++i)
        *all += field[i];
    *busy = *all - field[3] - field[4];
    return true;
}

double proc_cpu_percent(uint64_t busy_before, uint64_t all_before, uint64_t busy, uint64_t all) {
    if (all <= all_before || busy < busy_before)
        return 0; /* iowait may shrink by a tick */
    const double percent = 100.0 * (double)(busy - busy_before) / (double)(all - all_before);
    return percent > 100 ? 100 : percent;
}

/* The value of "Name:   123 kB" in bytes. */
static bool memory_line(const char* text, const char* name, double* bytes) {
    const size_t size = strlen(name);
    for (const char* line = text; line != NULL; line = strchr(line, '\n')) {
        if (*line == '\n')
            ++line;
        uint64_t kib;
        if (strncmp(line, name, size) == 0 && sscanf(line + size, ": %" SCNu64 " kB", &kib) == 1) {
            *bytes = (double)kib * 1024;
            return true;
        }
    }
    return false;
}

bool proc_memory(const char* text, double* used, double* total) {
    double available;
    if (!memory_line(text, "MemTotal", total) || !memory_line(text, "MemAvailable", &available))
        return false;
    *used = *total - available;
    return *used >= 0;
}

bool proc_network(const char* text, double* received, double* sent) {
    *received = *sent = 0;
    bool any_line = false;
    for (const char* line = strchr(text, '\n'); line != NULL; line = strchr(line + 1, '\n')) {
        char name[64];
        uint64_t in, out;
        const int count =
            sscanf(line + 1, " %63[^: ]: %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, name, &in, &out);
        if (count != 3)
            continue; /* the second line of the heading, and the end */
        any_line = true;
        if (strcmp(name, "lo") == 0)
            continue;
        *received += (double)in;
        *sent += (double)out;
    }
    return any_line;
}

bool proc_uptime(const char* text, double* seconds) {
    return sscanf(text, "%lf", seconds) == 1 && *seconds >= 0;
}
