// More of something than a script should have. Each of them ends by itself far below what would hurt the machine.
#include "attempts.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/// COUNT
static void forks(char **a) {
    int wanted = atoi(a[0]);
    if (wanted > 200) wanted = 200;
    pid_t children[200];
    int made = 0, error = 0;
    for (; made < wanted; made++) {
        pid_t child = fork();
        if (child < 0) {
            error = errno;
            break;
        }
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            pause();
            _exit(0);
        }
        children[made] = child;
    }
    for (int index = 0; index < made; index++) kill(children[index], SIGKILL);
    for (int index = 0; index < made; index++) waitpid(children[index], NULL, 0);
    errno = error;
    if (error) refused("fork");
    succeeded();
}

/// MEGABYTES
static void memory(char **a) {
    size_t wanted = (size_t)atoi(a[0]);
    if (wanted > 256) wanted = 256;
    for (size_t made = 0; made < wanted; made++) {
        char *piece = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (piece == MAP_FAILED) refused("mmap");
        memset(piece, 1, 1 << 20);
    }
    succeeded();
}

/// COUNT
static void descriptors(char **a) {
    int wanted = atoi(a[0]);
    for (int made = 0; made < wanted; made++)
        if (dup(0) < 0) refused("dup");
    succeeded();
}

/// PATH MEGABYTES
static void file_size(char **a) {
    static char piece[1 << 20];
    int wanted = atoi(a[1]);
    signal(SIGXFSZ, SIG_IGN);
    int file = open(a[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) unprepared("open");
    for (int made = 0; made < wanted && made < 64; made++)
        if (write(file, piece, sizeof piece) != sizeof piece) {
            int error = errno;
            unlink(a[0]);
            errno = error;
            refused("write");
        }
    unlink(a[0]);
    succeeded();
}

/// MEGABYTES
static void lock_memory(char **a) {
    size_t size = (size_t)atoi(a[0]) << 20;
    void *piece = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (piece == MAP_FAILED) unprepared("mmap");
    if (mlock(piece, size) < 0) refused("mlock");
    succeeded();
}

/// The limit that decides whether a crash leaves the process's memory on the disk.
static void core_limit(char **a) {
    (void)a;
    struct rlimit megabyte = {1 << 20, 1 << 20};
    if (setrlimit(RLIMIT_CORE, &megabyte) < 0) refused("setrlimit");
    succeeded();
}

const struct attempt limit_attempts[] = {
    {"forks", 1, forks}, {"memory", 1, memory}, {"descriptors", 1, descriptors}, {"file-size", 2, file_size},
    {"lock-memory", 1, lock_memory}, {"core-limit", 0, core_limit}, {0},
};
