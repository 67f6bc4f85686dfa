internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// `tentacle-launcher [OPTION…] sandbox WORD …`: the code that runs scripts explains what it would do.
///
/// | Word | | Exit code |
/// |---|---|---|
/// | `list` | every policy | 0 |
/// | `show NAME` | the policy as TOML, with all values | 0 |
/// | `check [NAME]` | what this host enforces of it, found out by starting a shell under it | 0 when all of it, else 1 |
/// | `explain NAME` | the steps before a script begins | 0 |
/// | `run NAME -- PROGRAM …` | runs a program under it in a new directory | the program's |
///
/// 2: the words or the files are not understood. `--format json` with list, check and explain.
enum SandboxProgram {
    private static let word = "sandbox"

    /// Where the word is among the arguments; all options before it have a value.
    static func position(in arguments: [String]) -> Int? {
        stride(from: 1, to: arguments.count, by: 2).first { !arguments[$0].hasPrefix("--") }.flatMap {
            arguments[$0] == word ? $0 : nil
        }
    }

    static func main(_ options: [String], _ words: [String], signals: Int32) -> Int32 {
        do {
            let parsed = try SandboxWords(words)
            if parsed.dependsOnUnit { OwnUnit.enter(options + [word] + words) }
            let settings = try LauncherSettings(forPolicies: options)
            if let problem = settings.fileProblem { Launcher.complain("\(problem)") }
            return try run(parsed, settings, signals: signals)
        } catch let refusal as PolicyRefusal {
            Launcher.complain(refusal.text)
        } catch {
            Launcher.complain("\(error)")
        }
        return 2
    }

    private static func run(_ words: SandboxWords, _ settings: LauncherSettings, signals: Int32) throws -> Int32 {
        switch words.word {
        case .list:
            try list(settings, words)
            return 0
        case .show(let name):
            say(PolicyFile.text(of: try settings.policy(named: name)), ending: "")
            return 0
        case .check(let name):
            let policy = try settings.policy(named: name ?? settings.policyName)
            return try check(policy, settings, words)
        case .explain(let name):
            try explain(try settings.policy(named: name), settings, words)
            return 0
        case .run(let name, let command):
            return try SandboxTrial(policy: try settings.policy(named: name), settings: settings).run(command, signals)
        }
    }

    static func say(_ text: String, ending: String = "\n") {
        var bytes = Array((text + ending).utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    private static func say(_ json: JSONText) { say(String(decoding: json.encoded(), as: UTF8.self)) }

    // MARK: list

    private static func list(_ settings: LauncherSettings, _ words: SandboxWords) throws {
        var rows: [(name: String, marks: [String], text: String)] = []
        var members: [JSONText] = []
        for name in try settings.policyNames() {
            var description: String?
            var problem: String?
            do throws(LauncherProtocolError) {
                description = try settings.policy(named: name).description
            } catch {
                problem = error.description
            }
            let isDefault = name == settings.policyName
            let isForbidden = settings.isForbidden(name)
            let marks = (isDefault ? ["default"] : []) + (isForbidden ? ["forbidden"] : [])
            rows.append((name, marks + (problem == nil ? [] : ["broken"]), description ?? problem ?? ""))
            members.append(
                .object([
                    .init("name", .string(name)), .init("description", .optional(description)),
                    .init("builtIn", .bool(SandboxPolicy.profile(name) != nil)), .init("default", .bool(isDefault)),
                    .init("forbidden", .bool(isForbidden)), .init("error", .optional(problem)),
                ])
            )
        }
        guard !words.isJSON else { return say(.object([.init("policies", .array(members))])) }
        let width = rows.map { $0.name.utf8.count }.max() ?? 0
        for row in rows {
            let marks = row.marks.isEmpty ? "" : "(" + row.marks.joined(separator: ", ") + ") "
            let padding = String(repeating: " ", count: width - row.name.utf8.count + 2)
            say(row.name + padding + marks + row.text.split(separator: "\n").joined(separator: " "))
        }
    }

    // MARK: check

    private static func check(
        _ policy: SandboxPolicy,
        _ settings: LauncherSettings,
        _ words: SandboxWords
    ) throws -> Int32 {
        let findings = try SandboxTrial(policy: policy, settings: settings).findings()
        let isComplete = findings.unenforced.isEmpty
        let user = ScriptUser.find(String(geteuid()))?.name ?? String(geteuid())
        if words.isJSON {
            let enforced = findings.enforced.map { part(layer: $0.layer, $0.what, why: nil) }
            let missing = findings.unenforced.map { part(layer: $0.layer, $0.what, why: $0.why) }
            say(
                .object([
                    .init("policy", .string(policy.name)), .init("user", .string(user)),
                    .init("kernel", .string(findings.kernel)),
                    .init("landlock", .integer(Int64(findings.landlockVersion))),
                    .init("enforced", .bool(isComplete)), .init("required", .bool(policy.isRequired)),
                    .init("parts", .array(enforced + missing)),
                ])
            )
        } else {
            let landlock = findings.landlockVersion > 0 ? "landlock \(findings.landlockVersion)" : "no landlock"
            say("Policy \(policy.name), for scripts that user \(user) starts; Linux \(findings.kernel), \(landlock)")
            for part in findings.enforced { say("  enforced      \(part.layer.rawValue): \(part.what)") }
            for part in findings.unenforced {
                say("  NOT enforced  \(part.layer.rawValue): \(part.what) (\(part.why))")
            }
            let end = policy.isRequired ? "; scripts are refused, since the policy says require = true." : "."
            say(isComplete ? "All of it is enforced here." : "Not all of it is enforced here" + end)
        }
        return isComplete ? 0 : 1
    }

    private static func part(layer: SandboxLayer, _ what: String, why: String?) -> JSONText {
        .object([
            .init("layer", .string(layer.rawValue)), .init("what", .string(what)), .init("enforced", .bool(why == nil)),
            .init("why", .optional(why)),
        ])
    }

    // MARK: explain

    private static func explain(_ policy: SandboxPolicy, _ settings: LauncherSettings, _ words: SandboxWords) throws {
        let work = settings.workDirectories.first ?? "/var/lib/tentacle/Work"
        let plan = try SandboxTrial(policy: policy, settings: settings).plan(workspace: work + "/TICKET")
        let limits = ControlGroupLimits.texts(policy.limits)
        if words.isJSON {
            var steps = plan.operations.map { JSONText.string($0.description) }
            if !plan.namespaces.isEmpty { steps.insert(.string(plan.namespaces.description), at: 0) }
            let missing = plan.unenforced.map { part(layer: $0.layer, $0.what, why: $0.why) }
            return say(
                .object([
                    .init("policy", .string(policy.name)), .init("description", .string(policy.description)),
                    .init("steps", .array(steps)), .init("limits", .array(limits.map { .string($0) })),
                    .init("notEnforced", .array(missing)),
                ])
            )
        }
        say("\(policy.name): \(policy.description)")
        say("Before a script begins:")
        say("\(plan)")
        if !limits.isEmpty { say("Limits of the script as a whole: \(limits.joined(separator: ", "))") }
        if let seconds = policy.limits.timeSeconds { say("The script is ended after \(seconds) s.") }
        say(
            policy.processes.background
                ? "What the script leaves running lives on when it ends."
                : "What the script leaves running ends with it."
        )
        if !plan.unenforced.isEmpty { say("Not enforced here: \(Unenforced.text(plan.unenforced)).") }
    }
}

/// What stands behind `sandbox`.
struct SandboxWords {
    enum Word {
        case list
        case show(String)
        case check(String?)
        case explain(String)
        case run(String, [String])
    }

    var word: Word
    var isJSON = false

    /// What can be limited depends on the control group it is asked in.
    var dependsOnUnit: Bool {
        switch word {
        case .check, .run: true
        case .list, .show, .explain: false
        }
    }

    init(_ arguments: [String]) throws(LauncherProtocolError) {
        let program = arguments.firstIndex(of: "--")
        var rest = Array(arguments[..<(program ?? arguments.endIndex)])
        if let option = rest.firstIndex(of: "--format") {
            guard option + 1 < rest.count, ["text", "json"].contains(rest[option + 1]) else {
                throw LauncherProtocolError("--format is text or json")
            }
            isJSON = rest[option + 1] == "json"
            rest.removeSubrange(option...option + 1)
        }
        guard let first = rest.first, rest.count <= 2 else { throw Self.unknown }
        let name = rest.count == 2 ? rest[1] : nil
        switch (first, name) {
        case ("list", nil): word = .list
        case ("show", let name?): word = .show(name)
        case ("check", _): word = .check(name)
        case ("explain", let name?): word = .explain(name)
        case ("run", let name?):
            guard let program, program + 1 < arguments.count else { throw Self.unknown }
            word = .run(name, Array(arguments[(program + 1)...]))
        default: throw Self.unknown
        }
    }

    private static let unknown = LauncherProtocolError(
        "sandbox knows list, show NAME, check [NAME], explain NAME and run NAME -- PROGRAM ARGUMENT…"
    )
}
