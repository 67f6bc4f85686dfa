// What only a program's own definitions of libc's functions can do: count allocations, and make a disk slow.
#define _GNU_SOURCE
#include "benchmark.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static atomic_bool counting;
static _Atomic uint64_t allocations;

static inline void count(void) {
    if (atomic_load_explicit(&counting, memory_order_relaxed))
        atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
}

uint64_t benchmark_allocations(void) {
    atomic_store(&counting, true);
    return atomic_load(&allocations);
}

uint64_t benchmark_allocated_bytes(void) {
    struct mallinfo2 all = mallinfo2();
    return all.uordblks + all.hblkhd;
}

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size) {
    count();
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    count();
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : 12; // ENOMEM
}

// The disk: one at a time, each write for as long as its bytes take.

static _Atomic uint64_t disk_speed;
static _Atomic uint64_t slow_bytes;
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

void benchmark_slow_disk(uint64_t bytes_per_second, uint64_t bytes) {
    atomic_store(&disk_speed, bytes_per_second);
    atomic_store(&slow_bytes, bytes);
}

static void wait_for_disk(int file, ssize_t bytes) {
    if (bytes <= 0 || atomic_load_explicit(&slow_bytes, memory_order_relaxed) == 0) return;
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return;
    pthread_mutex_lock(&disk);
    uint64_t left = atomic_load(&slow_bytes);
    uint64_t slow = (uint64_t)bytes < left ? (uint64_t)bytes : left;
    uint64_t nanoseconds = slow * 1000000000 / atomic_load(&disk_speed);
    struct timespec time = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    while (nanosleep(&time, &time) != 0) {}
    atomic_store(&slow_bytes, left - slow);
    pthread_mutex_unlock(&disk);
}

ssize_t write(int file, const void *bytes, size_t size) {
    ssize_t written = syscall(SYS_write, file, bytes, size);
    wait_for_disk(file, written);
    return written;
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) {
    ssize_t written = syscall(SYS_pwrite64, file, bytes, size, offset);
    wait_for_disk(file, written);
    return written;
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset) { return pwrite(file, bytes, size, offset); }

ssize_t writev(int file, const struct iovec *parts, int count) {
    ssize_t written = syscall(SYS_writev, file, parts, count);
    wait_for_disk(file, written);
    return written;
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
    ssize_t written = syscall(SYS_pwritev, file, parts, count, (long)offset, 0L);
    wait_for_disk(file, written);
    return written;
}

uint64_t benchmark_raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}
