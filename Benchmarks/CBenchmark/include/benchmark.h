#pragma once

#include <stdint.h>

/* Allocations of this process so far, with reallocations; counted from the first call on. */
uint64_t benchmark_allocations(void);

/* Bytes that are allocated at the moment. */
uint64_t benchmark_allocated_bytes(void);

/* The next `bytes` bytes written to regular files take as long as on a disk of this speed. */
void benchmark_slow_disk(uint64_t bytes_per_second, uint64_t bytes);

/* Allows as many open files as the kernel lets this process have; returns how many. */
uint64_t benchmark_raise_file_limit(void);
