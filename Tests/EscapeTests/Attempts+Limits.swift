/// Too much of something. Each attempt has its own limit in its policies, far below what would hurt the machine.
extension Attempt {
    private static let unlimited = Expectation.succeeds(because: "no limit is set")

    /// A limit of each process, which needs no privileges.
    private static func limit(
        _ name: String,
        _ script: String,
        _ key: String,
        _ value: String,
        unlimited none: String,
        _ answer: String
    ) -> Attempt {
        let refusal = Refusal(.resourceLimit, answer, off: [.set("limits", key, none)])
        return Attempt(
            name,
            script,
            settings: [.set("limits", key, value)],
            standard: .refused(by: refusal),
            strict: .refused(by: refusal),
            user: unlimited,
            standardUser: .refused(by: refusal),
            strictUser: .refused(by: refusal)
        )
    }

    /// A limit that a control group enforces.
    private static func controlled(_ name: String, _ script: String, _ controller: String) -> Attempt {
        Attempt(
            name,
            script,
            requires: [.controllers(controller)],
            standard: .refused(by: .always(.controlGroup, "")),
            strict: .refused(by: .always(.controlGroup, "")),
            user: unlimited,
            strictUser: .refused(by: .always(.controlGroup, ""))
        )
    }

    /// What the quota of a workspace does not see.
    private static func uncounted(_ name: String, _ script: String) -> Attempt {
        let permitted = Expectation.succeeds(
            because: "the quota counts what has a name, down to 64 directories (docs/sandbox.md)"
        )
        return Attempt(
            name,
            script,
            settings: [.set("limits", "workspace", "\"1M\"")],
            standard: permitted,
            strict: permitted,
            user: unlimited,
            standardUser: permitted,
            strictUser: permitted
        )
    }

    static let limitAttempts: [Attempt] = [
        Attempt(
            "fork without end",
            "call forks 150",
            settings: [.set("limits", "processes", "100")],
            standard: .notTested(because: "needs the controller pids: tested under systemd (make test-vm)"),
            strict: .refused(by: .limit("processes", "fork EAGAIN")),
            user: unlimited,
            strictUser: .notTested(because: "needs the controller pids: tested under systemd (make test-vm)")
        ),
        controlled("fork without end, as any user", "call forks 150", "pids"),
        controlled("use all of the memory", "call memory 200", "memory"),
        controlled("use all of every CPU", "call memory 1", "cpu"),
        limit(
            "use too much memory in one process",
            "call memory 200",
            "address-space",
            "\"128M\"",
            unlimited: "0",
            "mmap ENOMEM"
        ),
        limit("open too many files", "call descriptors 500", "open-files", "64", unlimited: "0", "dup EMFILE"),
        limit(
            "write a file that is too large",
            "call file-size large 4",
            "file-size",
            "\"1M\"",
            unlimited: "\"1G\"",
            "write EFBIG"
        ),
        Attempt(
            "lock memory",
            "call lock-memory 4",
            standard: .succeeds(because: "databases lock theirs"),
            strict: .refused(
                by: Refusal(.resourceLimit, "mlock ENOMEM", off: [.set("limits", "locked-memory", "\"8M\"")])
            ),
            user: .succeeds(because: "the machine's own limit is above it"),
            strictUser: .refused(
                by: Refusal(.resourceLimit, "mlock ENOMEM", off: [.set("limits", "locked-memory", "\"8M\"")])
            )
        ),
        Attempt(
            "leave one's memory on the disk at a crash",
            "call core-limit",
            standard: .notTested(because: "root with CAP_SYS_RESOURCE raises its limits, root without does not"),
            strict: .refused(
                by: Refusal(.resourceLimit, "setrlimit EPERM", off: [.set("limits", "core-size", "\"1G\"")])
            ),
            user: .succeeds(because: "no limit is set"),
            standardUser: .refused(
                by: Refusal(.resourceLimit, "setrlimit EPERM", off: [.set("limits", "core-size", "\"1G\"")])
            ),
            strictUser: .refused(
                by: Refusal(.resourceLimit, "setrlimit EPERM", off: [.set("limits", "core-size", "\"1G\"")])
            )
        ),
        limit(
            "fill the workspace",
            "head -c 8M /dev/zero > large; sleep 1.5; echo succeeded",
            "workspace",
            "\"1M\"",
            unlimited: "0",
            "stopped QUOTA"
        ),
        Attempt(
            "fill the script's own /tmp",
            "head -c 8M /dev/zero > /tmp/$NAME; sleep 1.5; rm -f /tmp/$NAME; echo succeeded",
            settings: [.set("limits", "workspace", "\"1M\"")],
            standard: .refused(by: .limit("workspace", "stopped QUOTA")),
            strict: .refused(by: .limit("workspace", "stopped QUOTA")),
            user: unlimited,
            standardUser: .succeeds(because: "without mounts /tmp is the host's, and no part of the workspace"),
            strictUser: .refused(by: .limit("workspace", "stopped QUOTA"))
        ),
        uncounted(
            "fill the workspace with a file that has no name",
            "exec 5> large; rm large; head -c 8M /dev/zero >&5; sleep 1.5; echo succeeded"
        ),
        uncounted(
            "fill the workspace far below",
            "for level in {1..70}; do mkdir d; cd -P d; done; head -c 8M /dev/zero > large; sleep 1.5; echo succeeded"
        ),
        limit("never end", "sleep 1.5; echo succeeded", "time", "1", unlimited: "0", "stopped TIME"),
    ]
}
