/// Sockets, and memory that processes share.
extension Attempt {
    private static let network = Expectation.succeeds(because: "the network is the host's")

    /// System V and POSIX, in a namespace of their own under `strict`.
    private static func ipc(_ name: String, _ script: String, _ answer: String, _ more: Refusal...) -> Attempt {
        Attempt(
            name,
            script,
            standard: .succeeds(because: "services on the machine share memory with what is deployed"),
            strict: .refusals([.ipcNamespace(answer)] + more),
            user: .succeeds(because: "everybody may"),
            strictUser: .refusals([.ipcNamespace(answer)] + more)
        )
    }

    static let networkAttempts: [Attempt] = [
        Attempt(
            "connect to a port of the host's",
            #"call tcp "$PORT" "greeting-$SECRET""#,
            standard: network,
            strict: .refused(by: .networkNamespace("connect ECONNREFUSED")),
            user: network,
            strictUser: .refused(by: .networkNamespace("connect ECONNREFUSED")),
            withoutNamespaces: .refused(by: .systemCalls("socket ENOSYS"), .networkRules("connect EACCES"))
        ),
        Attempt(
            "send a datagram to a port of the host's",
            #"call udp "$UDP_PORT" "greeting-$SECRET""#,
            standard: network,
            strict: .refused(by: .networkNamespace("receive ECONNREFUSED")),
            user: network,
            strictUser: .refused(by: .networkNamespace("receive ECONNREFUSED")),
            withoutNamespaces: .refused(by: .systemCalls("socket ENOSYS"))
        ),
        Attempt(
            "listen on a port of the host's",
            #"call listen-tcp "$HOST_NETWORK""#,
            standard: network,
            strict: .refused(by: .networkNamespace("namespace OWN")),
            user: network,
            strictUser: .refused(by: .networkNamespace("namespace OWN")),
            withoutNamespaces: .refused(by: .systemCalls("socket ENOSYS"), .networkRules("bind EACCES"))
        ),
        Attempt(
            "make packets of one's own",
            #"call raw "$HOST_NETWORK""#,
            standard: .succeeds(because: "ping and traceroute work"),
            strict: .refused(by: .capabilities("socket EPERM"), .networkNamespace("namespace OWN")),
            user: .refused(by: .ordinaryUser("socket EPERM")),
            strictUser: .refused(by: .ordinaryUser("socket EPERM")),
            withoutNamespaces: .refused(by: .systemCalls("socket ENOSYS"), .ordinaryUser("socket EPERM"))
        ),
        Attempt(
            "listen to the host's network",
            #"call packet "$HOST_NETWORK""#,
            standard: .succeeds(because: "root's scripts may look at the network"),
            strict: .refused(
                by: .systemCalls("socket ENOSYS"),
                .capabilities("socket EPERM"),
                .networkNamespace("namespace OWN")
            ),
            user: .refused(by: .ordinaryUser("socket EPERM")),
            strictUser: .refused(by: .systemCalls("socket ENOSYS"), .ordinaryUser("socket EPERM"))
        ),
        Attempt(
            "change a network interface of the host's",
            #"call netlink "$HOST_NETWORK""#,
            standard: .succeeds(because: "deployments change addresses and routes"),
            strict: .refused(by: .capabilities("answer EPERM"), .networkNamespace("namespace OWN")),
            user: .refused(by: .ordinaryUser("answer EPERM")),
            strictUser: .refused(by: .ordinaryUser("answer EPERM")),
            withoutNamespaces: .refused(by: .systemCalls("socket ENOSYS"), .ordinaryUser("answer EPERM"))
        ),
        Attempt(
            "use the kernel's ciphers",
            "call crypto",
            standard: network,
            strict: .refused(by: .systemCalls("socket ENOSYS")),
            user: network,
            strictUser: .refused(by: .systemCalls("socket ENOSYS"))
        ),
        Attempt(
            "talk to the machine's hypervisor",
            "call vsock",
            standard: network,
            strict: .refused(by: .systemCalls("socket ENOSYS")),
            user: network,
            strictUser: .refused(by: .systemCalls("socket ENOSYS"))
        ),
        Attempt(
            "talk to a socket of the host's that everybody may use",
            #"call unix "$HOST_SOCKET" "greeting-$SECRET""#,
            standard: .succeeds(because: "databases are reached by such sockets"),
            strict: .succeeds(because: "what is not hidden is as open as its permissions: a policy hides more"),
            user: .succeeds(because: "databases are reached by such sockets"),
            strictUser: .succeeds(because: "a socket that is not hidden is as open as its permissions")
        ),
        Attempt(
            "talk to the bus of the system",
            #"call unix "$BUS_SOCKET" "greeting-$SECRET""#,
            requires: [.root],
            standard: .succeeds(because: "systemctl goes by it"),
            strict: .refused(by: .hidden("/run/dbus", "connect EACCES")),
            user: .succeeds(because: "systemctl goes by it"),
            strictUser: .refused(by: .hidden("/run/dbus", "connect EACCES")),
            withoutNamespaces: .succeeds(because: "landlock knows no sockets with paths")
        ),
        Attempt(
            "talk to an abstract socket of the host's",
            #"call abstract "escape-$SECRET" "greeting-$SECRET""#,
            standard: .refused(by: .scopedSockets("connect EPERM")),
            strict: .refused(by: .networkNamespace("connect ECONNREFUSED"), .scopedSockets("connect EPERM")),
            user: network,
            strictUser: .refused(by: .networkNamespace("connect ECONNREFUSED"), .scopedSockets("connect EPERM")),
            withoutNamespaces: .refused(by: .scopedSockets("connect EPERM"))
        ),
        ipc("read memory that the host shares", #"call shared-memory "$IPC_KEY" "shared-$SECRET""#, "shmget ENOENT"),
        ipc("use a message queue of the host's", #"call message-queue "$IPC_KEY""#, "msgget ENOENT"),
        ipc(
            "use a message queue of the host's by name",
            #"call posix-queue "/escape-$SECRET""#,
            "mq_open ENOENT",
            // A queue is a file, and in no directory that a rule allows.
            .landlockFiles("mq_open EACCES")
        ),
        ipc(
            "read memory that the host shares by name",
            #"call read "/dev/shm/escape-$SECRET" "shared-$SECRET""#,
            "open ENOENT"
        ),
    ]
}
