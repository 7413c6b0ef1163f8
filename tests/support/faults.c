/* Makes system calls on the log of a server fail or hang, while the server runs. Loaded with
 * LD_PRELOAD. For each of write, ftruncate and fdatasync on a file whose name contains
 * "server_logs", files in the folder FAULTS decide:
 *
 *   hang-CALL   the call does not return while this file exists
 *   fail-CALL   the call fails; the file holds the number of the error
 *   short-CALL  a write takes only so many bytes as the file holds as a number
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_log(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "server_logs") != NULL;
}

static void control(char *path, size_t size, const char *kind, const char *call) {
    const char *folder = getenv("FAULTS");
    snprintf(path, size, "%s/%s-%s", folder ? folder : "/nonexistent", kind, call);
}

/* The number in a control file, or -1 where there is none. */
static long number(const char *kind, const char *call) {
    char path[4096];
    long found = -1;
    control(path, sizeof path, kind, call);
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    if (fscanf(file, "%ld", &found) != 1) found = -1;
    fclose(file);
    return found;
}

/* Hangs as long as asked for; true if the call is to fail. */
static int fails(const char *call) {
    char path[4096];
    struct timespec moment = {0, 5000000};
    control(path, sizeof path, "hang", call);
    while (access(path, F_OK) == 0) nanosleep(&moment, NULL);
    long error = number("fail", call);
    if (error > 0) errno = (int)error;
    return error > 0;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (is_log(fd)) {
        if (fails("write")) return -1;
        long most = number("short", "write");
        if (most > 0 && (size_t)most < count) count = (size_t)most;
    }
    return real(fd, bytes, count);
}

int ftruncate64(int fd, off64_t length) {
    static int (*real)(int, off64_t);
    if (!real) real = (int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64");
    return is_log(fd) && fails("ftruncate") ? -1 : real(fd, length);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return is_log(fd) && fails("fdatasync") ? -1 : real(fd);
}
