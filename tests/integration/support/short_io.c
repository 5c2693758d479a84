// Preloaded into a program under test: every third read or write of a file is interrupted, the others move a
// few bytes at a time, and opening a file below BRIM_SHORT_IO is interrupted now and then [F-07].
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_uint calls;

/// How many of `count` bytes to move this time; 0: be interrupted.
static size_t portion(size_t count) {
    const unsigned call = atomic_fetch_add(&calls, 1);
    if (call % 3 == 0)
        return 0;
    const size_t few = 1 + call % 61;
    return count < few ? count : few;
}

static ssize_t interrupted(void) {
    errno = EINTR;
    return -1;
}

ssize_t pread(int fd, void* out, size_t count, off_t offset) {
    static ssize_t (*real)(int, void*, size_t, off_t);
    if (!real)
        real = (ssize_t(*)(int, void*, size_t, off_t))dlsym(RTLD_NEXT, "pread");
    const size_t some = portion(count);
    return count != 0 && some == 0 ? interrupted() : real(fd, out, some, offset);
}

ssize_t pread64(int fd, void* out, size_t count, off64_t offset) {
    return pread(fd, out, count, offset);
}

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
    static ssize_t (*real)(int, const void*, size_t, off_t);
    if (!real)
        real = (ssize_t(*)(int, const void*, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    const size_t some = portion(count);
    return count != 0 && some == 0 ? interrupted() : real(fd, bytes, some, offset);
}

ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t offset) {
    return pwrite(fd, bytes, count, offset);
}

int open(const char* path, int flags, ...) {
    static int (*real)(const char*, int, ...);
    if (!real)
        real = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open");
    va_list more;
    va_start(more, flags);
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    const char* below = getenv("BRIM_SHORT_IO");
    if (below != NULL && strncmp(path, below, strlen(below)) == 0 && atomic_fetch_add(&calls, 1) % 4 == 0)
        return (int)interrupted();
    return real(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open(path, flags, mode);
}
