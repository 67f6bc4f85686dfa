#pragma once
// Thin inline shims for what Swift cannot import: variadic calls and system calls without a libc wrapper. No logic.
// Every function returns what the system call returns, or -errno.
// No _GNU_SOURCE here: with it, types of the C library differ from the ones other modules import (fd_set in Dispatch).
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// Values that the C library shows only with _GNU_SOURCE.
enum {
    CLINUX_O_PATH = 010000000,
    CLINUX_O_TMPFILE = 020200000,
    CLINUX_SO_PEERCRED = 17,
    CLINUX_SPAWN_SETSID = 0x80,
    CLINUX_WAIT_ALL = 0x40000000,
    CLINUX_AT_EMPTY_PATH = 0x1000,
};

/// glibc 2.34, shown only with _GNU_SOURCE.
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);

/// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS; O_CLOEXEC is always set.
static inline int clinux_open_beneath(int directory, const char *path, int flags, uint32_t mode) {
    struct open_how how = {
        .flags = (uint64_t)(uint32_t)(flags | O_CLOEXEC),
        .mode = (flags & O_CREAT) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long result = syscall(SYS_openat2, directory, path, &how, sizeof how);
    return result < 0 ? -errno : (int)result;
}

/// accept4(2) with SOCK_CLOEXEC and SOCK_NONBLOCK; accept4 itself is shown only with _GNU_SOURCE.
static inline int clinux_accept(int listener) {
    long result = syscall(SYS_accept4, listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return result < 0 ? -errno : (int)result;
}

/// open(2), O_CLOEXEC always set.
static inline int clinux_open(const char *path, int flags, uint32_t mode) {
    int result = open(path, flags | O_CLOEXEC, mode);
    return result < 0 ? -errno : result;
}

/// fork(2) with namespace flags; `pidfd`, where not NULL, receives a descriptor of the child (close-on-exec).
///
/// clone, not clone3: container runtimes refuse the latter, whose flags their filters cannot read.
static inline int clinux_clone(uint64_t flags, int *pidfd) {
    flags |= SIGCHLD | (pidfd ? CLONE_PIDFD : 0);
    long result = syscall(SYS_clone, flags, NULL, pidfd, NULL, NULL);
    return result < 0 ? -errno : (int)result;
}

/// unshare(2): new namespaces for this process, with the flags of clone(2).
static inline int clinux_leave_namespaces(uint32_t flags) {
    return syscall(SYS_unshare, (long)flags) < 0 ? -errno : 0;
}

/// fork(2) with the child in a cgroup of version 2 from its first instruction.
///
/// Moving it there later would wait for every other fork and exit of the machine.
static inline int clinux_clone_into_cgroup(int directory) {
    struct clone_args arguments;
    memset(&arguments, 0, sizeof arguments);
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = (uint64_t)directory;
    long result = syscall(SYS_clone3, &arguments, sizeof arguments);
    return result < 0 ? -errno : (int)result;
}

/// vfork(2) with the child's part as a function, which never returns: it runs in the caller's memory, on the stack below
/// this frame, and the caller waits until it executes a program or ends. In a cgroup of version 2 where `directory` is
/// not negative.
///
/// The system calls themselves: the C library's wrapper would come back to a frame that the child has used by then.
__attribute__((noinline, unused)) static int
clinux_run_apart(int directory, void (*body)(void *), void *context) {
    struct clone_args arguments;
    memset(&arguments, 0, sizeof arguments);
    arguments.flags = CLONE_VM | CLONE_VFORK | (directory < 0 ? 0 : CLONE_INTO_CGROUP);
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = directory < 0 ? 0 : (uint64_t)directory;
    // clone wherever it does: container runtimes refuse clone3, whose flags their filters cannot read.
    long call = directory < 0 ? SYS_clone : SYS_clone3;
    long first = directory < 0 ? (long)(arguments.flags | SIGCHLD) : (long)&arguments;
    long second = directory < 0 ? 0 : (long)sizeof arguments;
#if defined(__x86_64__)
    long result = call;
    register long fourth __asm__("r10") = 0;
    __asm__ volatile("syscall" : "+a"(result) : "D"(first), "S"(second), "d"(0L), "r"(fourth) : "rcx", "r11", "memory");
#else
    // A copy of our memory does as well.
    arguments.flags &= ~(uint64_t)(CLONE_VM | CLONE_VFORK);
    if (directory < 0) first = SIGCHLD;
    long result = syscall(call, first, second, 0L, 0L, 0L);
    if (result < 0) result = -errno;
#endif
    if (result == 0) {
        body(context);
        _exit(127);
    }
    return (int)result;
}

static inline int clinux_pidfd_open(int pid) {
    long result = syscall(SYS_pidfd_open, pid, 0);
    return result < 0 ? -errno : (int)result;
}

static inline int clinux_pidfd_send_signal(int pidfd, int signal) {
    long result = syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
    return result < 0 ? -errno : (int)result;
}

/// close_range(first, last): closes, or with `mark` only sets close-on-exec.
static inline int clinux_close_range(unsigned first, unsigned last, int mark) {
    long result = syscall(SYS_close_range, first, last, mark ? 4u /* CLOSE_RANGE_CLOEXEC */ : 0u);
    return result < 0 ? -errno : (int)result;
}

static inline int clinux_prctl(int option, unsigned long argument) {
    int result = prctl(option, argument, 0UL, 0UL, 0UL);
    return result < 0 ? -errno : result;
}

/// The effective user at the other end of a unix socket, or -errno.
static inline long clinux_peer_user(int descriptor) {
    struct { int32_t pid; uint32_t uid; uint32_t gid; } credentials;
    socklen_t length = sizeof credentials;
    return getsockopt(descriptor, SOL_SOCKET, CLINUX_SO_PEERCRED, &credentials, &length) < 0 ? -errno
                                                                                            : (long)credentials.uid;
}

/// The number a shell would show: 128 and the signal for a process that was killed.
static inline int clinux_exit_status(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline int clinux_is_socket(int descriptor) {
    int type;
    socklen_t length = sizeof type;
    return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0;
}

/// In the script's process: default action for every signal, empty mask.
///
/// The system call itself: sigaction(3) refuses signals 32 and 33, which a parent may have left ignored.
static inline void clinux_default_signals(void) {
    struct { unsigned long handler, flags, restorer, mask; } action;
    memset(&action, 0, sizeof action);
    for (int signal = 1; signal <= 64; signal++) syscall(SYS_rt_sigaction, signal, &action, NULL, 8);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/// Blocks every signal and gives a descriptor from which SIGTERM, SIGINT, SIGHUP and SIGCHLD are read.
static inline int clinux_signal_descriptor(void) {
    sigset_t signals;
    sigfillset(&signals);
    if (sigprocmask(SIG_SETMASK, &signals, NULL) < 0) return -errno;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    int result = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return result < 0 ? -errno : result;
}

/// The next signal that came and who sent it, 0 when there is none.
static inline int clinux_next_signal_from(int descriptor, int *sender) {
    struct signalfd_siginfo information;
    if (read(descriptor, &information, sizeof information) != (ssize_t)sizeof information) return 0;
    *sender = (int)information.ssi_pid;
    return (int)information.ssi_signo;
}

static inline int clinux_next_signal(int descriptor) {
    int sender;
    return clinux_next_signal_from(descriptor, &sender);
}

/// The effective set of this process; bit n is capability n.
static inline uint64_t clinux_capabilities(void) {
    struct { uint32_t version; int32_t pid; } header = {0x20080522, 0};
    struct { uint32_t effective, permitted, inheritable; } data[2];
    memset(data, 0, sizeof data);
    if (syscall(SYS_capget, &header, data) < 0) return 0;
    return data[0].effective | (uint64_t)data[1].effective << 32;
}

/// Takes this program's code out of its memory, which comes back from the page cache when it is needed again, and what
/// has been freed.
static inline void clinux_forget_start(void) {
    malloc_trim(0);
    extern const char __executable_start, etext;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)&__executable_start + page - 1) / page * page;
    uintptr_t end = (uintptr_t)&etext / page * page;
    if (end > start) syscall(SYS_madvise, start, end - start, 4 /* MADV_DONTNEED */);
}

/// A pipe with both ends close-on-exec.
static inline int clinux_pipe(int ends[2]) {
    long result = syscall(SYS_pipe2, ends, O_CLOEXEC);
    return result < 0 ? -errno : 0;
}

/// What is mounted there and below: mounts of others still arrive, ours do not leave.
static inline int clinux_share_mounts_one_way(const char *path) {
    return mount("", path, NULL, MS_REC | MS_SLAVE, NULL) < 0 ? -errno : 0;
}

/// mount(2) of a file system that has no device behind it.
static inline int clinux_mount(const char *type, const char *target, unsigned long flags, const char *options) {
    return mount(type, target, type, flags, options) < 0 ? -errno : 0;
}

// Since Linux 5.2 and 5.12; written out because C libraries name them in headers that exclude each other.
enum {
    CLINUX_MOUNT_READ_ONLY = 1,
    CLINUX_MOUNT_NO_DEVICES = 4,
    CLINUX_AT_RECURSIVE = 0x8000,
    CLINUX_OPEN_TREE_CLONE = 1,
    CLINUX_MOVE_FROM_EMPTY_PATH = 4,
    CLINUX_MOVE_TO_LINK = 0x10,
};

/// mount_setattr(2) on a path, or with an empty one on the mount behind a descriptor; with all mounts below.
static inline int clinux_mount_attributes(int directory, const char *path, uint64_t set, uint64_t clear) {
    struct { uint64_t set, clear, propagation, user_namespace; } attributes = {set, clear, 0, 0};
    int flags = CLINUX_AT_RECURSIVE | (*path ? 0 : CLINUX_AT_EMPTY_PATH);
    long result = syscall(442, directory, path, flags, &attributes, sizeof attributes);
    return result < 0 ? -errno : 0;
}

/// The same for the one mount at a path, without those below.
static inline int clinux_mount_attributes_of_one(const char *path, uint64_t set) {
    struct { uint64_t set, clear, propagation, user_namespace; } attributes = {set, 0, 0, 0};
    long result = syscall(442, AT_FDCWD, path, 0, &attributes, sizeof attributes);
    return result < 0 ? -errno : 0;
}

/// open_tree(2): a copy of what is mounted at a path and below, attached nowhere; an empty path means the descriptor.
static inline int clinux_copy_tree(int directory, const char *path) {
    unsigned flags = CLINUX_OPEN_TREE_CLONE | O_CLOEXEC | CLINUX_AT_RECURSIVE | (*path ? 0 : CLINUX_AT_EMPTY_PATH);
    long result = syscall(428, directory, path, flags);
    return result < 0 ? -errno : (int)result;
}

/// move_mount(2): attaches what `clinux_copy_tree` gave; links at the end of the path are followed.
static inline int clinux_attach_tree(int tree, const char *path) {
    long result = syscall(429, tree, "", AT_FDCWD, path, CLINUX_MOVE_FROM_EMPTY_PATH | CLINUX_MOVE_TO_LINK);
    return result < 0 ? -errno : 0;
}

static inline int clinux_make_device(const char *path, uint32_t mode, uint64_t device) {
    return syscall(SYS_mknodat, AT_FDCWD, path, mode, device) < 0 ? -errno : 0;
}

/// landlock_create_ruleset(2) with no attributes: the version, or -errno.
static inline int clinux_landlock_version(void) {
    long result = syscall(444, NULL, 0, 1u);
    return result < 0 ? -errno : (int)result;
}

/// A rule set; `version` says how much of it this kernel knows.
static inline int clinux_landlock_create(int version, uint64_t files, uint64_t network, uint64_t scopes) {
    struct { uint64_t files, network, scopes; } attributes = {files, network, scopes};
    long result = syscall(444, &attributes, version < 4 ? 8 : version < 6 ? 16 : 24, 0u);
    return result < 0 ? -errno : (int)result;
}

static inline int clinux_landlock_allow_path(int rules, uint64_t access, int path) {
    struct { uint64_t access; int32_t parent; } __attribute__((packed)) rule = {access, path};
    return syscall(445, rules, 1, &rule, 0u) < 0 ? -errno : 0;
}

static inline int clinux_landlock_allow_port(int rules, uint64_t access, uint64_t port) {
    struct { uint64_t access, port; } rule = {access, port};
    return syscall(445, rules, 2, &rule, 0u) < 0 ? -errno : 0;
}

static inline int clinux_landlock_enforce(int rules) { return syscall(446, rules, 0u) < 0 ? -errno : 0; }

/// Sets all three sets of capabilities of this process; bit n is capability n.
static inline int clinux_set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    struct { uint32_t version; int32_t pid; } header = {0x20080522, 0};
    struct { uint32_t effective, permitted, inheritable; } data[2] = {
        {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
        {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
    };
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

// The system calls themselves: the C library's would tell every thread, and there is one.
static inline int clinux_set_user(uint32_t user) { return syscall(SYS_setresuid, user, user, user) < 0 ? -errno : 0; }
static inline int clinux_set_group(uint32_t group) { return syscall(SYS_setresgid, group, group, group) < 0 ? -errno : 0; }
static inline int clinux_set_groups(size_t count, const uint32_t *groups) {
    return syscall(SYS_setgroups, count, groups) < 0 ? -errno : 0;
}

static inline int clinux_set_limit(int resource, uint64_t value) {
    struct { uint64_t soft, hard; } limit = {value, value};
    return syscall(SYS_prlimit64, 0, resource, &limit, NULL) < 0 ? -errno : 0;
}

/// Takes the loopback interface of this network namespace into service.
static inline int clinux_start_loopback(void) {
    struct { char name[16]; short flags; char rest[22]; } request = {"lo", 1 /* IFF_UP */, {0}};
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    int result = syscall(SYS_ioctl, descriptor, 0x8914 /* SIOCSIFFLAGS */, &request) < 0 ? -errno : 0;
    close(descriptor);
    return result;
}

/// As `uname -r`; NULL when it cannot be had. The text is of this thread until the next call.
static inline const char *clinux_kernel_release(void) {
    static __thread struct { char system[65], node[65], release[65], version[65], machine[65], domain[65]; } names;
    return syscall(SYS_uname, &names) < 0 ? NULL : names.release;
}

/// Whether this kernel filters system calls.
static inline int clinux_has_filters(void) {
    uint32_t action = 0x00050000; // SECCOMP_RET_ERRNO
    return syscall(SYS_seccomp, 2 /* SECCOMP_GET_ACTION_AVAIL */, 0, &action) == 0;
}

/// Puts a program of seccomp's on this process for good; `count` instructions of eight bytes each.
static inline int clinux_filter_calls(const void *program, uint16_t count) {
    struct { uint16_t count; const void *program; } filter = {count, program};
    return syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, &filter) < 0 ? -errno : 0;
}

/// A file in memory, close-on-exec.
static inline int clinux_memory_file(const char *name) {
    long result = syscall(SYS_memfd_create, name, 1u /* MFD_CLOEXEC */);
    return result < 0 ? -errno : (int)result;
}

/// Connects a unix stream socket; a path too long is ENAMETOOLONG.
static inline int clinux_connect_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

// To a socket that somebody else listens on; never waits.
static inline int clinux_send_datagram(const char *path, const void *bytes, size_t count) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    ssize_t sent = sendto(
        descriptor, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof address
    );
    int result = sent < 0 ? -errno : 0;
    close(descriptor);
    return result;
}
