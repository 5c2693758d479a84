// Preloaded into a program under test: while the file named by BRIM_SLOW_SYNC exists, no fdatasync comes
// back, for half a minute at most: a disk that hangs [F-95].
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char* hangs = getenv("BRIM_SLOW_SYNC");
    for (int tenths = 0; hangs != NULL && tenths < 300 && access(hangs, F_OK) == 0; ++tenths)
        usleep(100000);
    return real(fd);
}
