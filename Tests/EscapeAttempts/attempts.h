// What the files of this program share.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Numbers that the C library's headers may be too old to know; the same on every architecture.
#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif

struct attempt {
    const char *name;
    /// How many arguments it needs.
    int count;
    void (*perform)(char **arguments);
};

/// One table a topic, each ended by a row without a name.
extern const struct attempt file_attempts[], mount_attempts[], process_attempts[], kernel_attempts[],
    network_attempts[], limit_attempts[];

/// `refused STEP ERRNO-NAME`, or another word in place of the error.
_Noreturn void refused(const char *step);
_Noreturn void refused_as(const char *step, const char *code);
_Noreturn void succeeded(void);
/// This kernel has no such thing, with or without a sandbox.
_Noreturn void absent(const char *step);
/// Nothing could be attempted.
_Noreturn void unprepared(const char *step);

/// The kernel looked at a request that makes no sense, past the checks that would have stopped it: that is a success.
_Noreturn void judge(const char *step, long result, const int *reached);
/// A list of errors for `judge`.
#define REACHED(...) ((const int[]){__VA_ARGS__, 0})

/// The end of most attempts: the file holds what only the other side of the fence knows.
_Noreturn void expect_text(int file, const char *text);
/// The same for bytes that were read.
_Noreturn void expect_bytes(const char *bytes, size_t count, const char *text);
bool contains(const char *bytes, size_t count, const char *text);

/// The other side: processes, sockets and memory that scripts must not reach (host.c).
int be_host(char **arguments);
int be_victim(char **arguments);
/// As containers do it, by a filter (mounts.c).
int run_without_namespaces(char **command);
