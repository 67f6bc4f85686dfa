internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// Where scripts live and what they may do: from arguments or from a file that only its owner can write, never from a
/// request.
struct LauncherSettings {
    static let defaultFile = "/etc/tentacle/launcher.conf"
    static let maximumFileBytes = 65_536

    var workDirectory = ""
    var policy = SandboxPolicy.standard
    /// A control group of version 2 for each script, where the host permits it.
    var usesControlGroups = true

    /// `--work DIR`, `--policy NAME` and `--control-groups auto|off`, or `--config FILE` with lines `work = DIR`,
    /// `policy = NAME` and `control-groups = off`.
    init(arguments: [String]) throws(LauncherProtocolError) {
        var file: String?
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { throw LauncherProtocolError("\(name) needs a value") }
            switch name {
            case "--work": workDirectory = value
            case "--policy": try setPolicy(value)
            case "--control-groups": try setControlGroups(value)
            case "--config": file = value
            default:
                throw LauncherProtocolError(
                    "unknown option \(name); known are --work, --policy, --control-groups and --config"
                )
            }
        }
        if workDirectory.isEmpty { try readFile(file ?? Self.defaultFile) }
        guard workDirectory.hasPrefix("/") else {
            throw LauncherProtocolError("the work directory must be given as an absolute path with --work")
        }
    }

    private mutating func setPolicy(_ name: String) throws(LauncherProtocolError) {
        guard let policy = SandboxPolicy(rawValue: name) else {
            throw LauncherProtocolError("unknown policy \(name); known are none and standard")
        }
        self.policy = policy
    }

    private mutating func setControlGroups(_ text: String) throws(LauncherProtocolError) {
        guard ["auto", "off"].contains(text) else {
            throw LauncherProtocolError("control-groups is auto or off, not \(text)")
        }
        usesControlGroups = text == "auto"
    }

    private mutating func readFile(_ path: String) throws(LauncherProtocolError) {
        let file = unsafe clinux_open(path, O_RDONLY | O_NONBLOCK, 0)
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
            switch parts.first {
            case "work" where parts.count == 2: workDirectory = parts[1]
            case "policy" where parts.count == 2: try setPolicy(parts[1])
            case "control-groups" where parts.count == 2: try setControlGroups(parts[1])
            default: throw LauncherProtocolError("\(path): \"\(line)\" is not understood")
            }
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }

    /// The workspace, resolved below the work directory by the kernel: no link, no `..`.
    func open(_ ticket: ScriptTicketName) throws(LauncherProtocolError) -> WorkspaceDirectory {
        let work = unsafe clinux_open(workDirectory, Int32(CLINUX_O_PATH) | O_DIRECTORY, 0)
        guard work >= 0 else {
            throw LauncherProtocolError("cannot open \(workDirectory): \(systemErrorText(-work))")
        }
        defer { close(work) }
        let directory = unsafe clinux_open_beneath(work, ticket.description, O_RDONLY | O_DIRECTORY, 0)
        guard directory >= 0 else {
            throw LauncherProtocolError("cannot open the workspace of \(ticket): \(systemErrorText(-directory))")
        }
        return WorkspaceDirectory(takingOver: directory)
    }

    /// The same for one workspace, different from that of the same ticket in another work directory.
    func groupName(_ ticket: ScriptTicketName, _ directory: borrowing WorkspaceDirectory) -> String {
        var facts = stat()
        guard unsafe fstat(directory.descriptor, &facts) == 0 else { return "\(ticket)" }
        return "\(ticket).\(facts.st_dev).\(facts.st_ino)"
    }

    func path(of ticket: ScriptTicketName) -> String { workDirectory + "/" + ticket.description }
}
