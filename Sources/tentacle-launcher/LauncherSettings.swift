internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// One script's directory and the path that it was opened by.
struct OpenWorkspace: ~Copyable {
    let directory: WorkspaceDirectory
    let path: String
}

/// What one script may use; zero is no limit.
struct ScriptLimits {
    var log = OutputLogQuota.Limits()
    var workspaceBytes: Int64 = 0
    var seconds: Int64 = 0
}

/// Where scripts live and what they may do: from arguments or from a file that only its owner can write, never from a
/// request.
struct LauncherSettings {
    static let defaultFile = "/etc/tentacle/launcher.conf"
    static let maximumFileBytes = 65_536

    /// Of the agents on this machine; a ticket is looked up in those that belong to who asks.
    var workDirectories: [String] = []
    var policy = SandboxPolicy.standard
    /// A control group of version 2 for each script, where the host permits it.
    var usesControlGroups = true

    var limits = ScriptLimits()

    /// `--NAME VALUE` for each setting, or `--config FILE` with lines `NAME = VALUE`.
    ///
    /// | Name | Value | |
    /// |---|---|---|
    /// | `work` | absolute path | `<Home>/Work` of an agent; once for each agent |
    /// | `policy` | `none`, `standard` | |
    /// | `control-groups` | `auto`, `off` | |
    /// | `log-limit` | size, 1G | what one script's log may hold; what is over it is dropped, and the log says so |
    /// | `disk-reserve` | size, 128M | what logs leave free on the disk |
    /// | `workspace-quota` | size, 0 for none | what is in the script's directory; a script that puts more there is ended |
    /// | `time-limit` | seconds, 0 for none | a script that takes longer is ended |
    ///
    /// Sizes are bytes, or end in K, M, G or T, which go by 1024.
    init(arguments: [String]) throws(LauncherProtocolError) {
        var file: String?
        var options: [(name: String, value: String)] = []
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { throw LauncherProtocolError("\(name) needs a value") }
            if name == "--config" { file = value } else { options.append((name, value)) }
        }
        // The machine's file first, so that options go before it; without one of its own, the machine need not have it.
        try readFile(file ?? Self.defaultFile, isOptional: file == nil)
        for (name, value) in options {
            guard name.hasPrefix("--"), try set(String(name.dropFirst(2)), value) else {
                throw LauncherProtocolError("unknown option \(name); known are --config, --\(Self.names)")
            }
        }
        guard !workDirectories.isEmpty else {
            throw LauncherProtocolError("the work directory must be given as an absolute path with --work")
        }
    }

    private static let names =
        "work, --policy, --control-groups, --log-limit, --disk-reserve, --workspace-quota and --time-limit"

    /// False for a name that is not known.
    private mutating func set(_ name: String, _ value: String) throws(LauncherProtocolError) -> Bool {
        switch name {
        case "work":
            guard value.hasPrefix("/") else {
                throw LauncherProtocolError("a work directory is an absolute path, not \(value)")
            }
            workDirectories.append(value)
        case "policy": try setPolicy(value)
        case "control-groups": try setControlGroups(value)
        case "log-limit": limits.log.logBytes = try Self.size(name, value)
        case "disk-reserve": limits.log.reserveBytes = try Self.size(name, value)
        case "workspace-quota": limits.workspaceBytes = try Self.size(name, value)
        case "time-limit":
            guard let seconds = Int64(value), (0...Self.maximumSeconds).contains(seconds) else {
                throw LauncherProtocolError("time-limit is a number of seconds, not \(value)")
            }
            limits.seconds = seconds
        default: return false
        }
        return true
    }

    /// A hundred years.
    private static let maximumSeconds: Int64 = 100 * 366 * 86_400

    private static func size(_ name: String, _ text: String) throws(LauncherProtocolError) -> Int64 {
        guard let bytes = ByteCountText.parse(text) else {
            throw LauncherProtocolError("\(name) is a number of bytes, or one that ends in K, M, G or T, not \(text)")
        }
        return bytes
    }

    private mutating func setPolicy(_ name: String) throws(LauncherProtocolError) {
        guard let policy = SandboxPolicy.profiles.first(where: { $0.name == name }) else {
            throw LauncherProtocolError("unknown policy \(name); known are none, standard and strict")
        }
        self.policy = policy
    }

    private mutating func setControlGroups(_ text: String) throws(LauncherProtocolError) {
        guard ["auto", "off"].contains(text) else {
            throw LauncherProtocolError("control-groups is auto or off, not \(text)")
        }
        usesControlGroups = text == "auto"
    }

    private mutating func readFile(_ path: String, isOptional: Bool) throws(LauncherProtocolError) {
        let file = unsafe clinux_open(path, O_RDONLY | O_NONBLOCK, 0)
        if file == -ENOENT, isOptional { return }
        guard file >= 0 else { throw LauncherProtocolError("cannot open \(path): \(systemErrorText(-file))") }
        defer { close(file) }
        var facts = stat()
        guard unsafe fstat(file, &facts) == 0, facts.st_uid == 0 || facts.st_uid == geteuid(),
            facts.st_mode & (S_IWGRP | S_IWOTH) == 0
        else { throw LauncherProtocolError("\(path) must belong to root and be writable by nobody else") }
        var buffer = [UInt8](repeating: 0, count: Self.maximumFileBytes)
        let count = unsafe read(file, &buffer, buffer.count)
        let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: "=", maxSplits: 1).map { Self.trimmed($0) }
            guard parts.count == 2, try set(parts[0], parts[1]) else {
                throw LauncherProtocolError("\(path): \"\(line)\" is not understood")
            }
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }

    // The workspace, resolved below a work directory by the kernel: no link, no `..`. Root and ourselves, nil, may ask for
    // every agent, another user for its own.
    func open(_ ticket: ScriptTicketName, for user: uid_t?) throws(LauncherProtocolError) -> OpenWorkspace {
        try find(for: user) { (work, path) throws(LauncherProtocolError) in
            let directory = unsafe clinux_open_beneath(work, ticket.description, O_RDONLY | O_DIRECTORY, 0)
            guard directory >= 0 else {
                throw LauncherProtocolError(
                    "cannot open the workspace of \(ticket) in \(path): \(systemErrorText(-directory))"
                )
            }
            return OpenWorkspace(
                directory: WorkspaceDirectory(takingOver: directory),
                path: path + "/" + ticket.description
            )
        }
    }

    /// Hands over each work directory, open, that belongs to who asks, until one has what is wanted.
    func find<Found: ~Copyable>(
        for user: uid_t?,
        _ body: (Int32, String) throws(LauncherProtocolError) -> Found
    ) throws(LauncherProtocolError) -> Found {
        var failure = LauncherProtocolError("user \(user.map { "\($0)" } ?? "") has no scripts here")
        for path in workDirectories {
            let work = unsafe clinux_open(path, O_RDONLY | O_DIRECTORY, 0)
            guard work >= 0 else {
                failure = LauncherProtocolError("cannot open \(path): \(systemErrorText(-work))")
                continue
            }
            defer { close(work) }
            var facts = stat()
            guard unsafe fstat(work, &facts) == 0, user == nil || user == facts.st_uid else { continue }
            do throws(LauncherProtocolError) {
                return try body(work, path)
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// The same for one workspace, different from that of the same ticket in another work directory.
    func groupName(_ ticket: ScriptTicketName, _ directory: borrowing WorkspaceDirectory) -> String {
        var facts = stat()
        guard unsafe fstat(directory.descriptor, &facts) == 0 else { return "\(ticket)" }
        return "\(ticket).\(facts.st_dev).\(facts.st_ino)"
    }
}
