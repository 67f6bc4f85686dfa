import Foundation
import Glibc
import ProcessTesting
import Testing

/// Puts up what `EscapeStage` describes.
///
/// The program that listens on the host's side takes everything down when its input ends, so that nothing stays when this
/// process is killed either.
struct StageBuilder {
    let secret: String
    let home: String
    let ordinaryUser: uid_t?
    let launcher: String
    let attempts: String
    private let held: String
    private let core: String
    /// Parents before children.
    private var made: [String] = []

    /// Nobody's: between the users whom systemd knows (its UIDS-GIDS.md).
    private static let unusedUsers: ClosedRange<uid_t> = 60_706...61_183

    init() throws {
        secret = String(UUID().uuidString.prefix(8).lowercased())
        // Not below /tmp, where a script with one of its own would not find it anyway.
        home = (EscapeStage.isRoot ? "/var/lib" : NSHomeDirectory()) + "/escape-\(secret)"
        ordinaryUser = EscapeStage.isRoot ? uid_t.random(in: Self.unusedUsers) : nil
        launcher = home + "/bin/tentacle-launcher"
        attempts = home + "/bin/escape-attempts"
        held = home + "/held"
        core = "/var/lib/systemd/coredump/core.escape-\(secret)"
        let files = FileManager.default
        try files.createDirectory(atPath: home + "/bin", withIntermediateDirectories: true)
        try files.createDirectory(atPath: home + "/runs", withIntermediateDirectories: true)
        for name in ["tentacle-launcher", "escape-attempts"] {
            let program = try #require(Self.program(name), "\(name) is not beside the tests: build it first")
            try files.copyItem(atPath: program, toPath: home + "/bin/\(name)")
        }
        try write(home + "/empty", "", mode: 0o644)
        try write(held, "held-\(secret)", mode: 0o600)
        for folder in ["/tmp", "/var/tmp", "/dev/shm"] {
            try write(folder + "/escape-\(secret)", "temporary-\(secret) shared-\(secret)", mode: 0o644)
            made.append(folder + "/escape-\(secret)")
        }
        guard EscapeStage.isRoot else { return }
        try files.copyItem(atPath: "/usr/bin/id", toPath: home + "/bin/setuid-id")
        chmod(home + "/bin/setuid-id", 0o4755)
        try files.copyItem(atPath: "/bin/cat", toPath: home + "/bin/capable-cat")
        // What a machine with an agent has.
        for path in [
            "/etc/tentacle", "/etc/tentacle/policies", "/run/tentacle", "/run/dbus", "/usr/lib/modules", "/boot",
            "/var/lib/systemd", "/var/lib/systemd/coredump",
        ] where mkdir(path, 0o755) == 0 { made.append(path) }
        try write(core, "core-\(secret)", mode: 0o600)
        // Keeps somebody else's directory from being removed as an empty one.
        try write("/etc/tentacle/policies/.escape-\(secret)", "", mode: 0o600)
        try write("/usr/lib/modules/.escape-\(secret)", "", mode: 0o600)
        made += [
            core, "/etc/tentacle/policies/.escape-\(secret)",
            "/usr/lib/modules/.escape-\(secret)",
        ]
    }

    func running(_ body: (EscapeStage) async throws -> Void) async throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // Whoever reads it knows when this test has ended.
        let (input, life) = (ends[0], ends[1])
        var programs: [RunningProgram] = []
        let result: Result<Void, any Error>
        do {
            if EscapeStage.isRoot {
                let capable = try RunningProgram(attempts, ["give-administration", home + "/bin/capable-cat"])
                try #require(await capable.exited() == 0)
            }
            var sockets = ["HOST_SOCKET": home + "/host.socket"]
            if EscapeStage.isRoot {
                sockets["BUS_SOCKET"] = "/run/dbus/escape-\(secret)"
                sockets["LAUNCHER_SOCKET"] = "/run/tentacle/escape-\(secret)"
            }
            let host = try RunningProgram(
                attempts,
                ["host", secret, home, sockets.values.joined(separator: " "), made.reversed().joined(separator: " ")],
                input: .descriptor(input)
            )
            programs.append(host)
            var variables = try await Self.variables(of: host)
            variables.merge(sockets) { _, new in new }
            let handle = try await RunningProgram(attempts, ["handle", held]).outcome().output
            variables["HELD_HANDLE"] = String(handle.prefix { $0 != "\n" })
            variables.merge(facts) { _, new in new }
            var victims: [Starter: [String: String]] = [:]
            for starter in EscapeStage.isRoot ? [Starter.root, .user] : [.user] {
                let victim = try startVictim(starter, input)
                programs.append(victim)
                victims[starter] = try await Self.variables(of: victim)
            }
            try await body(EscapeStage(self, variables, victims))
            result = .success(())
        } catch {
            result = .failure(error)
        }
        close(life)
        close(input)
        for program in programs { await program.exited() }
        try result.get()
    }

    /// Of root, or of the ordinary user, who holds a file of its own.
    private func startVictim(_ starter: Starter, _ input: Int32) throws -> RunningProgram {
        var file = held
        if starter == .user, let ordinaryUser {
            file = home + "/held-by-user"
            try write(file, "held-\(secret)", mode: 0o600)
            chown(file, ordinaryUser, ordinaryUser)
        }
        let command =
            (starter == .user ? Self.become(ordinaryUser) : []) + [
                "/usr/bin/env", "VICTIM_SECRET=environ-\(secret)", attempts, "victim", secret, file,
            ]
        return try RunningProgram(command[0], Array(command.dropFirst()), input: .descriptor(input))
    }

    /// Lines `NAME=VALUE` up to `READY`.
    private static func variables(of program: RunningProgram) async throws -> [String: String] {
        var variables: [String: String] = [:]
        while let line = await program.line(containing: "=") {
            let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
            if parts[0] == "READY" { return variables }
            variables[parts[0]] = parts.last
        }
        let outcome = await program.outcome()
        throw EscapeStageError(description: "the other side does not stand: \(outcome)")
    }

    /// What does not come from another program.
    private var facts: [String: String] {
        func link(_ path: String) -> String {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) ?? ""
        }
        let name = (try? String(contentsOfFile: "/proc/sys/kernel/hostname", encoding: .utf8)) ?? ""
        var facts = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ATTEMPTS": attempts, "SECRET": secret, "CORE": core]
        facts["HELD_DIRECTORY"] = home + "/bin"
        facts["SETUID_ID"] = home + "/bin/setuid-id"
        facts["CAPABLE_CAT"] = home + "/bin/capable-cat"
        facts["HOST_NETWORK"] = link("/proc/self/ns/net")
        facts["HOST_NAMES"] = link("/proc/self/ns/uts")
        facts["HOST_NAME"] = String(name.prefix { $0 != "\n" })
        facts["DISK"] = Self.disk.path
        facts["DISK_MAJOR"] = Self.disk.major
        facts["DISK_MINOR"] = Self.disk.minor
        facts["CONTROL_GROUPS"] = Self.controlGroups ?? "/nonexistent"
        return facts
    }

    /// The root file system's, or another one that root may open here: containers forbid some.
    static let disk: (path: String, major: String, minor: String) = {
        let mounts = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
        var disks = ["7:0"]
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 4, fields[4] == "/" { disks.insert(String(fields[2]), at: 0) }
        }
        for disk in disks {
            let link = "/sys/dev/block/" + disk
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: link) else { continue }
            let path = "/dev/" + URL(filePath: target).lastPathComponent
            let file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            guard file >= 0 else { continue }
            close(file)
            let numbers = disk.split(separator: ":").map(String.init)
            return (path, numbers[0], numbers[1])
        }
        return ("/nonexistent", "0", "0")
    }()

    /// Where those of version 2 are.
    static let controlGroups: String? = {
        let mounts = (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)) ?? ""
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 2, fields[2] == "cgroup2" { return String(fields[1]) }
        }
        return nil
    }()

    static func become(_ user: uid_t?) -> [String] {
        guard let user else { return ["/usr/bin/env"] }
        return ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "--"]
    }

    private func write(_ path: String, _ text: String, mode: mode_t) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
        chmod(path, mode)
    }

    /// Where `make build` puts programs, or beside the test bundle, where `swift build` does.
    private static func program(_ name: String) -> String? {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        // Release programs start sooner.
        var folders = ProcessInfo.processInfo.environment["TENTACLE_BIN"].map { [$0] } ?? []
        folders += [CommandLine.arguments[0], own].map { URL(filePath: $0).deletingLastPathComponent().path }
        folders.append(FileManager.default.currentDirectoryPath + "/.build/debug")
        let candidates: [String] = folders.map { $0 + "/" + name }
        return candidates.first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}

struct EscapeStageError: Error, CustomStringConvertible {
    var description: String
}
