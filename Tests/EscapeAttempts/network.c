// Sockets of every kind, and memory that processes share.
#include "attempts.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

static int make_socket(int family, int type, int protocol) {
    int made = socket(family, type | SOCK_CLOEXEC, protocol);
    if (made < 0) {
        if (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT) absent("socket");
        refused("socket");
    }
    return made;
}

static struct sockaddr_in loopback(const char *port) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/// What the other side says to whoever reaches it.
static _Noreturn void expect_greeting(int connection, const char *text) {
    char bytes[256];
    struct pollfd waiting = {.fd = connection, .events = POLLIN};
    if (poll(&waiting, 1, 10000) != 1) refused_as("receive", "SILENCE");
    ssize_t count = recv(connection, bytes, sizeof bytes, 0);
    if (count < 0) refused("receive");
    expect_bytes(bytes, (size_t)count, text);
}

/// PORT TEXT
static void tcp(char **a) {
    struct sockaddr_in address = loopback(a[0]);
    int connection = make_socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) < 0) refused("connect");
    expect_greeting(connection, a[1]);
}

/// PORT TEXT
static void udp(char **a) {
    struct sockaddr_in address = loopback(a[0]);
    int connection = make_socket(AF_INET, SOCK_DGRAM, 0);
    // Connected, so that the answer of a port that nobody has is an error here.
    if (connect(connection, (struct sockaddr *)&address, sizeof address) < 0) refused("connect");
    if (send(connection, "?", 1, 0) < 0) refused("send");
    expect_greeting(connection, a[1]);
}

/// NAMESPACE, the host's: a port of the host's that others would take for a service.
static void listen_tcp(char **a) {
    char own[64] = {0};
    struct sockaddr_in address = loopback("0");
    int listener = make_socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) refused("bind");
    if (listen(listener, 1) < 0) refused("listen");
    if (readlink("/proc/self/ns/net", own, sizeof own - 1) < 0) unprepared("readlink");
    if (strcmp(own, a[0])) refused_as("namespace", "OWN");
    succeeded();
}

/// NAMESPACE
static void raw(char **a) {
    char own[64] = {0};
    make_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (readlink("/proc/self/ns/net", own, sizeof own - 1) < 0) unprepared("readlink");
    if (strcmp(own, a[0])) refused_as("namespace", "OWN");
    succeeded();
}

/// NAMESPACE
static void packet(char **a) {
    char own[64] = {0};
    make_socket(AF_PACKET, SOCK_RAW, 0);
    if (readlink("/proc/self/ns/net", own, sizeof own - 1) < 0) unprepared("readlink");
    if (strcmp(own, a[0])) refused_as("namespace", "OWN");
    succeeded();
}

/// NAMESPACE: changes a network interface that does not exist.
static void netlink(char **a) {
    char own[64] = {0};
    struct {
        struct nlmsghdr head;
        unsigned char link[16];
    } request = {.head = {.nlmsg_len = sizeof request, .nlmsg_type = 19, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
    // The index of the interface.
    memcpy(request.link + 4, &(int){0x7ffffff0}, 4);
    int connection = make_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (send(connection, &request, sizeof request, 0) < 0) refused("send");
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[256];
    } answer;
    if (recv(connection, &answer, sizeof answer, 0) < 0) refused("receive");
    errno = -answer.error.error;
    if (errno && errno != ENODEV) refused("answer");
    if (readlink("/proc/self/ns/net", own, sizeof own - 1) < 0) unprepared("readlink");
    if (strcmp(own, a[0])) refused_as("namespace", "OWN");
    succeeded();
}

static void crypto(char **a) {
    (void)a;
    make_socket(38, SOCK_SEQPACKET, 0);
    succeeded();
}

static void vsock(char **a) {
    (void)a;
    make_socket(40, SOCK_STREAM, 0);
    succeeded();
}

static _Noreturn void connect_unix(const struct sockaddr_un *address, socklen_t length, const char *text) {
    int connection = make_socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(connection, (const struct sockaddr *)address, length) < 0) refused("connect");
    expect_greeting(connection, text);
}

/// PATH TEXT
static void unix_path(char **a) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(a[0]) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        unprepared("path");
    }
    strcpy(address.sun_path, a[0]);
    connect_unix(&address, sizeof address, a[1]);
}

/// NAME TEXT
static void unix_abstract(char **a) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strnlen(a[0], sizeof address.sun_path - 1);
    memcpy(address.sun_path + 1, a[0], length);
    connect_unix(&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length), a[1]);
}

/// KEY TEXT
static void shared_memory(char **a) {
    int segment = shmget((key_t)strtol(a[0], NULL, 0), 0, 0);
    if (segment < 0) refused("shmget");
    const char *bytes = shmat(segment, NULL, SHM_RDONLY);
    if (bytes == (void *)-1) refused("shmat");
    expect_bytes(bytes, 256, a[1]);
}

/// KEY
static void message_queue(char **a) {
    int queue = msgget((key_t)strtol(a[0], NULL, 0), 0);
    if (queue < 0) refused("msgget");
    struct msqid_ds facts;
    if (msgctl(queue, IPC_STAT, &facts) < 0) refused("msgctl");
    succeeded();
}

/// NAME
static void posix_queue(char **a) {
    mqd_t queue = mq_open(a[0], O_RDWR | O_CLOEXEC);
    if (queue == (mqd_t)-1) refused("mq_open");
    succeeded();
}

const struct attempt network_attempts[] = {
    {"tcp", 2, tcp}, {"udp", 2, udp}, {"listen-tcp", 1, listen_tcp}, {"raw", 1, raw}, {"packet", 1, packet},
    {"netlink", 1, netlink}, {"crypto", 0, crypto}, {"vsock", 0, vsock}, {"unix", 2, unix_path},
    {"abstract", 2, unix_abstract}, {"shared-memory", 2, shared_memory}, {"message-queue", 1, message_queue},
    {"posix-queue", 1, posix_queue}, {0},
};
