import BenchmarkSupport
import Foundation
import LauncherProtocol
import ScriptExecution

/// From a request to the script's first instruction.
struct StartFigures {
    private static let warmUp = 10
    private static let runs = 250
    private static let bare = "posix_spawn of bash"
    private static let budgetMilliseconds = 3.0

    let stage: ScriptStage

    func run() async throws {
        let times = try await stage.withService(policy: "none") { none in
            try await stage.withService(policy: "standard") { standard in
                try await stage.withService(policy: "strict") { strict in try await measure(none, standard, strict) }
            }
        }
        let bare = times.bare
        for (name, values) in [
            ("service to first instruction, none", times.none),
            ("service to first instruction, standard", times.standard),
            ("launcher to first instruction, none", times.launcherNone),
            ("launcher to first instruction, standard", times.launcherStandard),
            ("launcher to first instruction, strict", times.launcherStrict),
        ] {
            report(name, values, .milliseconds, against: Self.bare, bare)
            let over = (values.percentile(0.5) - bare.percentile(0.5)) / 1000
            Figure("\(name), over bare", over, "ms", against: "budget", Self.budgetMilliseconds).report()
        }
    }

    private struct Times {
        var bare: [Duration] = []
        var none: [Duration] = []
        var standard: [Duration] = []
        var launcherNone: [Duration] = []
        var launcherStandard: [Duration] = []
        var launcherStrict: [Duration] = []
    }

    /// In turns, so that what else the machine does slows all of them.
    private func measure(
        _ none: BenchedService,
        _ standard: BenchedService,
        _ strict: BenchedService
    ) async throws -> Times {
        let signpost = try Signpost(stage.path("signpost"))
        let script = stage.path("script")
        try signpost.script.write(toFile: script, atomically: false, encoding: .utf8)
        var times = Times()
        for number in 0..<Self.warmUp + Self.runs {
            if number == Self.warmUp { times = Times() }
            times.bare.append(try await bare(script, signpost))
            times.none.append(try await service(none, "\(number)", signpost))
            times.standard.append(try await service(standard, "\(number)", signpost))
            times.launcherNone.append(try await launcher(none, "l\(number)", signpost))
            times.launcherStandard.append(try await launcher(standard, "l\(number)", signpost))
            times.launcherStrict.append(try await launcher(strict, "l\(number)", nil))
        }
        return times
    }

    private func bare(_ script: String, _ signpost: Signpost) async throws -> Duration {
        let begin = Signpost.now
        let child = try BareShell.start(script)
        let passed = try await signpost.passed()
        try BareShell.end(child)
        return passed - begin
    }

    private func service(_ benched: BenchedService, _ ticket: String, _ signpost: Signpost) async throws -> Duration {
        let begin = Signpost.now
        try await benched.start(signpost.script, ticket)
        let passed = try await signpost.passed()
        await benched.end(ticket)
        return passed - begin
    }

    /// The launcher alone: the workspace is there, as the service makes it.
    ///
    /// Without a signpost, which is out of a strict sandbox's reach, the script's log says when it began.
    private func launcher(_ benched: BenchedService, _ ticket: String, _ signpost: Signpost?) async throws -> Duration {
        let name = try ScriptTicketName(ticket)
        let specification = ScriptSpecification(
            ticket: name,
            service: 2,
            taskID: "ServerTasks-1",
            fullIsolation: false,
            mutexName: "RunningScript",
            mutexTimeoutMilliseconds: nil,
            arguments: [],
            environment: ScriptStage.environment
        )
        try benched.workspaces.prepare(
            name,
            ScriptStart(body: signpost?.script ?? Signpost.loggingScript, taskID: nil),
            specification
        )
        let begin = Signpost.now
        let reply = try await benched.launcher.ask(.start(name))
        guard reply == .started else { throw Tool.Failure(description: "the launcher answers \(reply)") }
        var passed = try await signpost?.passed()
        while try benched.workspaces.open(name)?.lockHolder() != .nobody { try await Task.sleep(for: .milliseconds(1)) }
        if passed == nil {
            passed = Signpost.logged(try String(contentsOfFile: benched.logPath(ticket), encoding: .utf8))
        }
        _ = benched.workspaces.remove(name)
        guard let passed else { throw Tool.Failure(description: "a script's log does not say when it began") }
        return passed - begin
    }
}
