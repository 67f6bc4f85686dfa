import AgentConfiguration
import Glibc

/// `systemctl`, as the stock agent calls it: plain, then with sudo where it was refused (spec tentacle-cli.md 16).
struct SystemControl {
    /// How a call that failed is told: it never changes the exit code by itself.
    enum Severity {
        case error
        case warning
    }

    private static let refusals = [
        "Interactive authentication required", "Failed to", "Access denied", "Permission denied",
    ]

    static let notPrivileged = CommandError("Requires elevated privileges. Please run command as sudo.")

    let context: CommandContext
    private let path: String
    private let sudo: String?

    /// Looks for what every action needs, in the order of the stock agent.
    ///
    /// Root needs no sudo, and neither does who changes nothing.
    init(_ context: CommandContext, changesSomething: Bool = true) throws(CommandError) {
        self.context = context
        guard access(context.host.wellKnown("/bin/bash"), X_OK) == 0 else {
            throw CommandError("Could not detect bash. bash is required to run tentacle.")
        }
        let search = ProgramSearch(context.host)
        self.sudo = search.find("sudo")
        if changesSomething, !context.isRoot {
            guard let sudo, context.runProgram(sudo, ["-vn"])?.status == 0 else {
                throw Self.notPrivileged
            }
        }
        guard let path = search.find("systemctl") else {
            throw CommandError("Could not detect systemd. systemd is required to run Tentacle as a service")
        }
        self.path = path
    }

    /// Whether it succeeded; what went wrong has been said then.
    func call(_ verb: String, _ unit: String, options: [String] = [], severity: Severity = .warning) -> Bool {
        let words = options + [verb] + Self.operand(unit)
        let text = "systemctl " + (options + [verb, unit]).joined(separator: " ")
        var called = text
        var end = self.context.runProgram(self.path, words)
        // Root is not refused for who it is: there is nothing to try again.
        if let failure = end, failure.status != 0, !self.context.isRoot, let sudo = self.sudo,
            Self.refusals.contains(where: { failure.errors.contains($0) })
        {
            self.context.console.info("Permission denied. Retrying '\(text)' with sudo...")
            called = "sudo " + text
            end = self.context.runProgram(sudo, ["-n", self.path] + words)
        }
        if end?.status == 0 { return true }
        let lines =
            [
                "The command '\(called)' failed with exit code: \(end.map { "\($0.status)" } ?? "it could not be started")"
            ]
            + (end?.errors.split(separator: "\n").map(String.init) ?? [])
        for line in lines {
            let readable = ReadableText.escapingControls(line)
            switch severity {
            case .error: self.context.console.error(readable)
            case .warning: self.context.console.info(readable)
            }
        }
        return false
    }

    /// Becomes another program, as root; returns only to say why not.
    func becomeRoot(_ words: [String]) -> CommandError {
        guard let sudo = self.sudo else { return Self.notPrivileged }
        let code = self.context.replaceProcess(sudo, ["-n", "--"] + words)
        return CommandError(.failure, "Could not start '\(sudo)': \(String(cString: strerror(code))).")
    }

    /// After a unit file was written or removed; a host that does not run systemd now reads it when it does.
    func reload() {
        var end = self.context.runProgram(self.path, ["daemon-reload"])
        if end?.status != 0, !self.context.isRoot, let sudo = self.sudo {
            end = self.context.runProgram(sudo, ["-n", self.path, "daemon-reload"])
        }
        guard end?.status != 0 else { return }
        self.context.console.info("systemd could not be told of the change: run 'systemctl daemon-reload'.")
    }

    /// Asks, and says nothing.
    func isTrue(_ verb: String, _ unit: String) -> Bool {
        self.context.runProgram(self.path, [verb, "--quiet"] + Self.operand(unit))?.status == 0
    }

    /// Properties of a unit by name; nil when systemd does not answer.
    func properties(_ names: [String], of unit: String) throws(CommandError) -> [String: String] {
        let end = self.context.runProgram(
            self.path,
            ["show", "--no-pager", "--property=\(names.joined(separator: ","))"] + Self.operand(unit)
        )
        guard let end, end.status == 0 else {
            let why = end?.errors.split(separator: "\n").first.map { ": \(ReadableText.escapingControls(String($0)))" }
            throw CommandError(.failure, "systemd does not tell of the service \(unit)\(why ?? ".")")
        }
        var result: [String: String] = [:]
        for line in end.output.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
        }
        return result
    }

    /// A name that looks like an option is none.
    private static func operand(_ unit: String) -> [String] { unit.hasPrefix("-") ? ["--", unit] : [unit] }
}

/// Programs by name, as the shell finds them.
struct ProgramSearch {
    private static let standardDirectories = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    private let host: HostFiles

    init(_ host: HostFiles) { self.host = host }

    func find(_ name: String) -> String? {
        let directories = self.host.variable("PATH") ?? Self.standardDirectories
        for directory in directories.split(separator: ":") where directory.hasPrefix("/") {
            let path = "\(directory)/\(name)"
            if access(path, X_OK) == 0 { return path }
        }
        return nil
    }
}
