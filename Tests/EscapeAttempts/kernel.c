// The kernel itself. Every request here makes no sense, so that nothing happens to the machine when it gets through:
// the error tells whether the kernel looked at the request or at who asks.
#include "attempts.h"

#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/quota.h>
#include <sys/reboot.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>

#if defined(__x86_64__)
#include <sys/io.h>
#endif

int swapon(const char *path, int flags);
int swapoff(const char *path);
int acct(const char *path);
int vhangup(void);

#define NOWHERE "/nonexistent/escape"

static void load_module(char **a) {
    (void)a;
    char garbage[64] = "no module";
    judge("init_module", syscall(SYS_init_module, garbage, sizeof garbage, ""), REACHED(ENOEXEC));
}

static void load_module_file(char **a) {
    (void)a;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    judge("finit_module", syscall(SYS_finit_module, file, "", 0), REACHED(ENOEXEC, EINVAL));
}

static void unload_module(char **a) {
    (void)a;
    judge("delete_module", syscall(SYS_delete_module, "nonexistent_escape", O_NONBLOCK), REACHED(ENOENT));
}

static void load_kernel(char **a) {
    (void)a;
#ifdef SYS_kexec_load
    judge("kexec_load", syscall(SYS_kexec_load, 0, 1000000, NULL, 0), REACHED(EINVAL));
#else
    absent("kexec_load");
#endif
}

static void load_kernel_file(char **a) {
    (void)a;
#ifdef SYS_kexec_file_load
    judge("kexec_file_load", syscall(SYS_kexec_file_load, -1, -1, 0, NULL, ~0UL), REACHED(EINVAL, EBADF));
#else
    absent("kexec_file_load");
#endif
}

static void load_program(char **a) {
    (void)a;
    struct bpf_insn instructions[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0}, {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr program = {.prog_type = BPF_PROG_TYPE_KPROBE, .insns = (uint64_t)(uintptr_t)instructions,
        .insn_cnt = 2, .license = (uint64_t)(uintptr_t) "GPL"};
    judge("bpf", syscall(SYS_bpf, BPF_PROG_LOAD, &program, sizeof program), REACHED(0));
}

static void measure_all(char **a) {
    (void)a;
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event,
        .config = PERF_COUNT_SW_CPU_CLOCK, .disabled = 1};
    judge("perf_event_open", syscall(SYS_perf_event_open, &event, -1, 0, -1, 0), REACHED(0));
}

static void restart(char **a) {
    (void)a;
    // Wrong magic numbers: nothing else is done.
    judge("reboot", syscall(SYS_reboot, 1, 2, 3, NULL), REACHED(EINVAL));
}

// Before the machine was started: the clock cannot be set to that.
static void set_time(char **a) {
    (void)a;
    struct timeval time = {0};
    judge("settimeofday", settimeofday(&time, NULL), REACHED(EINVAL));
}

static void set_clock(char **a) {
    (void)a;
    struct timespec time = {0};
    judge("clock_settime", clock_settime(CLOCK_REALTIME, &time), REACHED(EINVAL));
}

static void adjust_clock(char **a) {
    (void)a;
    struct timex change = {.modes = ADJ_TICK, .tick = 1};
    judge("clock_adjtime", syscall(SYS_clock_adjtime, CLOCK_REALTIME, &change), REACHED(EINVAL));
}

static void swap_on(char **a) {
    (void)a;
    judge("swapon", swapon(NOWHERE, 0), REACHED(ENOENT));
}

static void swap_off(char **a) {
    (void)a;
    judge("swapoff", swapoff(NOWHERE), REACHED(ENOENT));
}

static void account(char **a) {
    (void)a;
    judge("acct", acct(NOWHERE), REACHED(ENOENT));
}

static void quota(char **a) {
    (void)a;
    judge("quotactl", quotactl(QCMD(Q_QUOTAOFF, USRQUOTA), NOWHERE, 0, NULL), REACHED(ENOENT, ENODEV, ENOTBLK));
}

static void port_level(char **a) {
    (void)a;
#if defined(__x86_64__)
    judge("iopl", iopl(3), REACHED(0));
#else
    absent("iopl");
#endif
}

static void port_access(char **a) {
    (void)a;
#if defined(__x86_64__)
    judge("ioperm", ioperm(0x80, 1, 1), REACHED(0));
#else
    absent("ioperm");
#endif
}

static void page_faults(char **a) {
    (void)a;
    judge("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC), REACHED(0));
}

static void add_key(char **a) {
    (void)a;
    // KEY_SPEC_PROCESS_KEYRING: goes with this process.
    judge("add_key", syscall(SYS_add_key, "user", "escape", "x", 1, -2), REACHED(0));
}

static void key_control(char **a) {
    (void)a;
    // KEYCTL_GET_KEYRING_ID of the session's, which is not made.
    judge("keyctl", syscall(SYS_keyctl, 0, -3, 0), REACHED(ENOKEY));
}

static void request_key(char **a) {
    (void)a;
    judge("request_key", syscall(SYS_request_key, "user", "nonexistent-escape", NULL, 0), REACHED(ENOKEY));
}

static void ring(char **a) {
    (void)a;
    struct io_uring_params parameters = {0};
    judge("io_uring_setup", syscall(SYS_io_uring_setup, 1, &parameters), REACHED(0));
}

static void hang_up(char **a) {
    (void)a;
    judge("vhangup", vhangup(), REACHED(0));
}

static void kernel_log(char **a) {
    (void)a;
    // A console level that does not exist.
    judge("syslog", klogctl(8, NULL, 100), REACHED(EINVAL));
}

static void watch_files(char **a) {
    (void)a;
    judge("fanotify_init", fanotify_init(FAN_CLASS_CONTENT, O_RDONLY), REACHED(0));
}

/// A call of the 32-bit kind: its numbers mean other calls to a filter that does not look.
static void foreign(char **a) {
    (void)a;
#if defined(__x86_64__)
    const long getpid_of_i386 = 20;
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(getpid_of_i386) : "memory", "r8", "r9", "r10", "r11");
    if (result < 0) errno = (int)-result;
    judge("int80", result < 0 ? -1 : result, REACHED(0));
#else
    absent("int80");
#endif
}

/// A terminal of this process's own, which is its controlling one.
static int own_terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) unprepared("terminal");
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0) unprepared("terminal");
    return terminal;
}

/// REQUEST: input for a terminal, as if somebody had typed it.
static void type(char **a) {
    unsigned long request = strtoul(a[0], NULL, 16);
    int terminal = own_terminal();
    pid_t child = fork();
    if (child < 0) unprepared("fork");
    if (child > 0) {
        int status = 0;
        waitpid(child, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
    }
    setsid();
    if (ioctl(terminal, TIOCSCTTY, 0) < 0) unprepared("terminal");
    char letter = 'x';
    long result = syscall(SYS_ioctl, terminal, request, &letter);
    // Forbidden for everybody on this machine (dev.tty.legacy_tiocsti).
    if (result < 0 && errno == EIO) absent("ioctl");
    judge("ioctl", result, REACHED(ENOTTY, EINVAL));
}

/// NAME, which the host has already; OWN is the namespace that is the host's.
static void rename_host(char **a) {
    char own[64] = {0};
    if (sethostname(a[0], strlen(a[0])) < 0) refused("sethostname");
    if (readlink("/proc/self/ns/uts", own, sizeof own - 1) < 0) unprepared("readlink");
    if (strcmp(own, a[1])) refused_as("namespace", "OWN");
    succeeded();
}

static void rename_domain(char **a) {
    char own[64] = {0}, name[65] = {0};
    if (getdomainname(name, sizeof name) < 0) unprepared("getdomainname");
    if (setdomainname(name, strlen(name)) < 0) refused("setdomainname");
    if (readlink("/proc/self/ns/uts", own, sizeof own - 1) < 0) unprepared("readlink");
    if (strcmp(own, a[0])) refused_as("namespace", "OWN");
    succeeded();
}

const struct attempt kernel_attempts[] = {
    {"load-module", 0, load_module}, {"load-module-file", 0, load_module_file}, {"unload-module", 0, unload_module},
    {"load-kernel", 0, load_kernel}, {"load-kernel-file", 0, load_kernel_file}, {"bpf-program", 0, load_program},
    {"measure-all", 0, measure_all}, {"reboot", 0, restart}, {"set-time", 0, set_time}, {"set-clock", 0, set_clock},
    {"adjust-clock", 0, adjust_clock}, {"swap-on", 0, swap_on}, {"swap-off", 0, swap_off}, {"account", 0, account},
    {"quota", 0, quota}, {"port-level", 0, port_level}, {"port-access", 0, port_access},
    {"page-faults", 0, page_faults}, {"add-key", 0, add_key}, {"key-control", 0, key_control},
    {"request-key", 0, request_key}, {"ring", 0, ring}, {"hang-up", 0, hang_up}, {"kernel-log", 0, kernel_log},
    {"watch-files", 0, watch_files}, {"foreign", 0, foreign}, {"type", 1, type}, {"rename-host", 2, rename_host},
    {"rename-domain", 1, rename_domain}, {0},
};
