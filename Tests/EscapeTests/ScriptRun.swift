import Foundation
import Glibc
import LauncherProtocol
import ProcessTesting

/// What became of an attempt once.
enum Outcome: Sendable, Equatable, CustomStringConvertible {
    case succeeded
    /// Step and error.
    case refused(String)
    /// This kernel has nothing to attempt.
    case absent(String)
    /// The whole log of a script that said none of these.
    case unclear(String)

    init(lines: [String], log: String) {
        for line in lines.reversed() {
            let words = line.split(separator: " ", maxSplits: 1)
            switch words.first {
            case "succeeded": self = .succeeded
            case "refused": self = .refused(words.count > 1 ? String(words[1]) : "")
            case "absent": self = .absent(words.count > 1 ? String(words[1]) : "")
            default: continue
            }
            return
        }
        if log.contains(" holds more than its quota of ") {
            self = .refused("stopped QUOTA")
        } else if log.contains(" took longer than its limit of ") {
            self = .refused("stopped TIME")
        } else {
            self = .unclear(log)
        }
    }

    var description: String {
        switch self {
        case .succeeded: "succeeded"
        case .refused(let answer): "refused \(answer)"
        case .absent(let step): "absent \(step)"
        case .unclear(let log): "unclear:\n\(log)"
        }
    }
}

/// One script behind the real launcher, with an agent's home of its own, and what became of it.
struct ScriptRun {
    /// Functions that every attempt has.
    static let prelude = """
        export LC_ALL=C
        call() { "$ATTEMPTS" "$@"; }
        # must STEP COMMAND…: says which step was refused, and why, when the command fails.
        must() {
            local step=$1 text; shift
            text=$("$@" 2>&1) && return
            case $text in
            *'Permission denied'*) text=EACCES ;;
            *'peration not permitted'* | *'must be superuser'*) text=EPERM ;;
            *'No such file or directory'*) text=ENOENT ;;
            *'Read-only file system'*) text=EROFS ;;
            *'Invalid cross-device link'*) text=EXDEV ;;
            *'resource busy'*) text=EBUSY ;;
            *'No such process'*) text=ESRCH ;;
            *'Function not implemented'*) text=ENOSYS ;;
            esac
            echo "refused $step $text"; exit
        }
        # Lets `outside` happen.
        gate() { echo > "$WORKSPACE/gate.reached"; read -r _ < "$WORKSPACE/gate.passed"; }

        """

    let stage: EscapeStage
    let attempt: Attempt

    /// `settings` on top of the profile and the attempt's own.
    func outcome(_ profile: Profile, _ starter: Starter, _ settings: [PolicySetting] = []) async throws -> Outcome {
        let run = try RunDirectory(stage, attempt, starter)
        let all = attempt.settings + settings
        var policy = profile.rawValue
        // `none` is what it is without limits, too.
        if profile != .none, !all.isEmpty {
            policy = "test"
            try run.write("policies/test.toml", PolicySetting.file(base: profile, all))
        }
        let command = run.command(
            stage.command(for: starter) + [
                stage.launcher, "--config", stage.emptyFile, "--work", run.work, "--policies", run.path + "/policies",
                "--policy", policy,
            ]
        )
        let launcher = try RunningProgram(
            command[0],
            Array(command.dropFirst()),
            environment: ["LAUNCHER_SECRET": "launcher-\(stage.secret)"],
            input: .text("{\"start\":\"\(RunDirectory.ticket)\"}\n")
        )
        let ended = await launcher.outcome()
        let log = run.read("Output.log")
        let lines = log.split(separator: "\n").compactMap { line in
            line.firstRange(of: " out ").map { String(line[$0.upperBound...]) }
        }
        return Outcome(lines: lines, log: "\(ended)\n\(log)")
    }

    /// Without any launcher, as root; the shell has what a careless launcher would have left in it.
    func bareOutcome() async throws -> Outcome {
        let run = try RunDirectory(stage, attempt, .root)
        let bash = try RunningProgram(
            "/bin/bash",
            ["-c", "exec 9< \"$KEY\"; bash \"$WORKSPACE/Bootstrap.sh\""],
            environment: run.environment.merging(["LAUNCHER_SECRET": "launcher-\(stage.secret)"]) { own, _ in own },
            folder: run.workspace
        )
        let ended = await bash.outcome()
        return Outcome(lines: ended.output.split(separator: "\n").map(String.init), log: "\(ended)")
    }
}

/// Home of an agent that exists for one script; goes with the stage.
struct RunDirectory {
    static let ticket = "attempt"

    let stage: EscapeStage
    let path: String
    let outside: String?
    let environment: [String: String]

    var home: String { path + "/Home" }
    var work: String { home + "/Work" }
    var workspace: String { work + "/" + Self.ticket }

    init(_ stage: EscapeStage, _ attempt: Attempt, _ starter: Starter) throws {
        self.stage = stage
        outside = attempt.outside
        let name = UUID().uuidString
        path = stage.home + "/runs/" + name
        let home = path + "/Home"
        let workspace = home + "/Work/" + Self.ticket
        environment = stage.environment(for: starter).merging(
            [
                "AGENT": home, "CONFIG": home + "/tentacle.config", "KEY": home + "/Etc/key.pem",
                "OTHER": home + "/Work/other/secret", "WORKSPACE": workspace,
                "NAME": "escape-\(stage.secret)-\(name.prefix(8))",
            ]
        ) { own, _ in own }
        for directory in ["/policies", "/Home/Etc", "/Home/Files", "/Home/Work/other", "/Home/Work/" + Self.ticket] {
            try FileManager.default.createDirectory(atPath: path + directory, withIntermediateDirectories: true)
        }
        try write("Home/tentacle.config", "config-\(stage.secret)", mode: 0o600)
        try write("Home/Etc/key.pem", "key-\(stage.secret)", mode: 0o600)
        try write("Home/Work/other/secret", "other-\(stage.secret)", mode: 0o600)
        let own = "Home/Work/" + Self.ticket + "/"
        try write(own + ScriptSpecification.scriptFileName, ScriptRun.prelude + attempt.script + "\n")
        let ticket = try ScriptTicketName(Self.ticket)
        var specification = ScriptSpecification(
            ticket: ticket,
            service: 2,
            taskID: "ServerTasks-1",
            fullIsolation: false,
            mutexName: "RunningScript",
            mutexTimeoutMilliseconds: nil,
            arguments: [],
            environment: environment
        )
        specification.protected = [home + "/tentacle.config", home + "/Etc"]
        try write(own + ScriptSpecification.fileName, specification.encoded(), mode: 0o600)
        let record = ScriptStateRecord(specification, created: .now, boot: "test")
        try write(own + ScriptStateRecord.fileName, record.encoded())
        if outside != nil {
            for name in ["reached", "passed"] { mkfifo(workspace + "/gate.\(name)", 0o666) }
            for name in ["reached", "passed"] { chmod(workspace + "/gate.\(name)", 0o666) }
        }
        guard starter != .root, let user = stage.ordinaryUser else { return }
        for case let entry as String in FileManager.default.enumerator(atPath: home) ?? .init() {
            lchown(home + "/" + entry, user, user)
        }
        lchown(home, user, user)
    }

    func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws {
        try write(name, Array(text.utf8), mode: mode)
    }

    func write(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws {
        try Data(bytes).write(to: URL(filePath: path + "/" + name))
        chmod(path + "/" + name, mode)
    }

    func read(_ name: String) -> String {
        FileManager.default.contents(atPath: workspace + "/" + name).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// The launcher's command, with what happens outside beside it.
    func command(_ launcher: [String]) -> [String] {
        guard let outside else { return launcher }
        let text = """
            { read -r _ < "$WORKSPACE/gate.reached"; \(outside)
              echo > "$WORKSPACE/gate.passed"; } > /dev/null 2>&1 &
            "$@"; kill $! 2> /dev/null; wait
            """
        let variables = environment.map { "\($0.key)=\($0.value)" }
        return ["/usr/bin/env"] + variables + ["/bin/bash", "-c", text, "bash"] + launcher
    }
}
