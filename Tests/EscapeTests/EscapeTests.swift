import Foundation
import Synchronization
import Testing

/// Every way out of a sandbox that we know, under every profile, as root and not.
@Suite(.stage) struct EscapeTests {
    @Test(
        "started by root, it is refused by the layers that are to refuse it, or permitted as it is meant to be",
        .enabled(
            if: EscapeStage.isRoot,
            "needs root to start scripts as root, and to know what they come to without a sandbox"
        ),
        .timeLimit(.minutes(10)),
        arguments: EscapeCase.all.filter { $0.starter == .root }
    )
    func byRoot(_ one: EscapeCase) async throws { try await attempt(one) }

    @Test(
        "started by an ordinary user, it is refused by the layers that are to refuse it, or permitted as it is meant to be",
        .timeLimit(.minutes(10)),
        arguments: EscapeCase.all.filter { $0.starter != .root }
    )
    func byOrdinaryUser(_ one: EscapeCase) async throws { try await attempt(one) }

    private func attempt(_ one: EscapeCase) async throws {
        let stage = try #require(EscapeStage.current)
        let attempt = one.attempt
        for requirement in attempt.requires {
            if let why = requirement.missing { return Skips.say(attempt.name, why) }
        }
        if case .notTested(let why) = one.expectation { return Skips.say(one.testDescription, why) }
        try await stage.turns.take {
            var control = try await stage.control(attempt)
            // An ordinary user may be refused what it is that root gets.
            if !EscapeStage.isRoot, !Self.isControl(control) { control = .succeeded }
            try #require(Self.isControl(control), "without a sandbox the attempt must succeed, but: \(control)")
            if one.profile == .none, one.starter == .root { return Report.add(one, control, []) }
            try await check(one, stage, control)
        }
    }

    /// Succeeded, or the kernel has no such thing at all.
    private static func isControl(_ outcome: Outcome) -> Bool {
        switch outcome {
        case .succeeded, .absent: true
        case .refused(let answer): answer.hasSuffix(" ENOSYS")
        case .unclear: false
        }
    }

    private func check(_ one: EscapeCase, _ stage: EscapeStage, _ control: Outcome) async throws {
        let run = ScriptRun(stage: stage, attempt: one.attempt)
        let outcome = try await run.outcome(one.profile, one.starter)
        var refusals: [Refusal] = []
        if case .refusals(let all) = one.expectation { refusals = all }
        Report.add(one, outcome, refusals)
        guard let first = refusals.first else {
            #expect(outcome == control, "permitted, but: \(outcome)")
            return
        }
        // Only a filter answers for a call that the kernel does not have, and not with the kernel's own answer.
        if control != .succeeded, outcome == control,
            first.layer != .systemCalls || control == .refused(first.answer)
        {
            return Skips.say(one.testDescription, "this kernel has no such thing (\(control))")
        }
        try #require(outcome == .refused(first.answer), "\(first.layer.rawValue) is to refuse")
        var off: [PolicySetting] = []
        for (index, refusal) in refusals.enumerated() {
            guard let more = refusal.off else { return }
            off += more
            let outcome = try await run.outcome(one.profile, one.starter, off)
            let done = refusals[...index].map(\.layer.rawValue).joined(separator: ", ")
            let next = refusals.indices.contains(index + 1) ? refusals[index + 1] : nil
            guard let next else {
                #expect(outcome == control, "nothing is to refuse without \(done), but: \(outcome)")
                return
            }
            // What the kernel does not have at all it refuses before it looks at who asks.
            if control != .succeeded, outcome == control { return }
            #expect(
                outcome == .refused(next.answer),
                "without \(done): \(next.layer.rawValue) is to refuse, but: \(outcome)"
            )
        }
    }
}

extension Requirement {
    /// Why it is not met.
    var missing: String? {
        switch self {
        case .path(let path): FileManager.default.fileExists(atPath: path) ? nil : "there is no \(path)"
        case .root: EscapeStage.isRoot ? nil : "needs root to put up what it is after"
        case .disk:
            FileManager.default.fileExists(atPath: StageBuilder.disk.path)
                ? nil : "no block device that root may open"
        case .controlGroups: StageBuilder.controlGroups == nil ? "no control groups of version 2" : nil
        case .controllers(let name): "needs the controller \(name) of version 2: tested under systemd (make test-vm)"
        case .capability(let number, let name):
            Self.capabilities >> UInt64(number) & 1 == 1 ? nil : "root has no CAP_\(name) here"
        }
    }

    private static let capabilities: UInt64 = {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        return line.flatMap { UInt64($0.dropFirst(7).trimmingCharacters(in: .whitespaces), radix: 16) } ?? 0
    }()
}

/// What this machine cannot tell, once each, in the words of `scripts/test`: a single case of a test is not skipped visibly.
enum Skips {
    private static let said = Mutex<Set<String>>([])

    static func say(_ what: String, _ why: String) {
        let line = "\(what) skipped: \(why)"
        if said.withLock({ $0.insert(line).inserted }) { print("➜ \(line)") }
    }
}

/// One line a case in the file that `TENTACLE_ESCAPE_REPORT` names: attempt, profile, starter, outcome, layers.
enum Report {
    static func add(_ one: EscapeCase, _ outcome: Outcome, _ refusals: [Refusal]) {
        guard let path = ProcessInfo.processInfo.environment["TENTACLE_ESCAPE_REPORT"],
            let file = fopen(path, "ae")
        else { return }
        let text = "\(outcome)".split(separator: "\n").joined(separator: " | ")
        let layers = refusals.map(\.layer.rawValue).joined(separator: ", ")
        fputs("\(one.attempt.name)\t\(one.profile.rawValue)\t\(one.starter.rawValue)\t\(text)\t\(layers)\n", file)
        fclose(file)
    }
}
