// Fails one chosen file-changing system call of one program: a disk that is full, or broken, at exactly that moment.
//
//     fault-injector --program PATH --below DIR [--call N] [--errno ENOSPC|EIO] [--how once|onwards|short|kill]
//                    [--report FILE] [--control SOCKET] -- COMMAND ARGUMENTS
//
// COMMAND and everything it starts get a seccomp filter that reports the calls below to this process, which lets each of
// them go on or answers it with the error. Counted are the calls of PATH, whichever of its processes and threads makes
// them, on files below DIR. The N-th of them fails; with `onwards` every later one too; with `short` as well, but an N-th
// one that is a write does half of its work first. Ends when the last process with the filter has, with the status of
// COMMAND.
//
// FILE gets a line "failed COUNT NAME PATH" for the first call that failed, before the caller hears of it, and at the end
// "counted COUNT". A process that lives through many faults is armed again over SOCKET: "arm N ERRNO HOW" counts from one
// again and is answered "armed"; "report" is answered with the line of the first failure, or of the count.
//
// Why seccomp and not a preloaded library: the launcher is a static program. Why not ptrace: its stops are seen by the
// script's own wait calls, and cost ten times as much.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "add the audit name of this architecture"
#endif

/// Which arguments name the file: a descriptor, a path, or a directory's descriptor and a path below it; -1 is none.
struct call {
    const char *name;
    long number;
    int descriptor, path;
    /// The second file of rename and link.
    int second_descriptor, second_path;
    /// Where the flags of open are; a call that only reads is not counted.
    int flags;
};

#define BY_DESCRIPTOR(name, argument) {#name, SYS_##name, argument, -1, -1, -1, -1}
#define BY_PATH(name) {#name, SYS_##name, -1, 0, -1, -1, -1}
#define BELOW_DIRECTORY(name) {#name, SYS_##name, 0, 1, -1, -1, -1}

static const struct call calls[] = {
    BY_DESCRIPTOR(write, 0), BY_DESCRIPTOR(pwrite64, 0), BY_DESCRIPTOR(writev, 0), BY_DESCRIPTOR(pwritev, 0),
    BY_DESCRIPTOR(pwritev2, 0), BY_DESCRIPTOR(sendfile, 0), BY_DESCRIPTOR(copy_file_range, 2),
    BY_DESCRIPTOR(ftruncate, 0), BY_DESCRIPTOR(fallocate, 0), BY_DESCRIPTOR(fsync, 0), BY_DESCRIPTOR(fdatasync, 0),
    BY_DESCRIPTOR(fchmod, 0), BY_DESCRIPTOR(fchown, 0),
    BELOW_DIRECTORY(mkdirat), BELOW_DIRECTORY(unlinkat), BELOW_DIRECTORY(mknodat), BELOW_DIRECTORY(fchmodat),
    BELOW_DIRECTORY(fchownat), BELOW_DIRECTORY(utimensat), BELOW_DIRECTORY(openat2),
    BY_PATH(truncate),
    {"openat", SYS_openat, 0, 1, -1, -1, 2},
    {"symlinkat", SYS_symlinkat, 1, 2, -1, -1, -1},
    {"linkat", SYS_linkat, 0, 1, 2, 3, -1},
    {"renameat2", SYS_renameat2, 0, 1, 2, 3, -1},
#ifdef SYS_fchmodat2
    BELOW_DIRECTORY(fchmodat2),
#endif
#ifdef SYS_renameat
    {"renameat", SYS_renameat, 0, 1, 2, 3, -1},
#endif
#ifdef SYS_rename
    {"open", SYS_open, -1, 0, -1, -1, 1},
    {"rename", SYS_rename, -1, 0, -1, 1, -1},
    {"link", SYS_link, -1, 0, -1, 1, -1},
    {"symlink", SYS_symlink, -1, 1, -1, -1, -1},
    BY_PATH(creat), BY_PATH(mkdir), BY_PATH(rmdir), BY_PATH(unlink), BY_PATH(mknod), BY_PATH(chmod), BY_PATH(chown),
    BY_PATH(lchown), BY_PATH(utime), BY_PATH(utimes),
#endif
};
enum { CALLS = sizeof calls / sizeof calls[0], CHANGING = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC };

static struct stat program;
static char below[PATH_MAX];
static const char *report_path;
/// What is armed, and what became of it.
static long wanted, counted;
static int error_number = ENOSPC;
static enum { ONCE, ONWARDS, SHORT, KILL } how = ONCE;
static char failure[PATH_MAX + 64];

static void die(const char *what) {
    fprintf(stderr, "fault-injector: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void report(const char *format, ...) {
    if (!report_path) return;
    FILE *file = fopen(report_path, "ae");
    if (!file) die(report_path);
    va_list values;
    va_start(values, format);
    vfprintf(file, format, values);
    va_end(values);
    fclose(file);
}

// MARK: The filter

static int install_filter(void) {
    struct sock_filter code[4 + CALLS * 4];
    unsigned length = 0;
#define EMIT(statement) code[length++] = (struct sock_filter)statement
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    // Once the flags are loaded the number is gone: calls with flags come last, each ends in an answer.
    for (int pass = 0; pass < 2; pass++) {
        for (int index = 0; index < CALLS; index++) {
            const struct call *call = &calls[index];
            if ((call->flags >= 0) != pass) continue;
            EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call->number, 0, pass ? 4 : 1));
            if (pass) {
                // Little-endian: the low half comes first.
                EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[call->flags])));
                EMIT(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CHANGING, 1, 0));
                EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
            }
            EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
        }
    }
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    struct sock_fprog filter = {.len = (unsigned short)length, .filter = code};
    if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("no new privileges");
    // A signal must not make the kernel begin a call again that was counted already.
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
    if (listener < 0) die("cannot install the filter");
    return listener;
}

static void send_descriptor(int socket, int descriptor) {
    char byte = 0;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = {0};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space,
    };
    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
    };
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    if (sendmsg(socket, &message, 0) != 1) die("cannot hand over the listener");
}

static int receive_descriptor(int socket) {
    char byte;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = {0};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space,
    };
    // The child has said why when it ends without one.
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) exit(125);
    int descriptor;
    memcpy(&descriptor, CMSG_DATA(&control.header), sizeof descriptor);
    return descriptor;
}

// MARK: Whose call, and on what

static int is_of_program(unsigned process) {
    char path[64];
    struct stat facts;
    snprintf(path, sizeof path, "/proc/%u/exe", process);
    return stat(path, &facts) == 0 && facts.st_ino == program.st_ino && facts.st_dev == program.st_dev;
}

static int read_memory(unsigned process, uint64_t address, void *bytes, size_t size) {
    // A path may end just before a page that is not there: a shorter read is a read.
    struct iovec local = {.iov_base = bytes, .iov_len = size};
    struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
    ssize_t count = process_vm_readv((pid_t)process, &local, 1, &remote, 1, 0);
    if (count > 0) return 1;
    // Across pages the whole piece fails together.
    size_t first = 4096 - address % 4096;
    if (first >= size) return 0;
    local.iov_len = remote.iov_len = first;
    return process_vm_readv((pid_t)process, &local, 1, &remote, 1, 0) > 0;
}

static int follow(unsigned process, int descriptor, char *target) {
    char path[64];
    if (descriptor == AT_FDCWD) snprintf(path, sizeof path, "/proc/%u/cwd", process);
    else snprintf(path, sizeof path, "/proc/%u/fd/%d", process, descriptor);
    ssize_t length = readlink(path, target, PATH_MAX - 1);
    if (length < 0) return 0;
    target[length] = 0;
    return 1;
}

static int is_below(const char *path) {
    size_t length = strlen(below);
    return strncmp(path, below, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/// The file that two arguments name; false when it lies elsewhere.
static int names_file(const struct seccomp_notif *call, int descriptor, int path, char *file) {
    unsigned process = call->pid;
    const __u64 *arguments = call->data.args;
    int directory = descriptor < 0 ? AT_FDCWD : (int)arguments[descriptor];
    char name[PATH_MAX] = "";
    if (path >= 0 && arguments[path] && !read_memory(process, arguments[path], name, sizeof name - 1)) return 0;
    if (name[0] == '/') {
        strcpy(file, name);
        return is_below(file);
    }
    if (!follow(process, directory, file)) return 0;
    if (name[0]) {
        strncat(file, "/", PATH_MAX - strlen(file) - 1);
        strncat(file, name, PATH_MAX - strlen(file) - 1);
    }
    return is_below(file);
}

static int is_counted(const struct call *call, const struct seccomp_notif *made, char *file) {
    if (!is_of_program(made->pid)) return 0;
    if (call->number == SYS_openat2) {
        struct open_how given;
        if (!read_memory(made->pid, made->data.args[2], &given, sizeof given) || !(given.flags & CHANGING)) return 0;
    }
    if (names_file(made, call->descriptor, call->path, file)) return 1;
    return call->second_path >= 0 && names_file(made, call->second_descriptor, call->second_path, file);
}

/// Does half of a write in the caller's place, at the caller's offset; how many bytes, 0 for another kind of call.
static ssize_t write_half(const struct call *call, const struct seccomp_notif *made) {
    char path[64], line[128];
    size_t half = made->data.args[2] / 2;
    if (call->number != SYS_write || half == 0) return 0;
    snprintf(path, sizeof path, "/proc/%u/status", made->pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    int process = 0;
    while (!process && fgets(line, sizeof line, file)) sscanf(line, "Tgid: %d", &process);
    fclose(file);
    // Descriptors are asked for by process, the call was made by a thread.
    int pidfd = (int)syscall(SYS_pidfd_open, process, 0);
    int copy = (int)syscall(SYS_pidfd_getfd, pidfd, (int)made->data.args[0], 0);
    char *bytes = malloc(half);
    ssize_t done = 0;
    if (copy >= 0 && bytes && read_memory(made->pid, made->data.args[1], bytes, half)) done = write(copy, bytes, half);
    free(bytes);
    if (copy >= 0) close(copy);
    if (pidfd >= 0) close(pidfd);
    return done < 0 ? 0 : done;
}

static void answer(int listener) {
    struct seccomp_notif made;
    memset(&made, 0, sizeof made);
    // Nobody waits any more: the caller was killed.
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &made) != 0) return;
    struct seccomp_notif_resp response = {.id = made.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    const struct call *call = calls;
    while (call->number != made.data.nr) call++;
    char file[PATH_MAX];
    // The id is asked last: until then the number of the process may have become another's.
    if (is_counted(call, &made, file) && ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &made.id) == 0) {
        counted++;
        if (wanted > 0 && how == KILL && counted == wanted) {
            // As far as files go a power cut: of this call and what comes after it nothing is done.
            report("failed %ld %s %s\n", counted, call->name, file);
            kill((pid_t)made.pid, SIGKILL);
            response.flags = 0;
            response.error = -EIO;
        } else if (wanted > 0 && how != KILL && (counted == wanted || (how != ONCE && counted > wanted))) {
            response.flags = 0;
            if (how == SHORT && counted == wanted) response.val = write_half(call, &made);
            if (response.val == 0) response.error = -error_number;
            if (!failure[0]) {
                snprintf(failure, sizeof failure, "failed %ld %s %s\n", counted, call->name, file);
                report("%s", failure);
            }
        }
    }
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

// MARK: The one who asks

static int error_named(const char *name) {
    static const struct { const char *name; int number; } known[] = {
        {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}, {"EACCES", EACCES},
    };
    for (size_t index = 0; index < sizeof known / sizeof known[0]; index++)
        if (strcmp(known[index].name, name) == 0) return known[index].number;
    fprintf(stderr, "fault-injector: unknown error %s\n", name);
    exit(125);
}

static int how_named(const char *name) {
    if (strcmp(name, "onwards") == 0) return ONWARDS;
    if (strcmp(name, "kill") == 0) return KILL;
    return strcmp(name, "short") == 0 ? SHORT : ONCE;
}

static int listen_at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        die(path);
    }
    strcpy(address.sun_path, path);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0 || bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 1) != 0) die(path);
    return server;
}

/// One question of a line, one answer; the next question comes behind it. -1 when nobody asks any more.
static int converse(int connection) {
    char line[256], name[32], often[32];
    ssize_t length = recv(connection, line, sizeof line - 1, 0);
    if (length <= 0) {
        close(connection);
        return -1;
    }
    line[length] = 0;
    char reply[sizeof failure] = "armed\n";
    long call;
    if (sscanf(line, "arm %ld %31s %31s", &call, name, often) == 3) {
        wanted = call;
        error_number = error_named(name);
        how = how_named(often);
        counted = 0;
        failure[0] = 0;
    } else if (failure[0]) {
        strcpy(reply, failure);
    } else {
        snprintf(reply, sizeof reply, "counted %ld\n", counted);
    }
    send(connection, reply, strlen(reply), MSG_NOSIGNAL);
    return connection;
}

// MARK: The command

static pid_t start(char **command, int *listener) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) die("socketpair");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        // Without whom it asks, none of its calls would be answered.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        send_descriptor(ends[1], install_filter());
        execvp(command[0], command);
        die(command[0]);
    }
    close(ends[1]);
    *listener = receive_descriptor(ends[0]);
    close(ends[0]);
    return child;
}

static int run(char **command, const char *control) {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int *signal = (int[]){SIGTERM, SIGINT, SIGHUP, SIGCHLD, 0}; *signal; signal++)
        sigaddset(&signals, *signal);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int server = control ? listen_at(control) : -1, connection = -1, listener, status = 0;
    pid_t child = start(command, &listener);
    struct pollfd waiting[] = {
        {.fd = listener, .events = POLLIN}, {.fd = signalfd(-1, &signals, SFD_CLOEXEC), .events = POLLIN},
        {.fd = server, .events = POLLIN}, {.fd = connection, .events = POLLIN},
    };
    while (1) {
        if (poll(waiting, 4, -1) < 0) continue;
        // In this order: what is armed counts for calls that come later.
        if (waiting[3].revents) waiting[3].fd = converse(waiting[3].fd);
        if (waiting[2].revents) {
            if (waiting[3].fd >= 0) close(waiting[3].fd);
            waiting[3].fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
        }
        if (waiting[1].revents) {
            struct signalfd_siginfo signal;
            if (read(waiting[1].fd, &signal, sizeof signal) != sizeof signal) continue;
            if (signal.ssi_signo != SIGCHLD) kill(child, (int)signal.ssi_signo);
            else if (waitpid(child, &status, WNOHANG) == child) child = 0;
        }
        if (waiting[0].revents & POLLIN) answer(listener);
        else if (waiting[0].revents & POLLHUP) break;
    }
    if (child > 0) waitpid(child, &status, 0);
    report("counted %ld\n", counted);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int count, char **arguments) {
    const char *path = NULL, *directory = NULL, *control = NULL;
    int index = 1;
    for (; index < count && strcmp(arguments[index], "--") != 0; index++) {
        const char *name = arguments[index];
        const char *value = index + 1 < count ? arguments[++index] : "";
        if (strcmp(name, "--program") == 0) path = value;
        else if (strcmp(name, "--below") == 0) directory = value;
        else if (strcmp(name, "--call") == 0) wanted = atol(value);
        else if (strcmp(name, "--errno") == 0) error_number = error_named(value);
        else if (strcmp(name, "--how") == 0) how = how_named(value);
        else if (strcmp(name, "--report") == 0) report_path = value;
        else if (strcmp(name, "--control") == 0) control = value;
        else index = count;
    }
    if (!path || !directory || index + 1 >= count) {
        fprintf(stderr, "fault-injector: --program PATH --below DIR … -- COMMAND are needed\n");
        return 125;
    }
    if (stat(path, &program) != 0) die(path);
    // One that is only there for the command, in its own mount namespace, is taken as it is written.
    if (!realpath(directory, below)) snprintf(below, sizeof below, "%s", directory);
    return run(arguments + index + 1, control);
}
