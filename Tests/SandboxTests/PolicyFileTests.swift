import Testing

@testable import Sandbox

@Suite struct PolicyFileTests {
    static let path = "/p/web.toml"

    static func policy(_ text: String) throws(SettingsFileError) -> SandboxPolicy {
        try PolicyFile.policy(Array(text.utf8), name: "web", path: path)
    }

    static func problems(_ text: String) -> [String] {
        do throws(SettingsFileError) {
            _ = try policy(text)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test("an empty file is the standard policy under another name")
    func empty() throws {
        var expected = SandboxPolicy.standard
        expected.name = "web"
        expected.description = "Made from standard."
        #expect(try Self.policy("") == expected)
    }

    @Test("every key has its place")
    func everything() throws {
        let policy = try Self.policy(
            """
            description = "web deployments"
            base = "strict"
            require = true
            [processes]
            namespace = false
            background = true
            own-ipc = false
            own-hostname = false
            [identity]
            user = "deploy"
            groups = ["www-data", 33, "www-data"]
            no-new-privileges = false
            add-capabilities = ["cap_net_bind_service", "KILL"]
            drop-capabilities = ["KILL", "CHOWN"]
            capabilities = ["CHOWN", "FOWNER"]
            [files]
            read-only-root = false
            read-only = ["/boot", "/opt/a/"]
            writable = ["/srv/app"]
            hidden = ["/etc/secrets"]
            visible = ["/root/"]
            private-tmp = false
            private-dev = false
            devices = ["/dev/fuse"]
            hide-agent = false
            [system-calls]
            filter = "standard"
            allow = ["ptrace", "ptrace"]
            deny = ["socket"]
            foreign-architectures = true
            [network]
            access = "ports"
            connect = [443, 65535, 443]
            listen = [1]
            udp = true
            abstract-sockets = true
            [limits]
            memory = "2G"
            swap = 0
            processes = 512
            cpu = "150%"
            cpu-weight = 1
            io-weight = 10000
            time = 3600
            workspace = "1G"
            open-files = 16
            file-size = 0
            core-size = "unlimited"
            address-space = "4G"
            locked-memory = 65536
            """
        )
        var expected = SandboxPolicy.strict
        expected.name = "web"
        expected.description = "web deployments"
        expected.isRequired = true
        expected.processes = .init()
        expected.identity.user = .named("deploy")
        expected.identity.groups = ["www-data", "33"]
        expected.identity.noNewPrivileges = false
        expected.identity.capabilities = CapabilitySet(bits: 1 << 3 | 1 << 10)
        expected.files.rootIsReadOnly = false
        expected.files.readOnly.append("/opt/a")
        expected.files.writable = ["/srv/app"]
        expected.files.hidden.removeAll { $0 == "/root" }
        expected.files.hidden.append("/etc/secrets")
        expected.files.privateTmp = false
        expected.files.privateDev = false
        expected.files.devices = ["/dev/fuse"]
        expected.files.hidesAgent = false
        expected.systemCalls = .init()
        expected.systemCalls.filter = .standard
        expected.systemCalls.allowed = ["ptrace"]
        expected.systemCalls.denied = ["socket"]
        expected.systemCalls.foreignArchitectures = true
        expected.network = .init()
        expected.network.access = .ports
        expected.network.connect = [443, 65535]
        expected.network.listen = [1]
        expected.network.udp = true
        expected.limits = .init()
        expected.limits.memory = .bytes(2 << 30)
        expected.limits.swap = .bytes(0)
        expected.limits.processes = 512
        expected.limits.cpuPercent = 150
        expected.limits.cpuWeight = 1
        expected.limits.ioWeight = 10_000
        expected.limits.timeSeconds = 3600
        expected.limits.workspaceBytes = 1 << 30
        expected.limits.openFiles = 16
        expected.limits.fileBytes = 0
        expected.limits.addressSpaceBytes = 4 << 30
        expected.limits.lockedBytes = 65_536
        #expect(policy == expected)
    }

    @Test(
        "a user is a name, a number, one of the script's own, or whoever runs the launcher",
        arguments: [
            ("\"own\"", SandboxPolicy.Identity.User.own), ("\"launcher\"", .launcher), ("1000", .named("1000")),
            ("\"1000\"", .named("1000")), ("\"www-data\"", .named("www-data")), ("'DOM\\user'", .named("DOM\\user")),
        ]
    )
    func users(text: String, user: SandboxPolicy.Identity.User) throws {
        #expect(try Self.policy("base = \"none\"\nidentity.user = \(text)").identity.user == user)
    }

    @Test(
        "limits that make no sense at 0 are none at 0, and all of them are none when unlimited",
        arguments: ["memory", "processes", "time", "workspace", "open-files", "address-space"]
    )
    func noLimits(key: String) throws {
        for value in ["0", "\"unlimited\""] {
            let limits = try Self.policy("base = \"strict\"\n[limits]\n\(key) = \(value)").limits
            switch key {
            case "memory": #expect(limits.memory == nil)
            case "processes": #expect(limits.processes == nil)
            case "time": #expect(limits.timeSeconds == nil)
            case "workspace": #expect(limits.workspaceBytes == nil)
            case "open-files": #expect(limits.openFiles == nil)
            default: #expect(limits.addressSpaceBytes == nil)
            }
        }
    }

    @Test("all capabilities, shares of the memory, and what the base does not hide")
    func others() throws {
        let policy = try Self.policy(
            """
            base = "strict"
            identity = { capabilities = "all", drop-capabilities = ["SYS_ADMIN"] }
            files.visible = ["/nowhere", "/rooted"]
            limits = { memory = "100%", swap = "1%" }
            """
        )
        #expect(policy.identity.capabilities.bits == UInt64.max & ~(1 << 21))
        #expect(policy.files.hidden == SandboxPolicy.strict.files.hidden)
        #expect(policy.limits.memory == .percent(100))
        #expect(policy.limits.swap == .percent(1))
    }

    @Test("what lives on in the background gives up the base's PID namespace")
    func background() throws {
        let policy = try Self.policy("processes.background = true")
        #expect(!policy.processes.ownNamespace)
        #expect(try Self.policy("processes = { background = false, namespace = true }").processes.ownNamespace)
    }

    static let size = "a size of bytes like 4096 or \"512M\" (K, M, G or T)"
    static let refused: [(String, String)] = [
        (
            "base = \"none\"\nprocesses.namespace = true",
            "2: namespace = true needs background = false: what a script leaves behind ends with its PID namespace"
        ),
        ("base = \"web\"", "1: base is \"none\", \"standard\" or \"strict\", not \"web\""),
        ("base = 1", "1: base is \"none\", \"standard\" or \"strict\", not 1"),
        (
            "x = 1",
            "1: unknown key x; known are description, base, require, [processes], [identity], [files], [system-calls], [network] and [limits]"
        ),
        (
            "[network]\nhost = 1",
            "2: unknown key host in [network]; known are access, connect, listen, udp and abstract-sockets"
        ),
        (
            "[processes]\nx = 1",
            "2: unknown key x in [processes]; known are namespace, background, own-ipc and own-hostname"
        ),
        (
            "[identity]\nx = 1",
            "2: unknown key x in [identity]; known are user, groups, no-new-privileges, capabilities, add-capabilities and drop-capabilities"
        ),
        (
            "[files]\n\"a b\" = 1",
            "2: unknown key \"a b\" in [files]; known are read-only-root, read-only, writable, hidden, visible, private-tmp, private-dev, devices and hide-agent"
        ),
        (
            "[system-calls]\nx = 1",
            "2: unknown key x in [system-calls]; known are filter, allow, deny and foreign-architectures"
        ),
        (
            "[limits]\nx = 1",
            "2: unknown key x in [limits]; known are memory, swap, processes, cpu, cpu-weight, io-weight, time, workspace, open-files, file-size, core-size, address-space and locked-memory"
        ),
        ("files = 1", "1: files is a table: [files], not 1"),
        ("[[limits]]", "1: limits is a table: [limits], not several tables"),
        ("require = \"yes\"", "1: require is true or false, not \"yes\""),
        ("description = 1", "1: description is a text, not 1"),
        ("description = \"a\\nb\"", "1: description is one line of at most 4095 bytes, not \"a\\nb\""),
        ("identity.user = \"a:b\"", "1: user is a user's name or number, \"own\" or \"launcher\", not \"a:b\""),
        ("identity.user = -1", "1: user is a user's name or number, \"own\" or \"launcher\", not -1"),
        ("identity.user = 4294967295", "1: user is a user's name or number, \"own\" or \"launcher\", not 4294967295"),
        ("identity.user = \"007\"", "1: user is a user's name or number, \"own\" or \"launcher\", not \"007\""),
        ("identity.groups = \"a\"", "1: groups is a list of groups' names or numbers, not \"a\""),
        ("identity.groups = [\n\"a b\"]", "2: groups: \"a b\" is no group's name or number"),
        ("identity.groups = [true]", "1: groups is a list of groups' names or numbers, not true"),
        (
            "identity.capabilities = \"none\"",
            "1: capabilities is a list of capabilities' names, or \"all\", not \"none\""
        ),
        ("identity.add-capabilities = \"all\"", "1: add-capabilities is a list of capabilities' names, not \"all\""),
        (
            "identity.drop-capabilities = [\"NET\"]",
            "1: drop-capabilities: there is no capability \"NET\"; known are \(CapabilitySet.names.joined(separator: ", "))"
        ),
        ("files.hidden = \"/a\"", "1: hidden is a list of absolute paths, not \"/a\""),
        ("files.hidden = [\n\n1]", "3: hidden is a list of absolute paths, not 1"),
        ("files.hidden = [\"a\"]", "1: hidden: \"a\" is no absolute path"),
        ("files.hidden = [\"\"]", "1: hidden: \"\" is no absolute path"),
        ("files.writable = [\"/a/../b\"]", "1: writable: \"/a/../b\" must be without . and .. parts"),
        ("files.read-only = [\"/.\"]", "1: read-only: \"/.\" must be without . and .. parts"),
        ("files.read-only = [\"/\"]", "1: read-only: \"/\" cannot be listed; read-only-root is for everything"),
        ("files.hidden = [\"/a//b\"]", "1: hidden: \"/a//b\" has an empty part"),
        ("files.hidden = [\"/a\\u0000\"]", "1: hidden is a list of absolute paths, not \"/a\\u0000\""),
        ("files.devices = [\"/srv\"]", "1: devices: \"/srv\" is not below /dev"),
        (
            "files.visible = [\"/run/tentacle/x\"]",
            "1: visible: \"/run/tentacle/x\" lies below /run/tentacle, which the base hides; only /run/tentacle itself can be made visible"
        ),
        ("[files]\nvisible = [\"/a\"]\nhidden = [\"/a\"]", "2: visible: \"/a\" is also in hidden"),
        ("system-calls.filter = \"all\"", "1: filter is \"none\", \"standard\" or \"strict\", not \"all\""),
        (
            "system-calls.allow = [\"Ptrace\"]",
            "1: allow: \"Ptrace\" is no system call's name, which has lower-case letters, digits and _"
        ),
        (
            "system-calls.deny = [\"\"]",
            "1: deny: \"\" is no system call's name, which has lower-case letters, digits and _"
        ),
        ("network.access = \"all\"", "1: access is \"host\", \"ports\" or \"none\", not \"all\""),
        ("network = { access = \"ports\", connect = [0] }", "1: connect is a list of ports from 1 to 65535, not 0"),
        (
            "network = { access = \"ports\", listen = [65536] }",
            "1: listen is a list of ports from 1 to 65535, not 65536"
        ),
        ("network = { access = \"ports\", listen = 1 }", "1: listen is a list of ports, not 1"),
        ("[network]\nconnect = [443]", "2: connect needs access = \"ports\"; with \"host\" it has no effect"),
        ("[network]\naccess = \"none\"\nudp = true", "3: udp needs access = \"ports\"; with \"none\" it has no effect"),
        (
            "limits.memory = \"2X\"",
            "1: memory is a size from 1M on like 4096 or \"512M\" (K, M, G or T), \"1%\" to \"100%\" of the machine's, or 0 for no limit, not \"2X\""
        ),
        (
            "limits.memory = \"101%\"",
            "1: memory is a size from 1M on like 4096 or \"512M\" (K, M, G or T), \"1%\" to \"100%\" of the machine's, or 0 for no limit, not \"101%\""
        ),
        (
            "limits.memory = 1048575",
            "1: memory is a size from 1M on like 4096 or \"512M\" (K, M, G or T), \"1%\" to \"100%\" of the machine's, or 0 for no limit, not 1048575"
        ),
        ("limits.swap = -1", "1: swap is \(size), \"1%\" to \"100%\" of the machine's, or \"unlimited\", not -1"),
        (
            "limits.swap = \"0%\"",
            "1: swap is \(size), \"1%\" to \"100%\" of the machine's, or \"unlimited\", not \"0%\""
        ),
        ("limits.processes = 4194305", "1: processes is a number from 1 to 4194304, or 0 for no limit, not 4194305"),
        ("limits.processes = \"5\"", "1: processes is a number from 1 to 4194304, or 0 for no limit, not \"5\""),
        ("limits.cpu = 150", "1: cpu is a part of one CPU from \"1%\" to \"100000%\", or \"unlimited\", not 150"),
        ("limits.cpu = \"0%\"", "1: cpu is a part of one CPU from \"1%\" to \"100000%\", or \"unlimited\", not \"0%\""),
        ("limits.cpu-weight = 0", "1: cpu-weight is a number from 1 to 10000 (others have 100), not 0"),
        ("limits.io-weight = 10001", "1: io-weight is a number from 1 to 10000 (others have 100), not 10001"),
        ("limits.time = -1", "1: time is a number from 1 to 3162240000, or 0 for no limit, not -1"),
        ("limits.open-files = 15", "1: open-files is a number from 16 to 1073741824, or 0 for no limit, not 15"),
        ("limits.workspace = \"1 thing\"", "1: workspace is \(size), or 0 for no limit, not \"1 thing\""),
        ("limits.core-size = true", "1: core-size is \(size), or \"unlimited\", not true"),
        ("base = \"strict\n", "1: a text without its closing quote"),
        ("\nbase = strict", "2: a text stands in quotes: \"strict\""),
    ]

    @Test("what is wrong is refused with its line and what is allowed", arguments: refused)
    func refuses(text: String, problem: String) {
        #expect(Self.problems(text) == ["\(Self.path):\(problem)"])
    }

    @Test("all problems are told, in the order of their lines")
    func all() {
        let text = "x = 1\n[files]\nvisible = [\"/run/tentacle/x\"]\nhidden = [\"a\", \"b\"]\n[network]\nudp = 1\n"
        let lines = Self.problems(text).map { $0.split(separator: ":")[1] }
        #expect(lines == ["1", "3", "4", "4", "6"])
        let error = #expect(throws: SettingsFileError.self) { try Self.policy(text) }
        #expect(error?.description.hasPrefix("/p/web.toml:1: unknown key x; known are description, ") == true)
    }

    @Test("a list has a limit")
    func lists() {
        func list(_ count: Int) -> String {
            "files.hidden = [\((1...count).map { "\"/\($0)\"" }.joined(separator: ","))]"
        }
        #expect(Self.problems(list(256)) == [])
        #expect(Self.problems(list(257)) == ["/p/web.toml:1: hidden has 257 values; at most 256 are allowed"])
        let long = String(repeating: "x", count: SettingsReader.maximumTextBytes - 1)
        #expect(Self.problems("files.hidden = [\"/\(long)\"]") == [])
        #expect(Self.problems("files.hidden = [\"/\(long)x\"]").count == 1)
    }

    @Test("the text of a policy is read back as the same policy", arguments: SandboxPolicy.profiles)
    func roundTrip(policy: SandboxPolicy) throws {
        let text = PolicyFile.text(of: policy)
        #expect(try PolicyFile.policy(Array(text.utf8), name: policy.name, path: "x") == policy, "\(text)")
        #expect(text.split(separator: "\n").allSatisfy { $0.utf8.count <= 120 }, "\(text)")
    }

    @Test("the same for a policy with every value set")
    func roundTripOfAll() throws {
        var policy = try Self.policy(
            """
            description = 'a "b" \\ c'
            base = "strict"
            identity = { user = "deploy", groups = ["a", 5], capabilities = ["CHOWN"] }
            files = { writable = ["/a b", '/"q"'], devices = ["/dev/kvm"], visible = ["/root"] }
            system-calls = { allow = ["a"], deny = ["b"] }
            network = { access = "ports", connect = [1, 2], listen = [3], udp = true }
            limits = { memory = 1048577, swap = "3M", cpu = "50%", cpu-weight = 5, io-weight = 6, time = 7, workspace = "1T" }
            """
        )
        policy.limits.fileBytes = 1
        policy.limits.addressSpaceBytes = 5 << 30
        let text = PolicyFile.text(of: policy)
        #expect(try PolicyFile.policy(Array(text.utf8), name: "web", path: "x") == policy, "\(text)")
    }
}
