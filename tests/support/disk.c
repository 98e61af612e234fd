/* Loaded before a program: what it writes under the folder that COHORTD_TEST_DISK names fails with EIO, as on a device that
 * is dying, while the file beside it, named after it with ".fails", begins with a 'w'; with an 'r' reading fails too. Files
 * can still be opened and made: a name in the cache of the operating system needs no device.
 *
 * No call here allocates: the first ones come before the program's own allocator is ready. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static volatile char *fails;
static char folder[PATH_MAX];
static size_t length;

__attribute__((constructor)) static void open_flag(void) {
    const char *path = getenv("COHORTD_TEST_DISK");
    if (!path || strlen(path) > PATH_MAX - 8) return;
    char flag[PATH_MAX];
    strcpy(flag, path);
    strcat(flag, ".fails");
    int file = (int)syscall(SYS_openat, AT_FDCWD, flag, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, 1, PROT_READ, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
    if (mapped == MAP_FAILED) return;
    strcpy(folder, path);
    length = strlen(folder);
    fails = mapped;
}

static int is_there(int file) {
    char link[32] = "/proc/self/fd/", name[PATH_MAX], digits[12];
    int count = 0, number = file;
    do digits[count++] = (char)('0' + number % 10); while ((number /= 10) > 0);
    char *end = link + strlen(link);
    while (count > 0) *end++ = digits[--count];
    *end = 0;
    long read = syscall(SYS_readlinkat, AT_FDCWD, link, name, sizeof name);
    return read > (long)length && memcmp(name, folder, length) == 0 && name[length] == '/';
}

static int write_fails(int file) { return fails && (*fails == 'w' || *fails == 'r') && file >= 0 && is_there(file); }
static int read_fails(int file) { return fails && *fails == 'r' && file >= 0 && is_there(file); }
static int broken(void) { errno = EIO; return -1; }

ssize_t write(int file, const void *bytes, size_t count) {
    return write_fails(file) ? broken() : syscall(SYS_write, file, bytes, count);
}
ssize_t writev(int file, const struct iovec *parts, int count) {
    return write_fails(file) ? broken() : syscall(SYS_writev, file, parts, count);
}
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    return write_fails(file) ? broken() : syscall(SYS_pwrite64, file, bytes, count, at);
}
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    return write_fails(file) ? broken() : syscall(SYS_pwrite64, file, bytes, count, at);
}
int fsync(int file) { return write_fails(file) ? broken() : (int)syscall(SYS_fsync, file); }
int fdatasync(int file) { return write_fails(file) ? broken() : (int)syscall(SYS_fdatasync, file); }
int sync_file_range(int file, off64_t from, off64_t count, unsigned int flags) {
    return write_fails(file) ? broken() : (int)syscall(SYS_sync_file_range, file, from, count, flags);
}
int ftruncate(int file, off_t to) { return write_fails(file) ? broken() : (int)syscall(SYS_ftruncate, file, to); }
int ftruncate64(int file, off64_t to) { return write_fails(file) ? broken() : (int)syscall(SYS_ftruncate, file, to); }
ssize_t read(int file, void *bytes, size_t count) {
    return read_fails(file) ? broken() : syscall(SYS_read, file, bytes, count);
}
ssize_t pread(int file, void *bytes, size_t count, off_t at) {
    return read_fails(file) ? broken() : syscall(SYS_pread64, file, bytes, count, at);
}
ssize_t pread64(int file, void *bytes, size_t count, off64_t at) {
    return read_fails(file) ? broken() : syscall(SYS_pread64, file, bytes, count, at);
}
