/// The kernel, its clock, its modules, its tables.
extension Attempt {
    /// A call that only the administrator of the machine has a use for.
    private static func administration(_ name: String, _ attempt: String, _ answer: String) -> Attempt {
        Attempt(
            name,
            "call \(attempt)",
            standard: .refused(by: .systemCalls(answer), .capabilities(answer)),
            strict: .refused(by: .systemCalls(answer), .capabilities(answer)),
            user: .refused(by: .ordinaryUser(answer)),
            strictUser: .refused(by: .systemCalls(answer), .ordinaryUser(answer)),
            withoutNamespaces: .refused(by: .systemCalls(answer), .ordinaryUser(answer))
        )
    }

    /// A call that everybody has, and that has let too many out.
    private static func everybody(
        _ name: String,
        _ attempt: String,
        _ answer: String,
        standard: Expectation? = nil
    ) -> Attempt {
        Attempt(
            name,
            "call \(attempt)",
            standard: standard ?? .refused(by: .systemCalls(answer)),
            strict: .refused(by: .systemCalls(answer)),
            user: .succeeds(because: "the kernel permits it to everybody"),
            strictUser: .refused(by: .systemCalls(answer)),
            withoutNamespaces: .refused(by: .systemCalls(answer))
        )
    }

    static let kernelAttempts: [Attempt] = [
        administration("load a kernel module", "load-module", "init_module EPERM"),
        administration("load a kernel module from a file", "load-module-file", "finit_module EPERM"),
        administration("unload a kernel module", "unload-module", "delete_module EPERM"),
        administration("load another kernel", "load-kernel", "kexec_load EPERM"),
        administration("load another kernel from a file", "load-kernel-file", "kexec_file_load EPERM"),
        administration("load a program into the kernel", "bpf-program", "bpf EPERM"),
        Attempt(
            "measure all of the machine",
            "call measure-all",
            standard: .refused(by: .systemCalls("perf_event_open EPERM"), .capabilities("perf_event_open EACCES")),
            strict: .refused(by: .systemCalls("perf_event_open EPERM"), .capabilities("perf_event_open EACCES")),
            user: .refused(by: .ordinaryUser("perf_event_open EACCES")),
            strictUser: .refused(by: .systemCalls("perf_event_open EPERM"), .ordinaryUser("perf_event_open EACCES"))
        ),
        administration("restart the machine", "reboot", "reboot EPERM"),
        administration("set the time", "set-time", "settimeofday EPERM"),
        administration("set a clock", "set-clock", "clock_settime EPERM"),
        Attempt(
            "let a clock go wrong",
            "call adjust-clock",
            standard: .refused(by: .capabilities("clock_adjtime EPERM")),
            strict: .refused(by: .systemCalls("clock_adjtime EPERM"), .capabilities("clock_adjtime EPERM")),
            user: .refused(by: .ordinaryUser("clock_adjtime EPERM")),
            strictUser: .refused(by: .systemCalls("clock_adjtime EPERM"), .ordinaryUser("clock_adjtime EPERM"))
        ),
        administration("swap to a file", "swap-on", "swapon EPERM"),
        administration("end the swapping", "swap-off", "swapoff EPERM"),
        administration("log all processes of the machine", "account", "acct EPERM"),
        everybody("end the quotas", "quota", "quotactl EPERM"),
        administration("use every port of the hardware", "port-level", "iopl EPERM"),
        administration("use one port of the hardware", "port-access", "ioperm EPERM"),
        administration("stop the kernel at a page of one's own", "page-faults", "userfaultfd EPERM"),
        everybody("keep a key in the kernel", "add-key", "add_key EPERM"),
        everybody("find the keys of the session", "key-control", "keyctl EPERM"),
        everybody("ask for a key", "request-key", "request_key EPERM"),
        everybody(
            "make system calls through a ring",
            "ring",
            "io_uring_setup EPERM",
            standard: .succeeds(because: "databases and runtimes use it")
        ),
        administration("hang up the terminal", "hang-up", "vhangup EPERM"),
        administration("silence the kernel's log", "kernel-log", "syslog EPERM"),
        Attempt(
            "decide on every opened file of the machine",
            "call watch-files",
            standard: .refused(by: .capabilities("fanotify_init EPERM")),
            strict: .refused(by: .systemCalls("fanotify_init ENOSYS"), .capabilities("fanotify_init EPERM")),
            user: .refused(by: .ordinaryUser("fanotify_init EPERM")),
            strictUser: .refused(by: .systemCalls("fanotify_init ENOSYS"), .ordinaryUser("fanotify_init EPERM"))
        ),
        everybody("make system calls of the 32-bit kind", "foreign", "int80 ENOSYS"),
        everybody("type into a terminal", "type 5412", "ioctl EPERM"),
        everybody("type into a terminal, with a number that only the kernel shortens", "type 100005412", "ioctl EPERM"),
        everybody("type into a console", "type 541C", "ioctl EPERM"),
        Attempt(
            "rename the host",
            #"call rename-host "$HOST_NAME" "$HOST_NAMES""#,
            standard: .refused(by: .systemCalls("sethostname EPERM"), .capabilities("sethostname EPERM")),
            strict: .refused(
                by: .systemCalls("sethostname EPERM"),
                .capabilities("sethostname EPERM"),
                .hostNameNamespace("namespace OWN")
            ),
            user: .refused(by: .ordinaryUser("sethostname EPERM")),
            strictUser: .refused(by: .systemCalls("sethostname EPERM"), .ordinaryUser("sethostname EPERM"))
        ),
        Attempt(
            "rename the host's domain",
            #"call rename-domain "$HOST_NAMES""#,
            standard: .refused(by: .systemCalls("setdomainname EPERM"), .capabilities("setdomainname EPERM")),
            strict: .refused(
                by: .systemCalls("setdomainname EPERM"),
                .capabilities("setdomainname EPERM"),
                .hostNameNamespace("namespace OWN")
            ),
            user: .refused(by: .ordinaryUser("setdomainname EPERM")),
            strictUser: .refused(by: .systemCalls("setdomainname EPERM"), .ordinaryUser("setdomainname EPERM"))
        ),
    ]
}
