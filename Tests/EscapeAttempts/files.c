// Files, devices and what leads to them.
#include "attempts.h"

#include <dirent.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/xattr.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/// PATH TEXT
static void read_file(char **a) {
    int file = open(a[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) refused("open");
    expect_text(file, a[1]);
}

/// PATH: for writing, without writing.
static void write_file(char **a) {
    int file = open(a[0], O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    // On a device that nobody drives: the node itself was no obstacle.
    if (file < 0 && errno != ENXIO && errno != ENODEV) refused("open");
    succeeded();
}

/// PATH: a new file, which goes at once, wherever that was.
static void create_file(char **a) {
    char *name = strrchr(a[0], '/');
    if (!name) unprepared("path");
    *name++ = 0;
    int directory = open(a[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
    // What refuses to be looked at has no new files either.
    if (directory < 0) refused("create");
    int file = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) refused("create");
    if (unlinkat(directory, name, 0) < 0) refused("unlink");
    succeeded();
}

/// PATH: a device, readable to its first block.
static void read_device(char **a) {
    char block[512];
    int file = open(a[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) refused("open");
    // EINVAL: a device that is there for other calls.
    if (read(file, block, sizeof block) < 0 && errno != EAGAIN && errno != EINVAL && errno != EIO) refused("read");
    succeeded();
}

/// PATH b|c MAJOR MINOR: a node made for a device of the host's, then read.
static void make_node(char **a) {
    mode_t kind = *a[1] == 'b' ? S_IFBLK : S_IFCHR;
    if (mknod(a[0], kind | 0600, makedev((unsigned)atoi(a[2]), (unsigned)atoi(a[3]))) < 0) refused("mknod");
    int file = open(a[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int error = errno;
    unlink(a[0]);
    errno = error;
    if (file < 0) refused("open");
    succeeded();
}

struct handle {
    struct file_handle head;
    unsigned char bytes[MAX_HANDLE_SZ];
};

/// PATH: prints the handle that `by-handle` takes.
static void print_handle(char **a) {
    struct handle handle = {.head.handle_bytes = MAX_HANDLE_SZ};
    int mount;
    if (name_to_handle_at(AT_FDCWD, a[0], &handle.head, &mount, 0) < 0) unprepared("name_to_handle_at");
    printf("%d:", handle.head.handle_type);
    for (unsigned index = 0; index < handle.head.handle_bytes; index++) printf("%02x", handle.head.f_handle[index]);
    puts("");
    exit(0);
}

/// PATH: whoever starts the program becomes an administrator.
static void give_administration(char **a) {
    struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
        .data[0].permitted = 1 << CAP_SYS_ADMIN};
    if (setxattr(a[0], XATTR_NAME_CAPS, &data, XATTR_CAPS_SZ_2, 0) < 0) unprepared("setxattr");
    exit(0);
}

/// DIRECTORY HANDLE TEXT: a file by its number, whatever lies over its path; DIRECTORY is of the same file system.
static void by_handle(char **a) {
    struct handle handle = {0};
    char *hex;
    handle.head.handle_type = (int)strtol(a[1], &hex, 10);
    for (hex++; hex[0] && hex[1] && handle.head.handle_bytes < MAX_HANDLE_SZ; hex += 2) {
        unsigned byte;
        if (sscanf(hex, "%2x", &byte) != 1) break;
        handle.head.f_handle[handle.head.handle_bytes++] = (unsigned char)byte;
    }
    int directory = open(a[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) unprepared("open");
    int file = open_by_handle_at(directory, &handle.head, O_RDONLY);
    if (file < 0) refused("open_by_handle_at");
    expect_text(file, a[2]);
}

/// Descriptors that nobody gave on purpose.
static void leaked(char **a) {
    (void)a;
    DIR *directory = opendir("/proc/self/fd");
    if (!directory) unprepared("opendir");
    for (struct dirent *entry; (entry = readdir(directory));) {
        int number = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && number > 2 && number != dirfd(directory)) {
            fprintf(stderr, "descriptor %d is open\n", number);
            succeeded();
        }
    }
    refused_as("descriptors", "NONE");
}

/// PATH: nobody could remove the file any more, its owner neither.
static void immutable(char **a) {
    int file = open(a[0], O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) unprepared("open");
    int flags = 0;
    if (ioctl(file, FS_IOC_GETFLAGS, &flags) < 0) absent("flags");
    flags |= FS_IMMUTABLE_FL;
    if (ioctl(file, FS_IOC_SETFLAGS, &flags) < 0) refused("flags");
    flags &= ~FS_IMMUTABLE_FL;
    ioctl(file, FS_IOC_SETFLAGS, &flags);
    succeeded();
}

/// PATH: ends what keeps its file system from being written, which nothing does.
static void thaw(char **a) {
    int directory = open(a[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) unprepared("open");
    judge("ioctl", ioctl(directory, FITHAW, 0), REACHED(EINVAL));
}

/// PATH: a file of root's that makes whoever starts it root.
static void make_setuid(char **a) {
    int file = open(a[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    if (file < 0) unprepared("open");
    if (fchown(file, 0, 0) < 0) refused("chown");
    if (fchmod(file, 04755) < 0) refused("chmod");
    struct stat facts;
    fstat(file, &facts);
    unlink(a[0]);
    if (facts.st_uid != 0 || !(facts.st_mode & S_ISUID)) refused_as("chmod", "WITHOUT");
    succeeded();
}

const struct attempt file_attempts[] = {
    {"read", 2, read_file}, {"write", 1, write_file}, {"create", 1, create_file}, {"read-device", 1, read_device},
    {"make-node", 4, make_node}, {"handle", 1, print_handle},
    {"give-administration", 1, give_administration}, {"by-handle", 3, by_handle}, {"leaked", 0, leaked},
    {"immutable", 1, immutable}, {"thaw", 1, thaw}, {"make-setuid", 1, make_setuid}, {0},
};
