// Other processes, and who one is.
#include "attempts.h"

#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

static pid_t number(const char *text) {
    pid_t process = atoi(text);
    if (process > 1 || !strcmp(text, "1")) return process;
    errno = EINVAL;
    unprepared("process");
}

/// PROCESS: a signal that changes nothing.
static void signal_process(char **a) {
    if (kill(number(a[0]), SIGCONT) < 0) refused("kill");
    succeeded();
}

/// PROCESS: the same by descriptor.
static void signal_descriptor(char **a) {
    int process = (int)syscall(SYS_pidfd_open, number(a[0]), 0);
    if (process < 0) refused("pidfd_open");
    if (syscall(SYS_pidfd_send_signal, process, SIGCONT, NULL, 0) < 0) refused("pidfd_send_signal");
    succeeded();
}

/// PROCESS
static void trace(char **a) {
    if (ptrace(PTRACE_SEIZE, number(a[0]), NULL, NULL) < 0) refused("ptrace");
    succeeded();
}

static void trace_child(char **a) {
    (void)a;
    pid_t child = fork();
    if (child < 0) unprepared("fork");
    if (child == 0) {
        pause();
        _exit(0);
    }
    long result = ptrace(PTRACE_SEIZE, child, NULL, NULL);
    int error = errno;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    errno = error;
    judge("ptrace", result, REACHED(0));
}

/// PROCESS ADDRESS TEXT
static void read_memory(char **a) {
    char bytes[256];
    struct iovec local = {bytes, sizeof bytes};
    struct iovec remote = {(void *)strtoul(a[1], NULL, 16), sizeof bytes};
    ssize_t count = process_vm_readv(number(a[0]), &local, 1, &remote, 1, 0);
    if (count < 0) refused("process_vm_readv");
    expect_bytes(bytes, (size_t)count, a[2]);
}

/// PROCESS ADDRESS TEXT
static void read_memory_file(char **a) {
    char path[64], bytes[256];
    snprintf(path, sizeof path, "/proc/%d/mem", number(a[0]));
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) refused("open");
    ssize_t count = pread(file, bytes, sizeof bytes, strtol(a[1], NULL, 16));
    if (count < 0) refused("read");
    expect_bytes(bytes, (size_t)count, a[2]);
}

/// PROCESS DESCRIPTOR TEXT
static void steal_descriptor(char **a) {
    int process = (int)syscall(SYS_pidfd_open, number(a[0]), 0);
    if (process < 0) refused("pidfd_open");
    int file = (int)syscall(SYS_pidfd_getfd, process, atoi(a[1]), 0);
    if (file < 0) refused("pidfd_getfd");
    char bytes[4096];
    ssize_t count = pread(file, bytes, sizeof bytes, 0);
    if (count < 0) refused("read");
    expect_bytes(bytes, (size_t)count, a[2]);
}

/// PROCESS
static void compare(char **a) {
    judge("kcmp", syscall(SYS_kcmp, getpid(), number(a[0]), 1, 0, 0), REACHED(0));
}

/// PROCESS: to what it has.
static void prioritise(char **a) {
    pid_t process = number(a[0]);
    errno = 0;
    int priority = getpriority(PRIO_PROCESS, (id_t)process);
    if (priority == -1 && errno) refused("getpriority");
    if (setpriority(PRIO_PROCESS, (id_t)process, priority) < 0) refused("setpriority");
    succeeded();
}

/// PROCESS: to what it has.
static void limit(char **a) {
    struct rlimit files;
    pid_t process = number(a[0]);
    if (prlimit(process, RLIMIT_NOFILE, NULL, &files) < 0) refused("prlimit");
    if (prlimit(process, RLIMIT_NOFILE, &files, NULL) < 0) refused("prlimit");
    succeeded();
}

/// PROCESS: to what it has.
static void place(char **a) {
    cpu_set_t set;
    pid_t process = number(a[0]);
    if (sched_getaffinity(process, sizeof set, &set) < 0) refused("sched_getaffinity");
    if (sched_setaffinity(process, sizeof set, &set) < 0) refused("sched_setaffinity");
    succeeded();
}

static void become_root(char **a) {
    (void)a;
    if (setresuid(0, 0, 0) < 0) refused("setresuid");
    succeeded();
}

/// Of whoever administers the machine.
static void take_capability(char **a) {
    (void)a;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &head, sets) < 0) unprepared("capget");
    sets[0].permitted |= 1 << CAP_SYS_ADMIN;
    sets[0].effective |= 1 << CAP_SYS_ADMIN;
    if (syscall(SYS_capset, &head, sets) < 0) refused("capset");
    succeeded();
}

/// PRIORITY: one's own.
static void hurry(char **a) {
    if (setpriority(PRIO_PROCESS, 0, atoi(a[0])) < 0) refused("setpriority");
    succeeded();
}

static void realtime(char **a) {
    (void)a;
    struct sched_param parameters = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &parameters) < 0) refused("sched_setscheduler");
    succeeded();
}

const struct attempt process_attempts[] = {
    {"signal", 1, signal_process}, {"signal-descriptor", 1, signal_descriptor}, {"trace", 1, trace},
    {"trace-child", 0, trace_child}, {"read-memory", 3, read_memory}, {"read-memory-file", 3, read_memory_file},
    {"steal-descriptor", 3, steal_descriptor}, {"compare", 1, compare}, {"prioritise", 1, prioritise},
    {"limit", 1, limit}, {"place", 1, place}, {"become-root", 0, become_root}, {"take-capability", 0, take_capability},
    {"hurry", 1, hurry}, {"realtime", 0, realtime}, {0},
};
