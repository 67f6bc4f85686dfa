// The other side of the fence, for as long as standard input is open: what scripts are after.
//
// `host SECRET HOME SOCKETS FILES` listens everywhere and shares memory; SOCKETS are paths with spaces between them.
// `victim SECRET FILE` is a process with secrets: in its environment, in its memory, and FILE open as descriptor 9. Both
// print lines NAME=VALUE, READY the last.
//
// When the input ends, the test has ended, however that was. HOME goes with all that is in it, and FILES do, in that
// order, with the directories among them that are empty by then.
#include "attempts.h"

#include <arpa/inet.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { MAXIMUM = 16 };
static struct pollfd watched[MAXIMUM];
static int count;

static _Noreturn void fail(const char *step) {
    fprintf(stderr, "escape-attempts: %s: %s\n", step, strerror(errno));
    exit(2);
}

static void watch(int file) {
    if (count == MAXIMUM) fail("too many sockets");
    watched[count++] = (struct pollfd){.fd = file, .events = POLLIN};
}

static int inet_port(int type) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int made = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0 || bind(made, (struct sockaddr *)&address, length) < 0) fail("bind");
    if (type == SOCK_STREAM && listen(made, 128) < 0) fail("listen");
    if (getsockname(made, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
    watch(made);
    return ntohs(address.sin_port);
}

static void unix_listener(const char *path, bool is_abstract) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path), offset = is_abstract ? 1 : 0;
    if (length + offset >= sizeof address.sun_path) fail(path);
    memcpy(address.sun_path + offset, path, length);
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + offset + length + (is_abstract ? 0 : 1));
    if (made < 0 || bind(made, (struct sockaddr *)&address, size) < 0 || listen(made, 128) < 0) fail(path);
    if (!is_abstract) chmod(path, 0666);
    watch(made);
}

static void greet(int listener, const char *text) {
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    char byte;
    // A datagram, or else somebody who connects.
    if (recvfrom(listener, &byte, 1, 0, (struct sockaddr *)&peer, &length) >= 0) {
        sendto(listener, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&peer, length);
        return;
    }
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) return;
    send(connection, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(connection);
}

int be_host(char **a) {
    const char *secret = a[0];
    char greeting[128], name[64];
    snprintf(greeting, sizeof greeting, "greeting-%s", secret);
    for (int signal_number = 1; signal_number <= SIGTERM; signal_number++)
        if (signal_number != SIGKILL && signal_number != SIGCHLD) signal(signal_number, SIG_IGN);
    watch(0);
    printf("PORT=%d\n", inet_port(SOCK_STREAM));
    printf("UDP_PORT=%d\n", inet_port(SOCK_DGRAM));
    snprintf(name, sizeof name, "escape-%s", secret);
    unix_listener(name, true);
    char *sockets = strdup(a[2]);
    for (char *path = strtok(sockets, " "); path; path = strtok(NULL, " ")) unix_listener(path, false);

    key_t key = 0x65000000 | (getpid() & 0xffffff);
    int segment = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0666);
    char *shared = segment < 0 ? (char *)-1 : shmat(segment, NULL, 0);
    if (shared == (char *)-1) fail("shmget");
    snprintf(shared, 4096, "shared-%s", secret);
    int messages = msgget(key, IPC_CREAT | IPC_EXCL | 0666);
    if (messages < 0) fail("msgget");
    snprintf(name, sizeof name, "/escape-%s", secret);
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 16};
    umask(0);
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666, &attributes);
    if (queue == (mqd_t)-1) fail("mq_open");
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0) fail("terminal");
    printf("TERMINAL=%s\nIPC_KEY=%d\nREADY=yes\n", ptsname(terminal), key);
    fflush(stdout);

    while (true) {
        if (poll(watched, (nfds_t)count, -1) < 0) continue;
        if (watched[0].revents) break;
        for (int index = 1; index < count; index++)
            if (watched[index].revents) greet(watched[index].fd, greeting);
    }
    shmctl(segment, IPC_RMID, NULL);
    msgctl(messages, IPC_RMID, NULL);
    mq_unlink(name);
    for (char *path = strtok(a[2], " "); path; path = strtok(NULL, " ")) unlink(path);
    // What a script has mounted and nobody has taken away is not ours to remove.
    pid_t remover = fork();
    if (remover == 0) {
        execlp("rm", "rm", "-rf", "--one-file-system", "--", a[1], NULL);
        _exit(127);
    }
    waitpid(remover, NULL, 0);
    for (char *path = strtok(a[3], " "); path; path = strtok(NULL, " ")) remove(path);
    return 0;
}

int be_victim(char **a) {
    static char memory[256];
    snprintf(memory, sizeof memory, "memory-%s", a[0]);
    int file = open(a[1], O_RDONLY);
    if (file < 0 || dup2(file, 9) < 0) fail(a[1]);
    printf("VICTIM=%d\nVICTIM_MEMORY=%lx\nREADY=yes\n", getpid(), (unsigned long)memory);
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {}
    return 0;
}
