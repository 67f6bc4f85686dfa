// Mounts, namespaces and roots: what changes which files a path means.
#include "attempts.h"

#include <limits.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

// <sys/mount.h> and <linux/mount.h> do not agree with each other everywhere.
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#define DETACH 2

/// What is mounted goes again, whatever comes of it: without a sandbox it is the host's.
static _Noreturn void look(const char *target, const char *name, const char *text) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", target, name);
    int file = open(path, text ? O_RDONLY | O_CLOEXEC : O_WRONLY | O_CLOEXEC);
    int error = errno;
    umount2(target, DETACH);
    errno = error;
    if (file < 0) refused("open");
    if (!text) succeeded();
    expect_text(file, text);
}

/// SOURCE TARGET FILE TEXT
static void bind_mount(char **a) {
    mkdir(a[1], 0700);
    if (mount(a[0], a[1], NULL, MS_BIND, NULL) < 0) refused("mount");
    look(a[1], a[2], a[3]);
}

/// LOWER TARGET FILE TEXT
static void overlay(char **a) {
    char options[PATH_MAX + 64];
    mkdir(a[1], 0700);
    // There must be two, neither in the other.
    snprintf(options, sizeof options, "lowerdir=%s:/usr/share", a[0]);
    if (mount("overlay", a[1], "overlay", MS_RDONLY, options) < 0) {
        if (errno == ENODEV) absent("overlay");
        refused("mount");
    }
    look(a[1], a[2], a[3]);
}

/// TYPE TARGET FILE: a new mount of it, FILE open for writing.
static void file_system(char **a) {
    mkdir(a[1], 0700);
    if (mount(a[0], a[1], a[0], 0, NULL) < 0) {
        if (errno == ENODEV) absent("mount");
        // The one instance there is, mounted already.
        if (errno == EBUSY) succeeded();
        refused("mount");
    }
    look(a[1], a[2], NULL);
}

/// DIRECTORY FILE TEXT: a copy of the mount without what is mounted on it.
static void open_tree_clone(char **a) {
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, a[0], 1 | O_CLOEXEC);
    if (tree < 0) refused("open_tree");
    int file = openat(tree, a[1], O_RDONLY | O_CLOEXEC);
    if (file < 0) refused("open");
    expect_text(file, a[2]);
}

/// DIRECTORY FILE TEXT: the same by the newest call, which older filters do not know.
static void open_tree_attributes(char **a) {
    uint64_t nothing[4] = {0};
    int tree = (int)syscall(SYS_open_tree_attr, AT_FDCWD, a[0], 1 | O_CLOEXEC, nothing, sizeof nothing);
    if (tree < 0) refused("open_tree_attr");
    int file = openat(tree, a[1], O_RDONLY | O_CLOEXEC);
    if (file < 0) refused("open");
    expect_text(file, a[2]);
}

/// TYPE
static void fs_open(char **a) {
    int context = (int)syscall(SYS_fsopen, a[0], 0);
    if (context < 0) refused("fsopen");
    // FSCONFIG_CMD_CREATE
    if (syscall(SYS_fsconfig, context, 6, NULL, NULL, 0) < 0) refused("fsconfig");
    if (syscall(SYS_fsmount, context, 0, 0) < 0) refused("fsmount");
    succeeded();
}

/// PATH NAME: makes PATH writable, whoever made it read-only, and a file in there.
static void remount(char **a) {
    // EINVAL: no mount at all, so nothing to undo.
    if (mount(NULL, a[0], NULL, MS_REMOUNT | MS_BIND, NULL) < 0 && errno != EINVAL) refused("mount");
    if (chdir(a[0]) < 0) refused("chdir");
    int file = open(a[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) refused("create");
    unlink(a[1]);
    succeeded();
}

/// PATH NAME: the same by the newer call.
static void set_attributes(char **a) {
    uint64_t clear_read_only[4] = {0, 1, 0, 0};
    if (syscall(SYS_mount_setattr, AT_FDCWD, a[0], 0, clear_read_only, sizeof clear_read_only) < 0 && errno != EINVAL)
        refused("mount_setattr");
    if (chdir(a[0]) < 0) refused("chdir");
    int file = open(a[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) refused("create");
    unlink(a[1]);
    succeeded();
}

/// PATH FILE TEXT: takes away what is mounted over PATH.
static void unmount(char **a) {
    if (umount2(a[0], DETACH) < 0 && errno != EINVAL && errno != ENOENT) refused("umount");
    int file = open(a[1], O_RDONLY | O_CLOEXEC);
    if (file < 0) refused("open");
    expect_text(file, a[2]);
}

/// PATH FILE TEXT: the same with the rights one has in a user namespace of one's own.
static void unmount_as_own_root(char **a) {
    if (unshare(CLONE_NEWUSER) < 0) refused("unshare");
    if (unshare(CLONE_NEWNS) < 0) refused("unshare");
    unmount(a);
}

static void pivot(char **a) {
    (void)a;
    judge("pivot_root", syscall(SYS_pivot_root, "/", "/"), REACHED(EINVAL, EBUSY));
}

/// DIRECTORY FILE TEXT: out of a root by way of a second one.
static void leave_root(char **a) {
    mkdir(a[0], 0700);
    if (chroot(a[0]) < 0) refused("chroot");
    for (int level = 0; level < 64; level++)
        if (chdir("..") < 0) refused("chdir");
    if (chroot(".") < 0) refused("chroot");
    int file = open(a[1], O_RDONLY | O_CLOEXEC);
    if (file < 0) refused("open");
    expect_text(file, a[2]);
}

static int namespace_flag(const char *name) {
    static const struct {
        const char *name;
        int flag;
    } flags[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS}, {"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET},
        {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"cgroup", 0x02000000}, {"time", 0x00000080}};
    for (size_t index = 0; index < sizeof flags / sizeof *flags; index++)
        if (!strcmp(flags[index].name, name)) return flags[index].flag;
    errno = EINVAL;
    unprepared("namespace");
}

/// NAMESPACE
static void leave_namespace(char **a) { judge("unshare", unshare(namespace_flag(a[0])), REACHED(0)); }

static void clone_user(char **a) {
    (void)a;
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    if (child < 0) refused("clone");
    waitpid((pid_t)child, NULL, 0);
    succeeded();
}

/// Its flags are in memory, where no filter looks.
static void clone3_user(char **a) {
    (void)a;
    uint64_t request[11] = {[0] = CLONE_NEWUSER, [4] = SIGCHLD};
    long child = syscall(SYS_clone3, request, sizeof request);
    if (child == 0) _exit(0);
    if (child < 0) refused("clone3");
    waitpid((pid_t)child, NULL, 0);
    succeeded();
}

/// PROCESS NAMESPACE
static void join_namespace(char **a) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/%s", a[0], a[1]);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) refused("open");
    if (setns(file, namespace_flag(a[1])) < 0) refused("setns");
    succeeded();
}

int run_without_namespaces(char **command) {
#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
    struct sock_filter instructions[] = {
        FIELD(nr),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
        FIELD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 1, 2),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof instructions / sizeof *instructions, instructions};
    if (geteuid() != 0) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) unprepared("filter");
    execvp(command[0], command);
    unprepared("execute");
}

const struct attempt mount_attempts[] = {
    {"bind-mount", 4, bind_mount}, {"overlay", 4, overlay}, {"file-system", 3, file_system},
    {"open-tree", 3, open_tree_clone}, {"open-tree-attributes", 3, open_tree_attributes}, {"fsopen", 1, fs_open},
    {"remount", 2, remount}, {"mount-attributes", 2, set_attributes}, {"unmount", 3, unmount},
    {"own-root-unmount", 3, unmount_as_own_root}, {"pivot-root", 0, pivot}, {"leave-root", 3, leave_root},
    {"leave-namespace", 1, leave_namespace}, {"clone-user", 0, clone_user}, {"clone3-user", 0, clone3_user},
    {"join-namespace", 2, join_namespace}, {0},
};
