import CLinux
import Glibc
import Sandbox

/// What the library adds in a launcher that runs already: from the policy to the program's first instruction.
struct ExecutorFigures {
    private static let rounds = 500
    private static let budget = ["p50": 1.0, "p99": 3.0]

    let stage: SandboxStage

    func run() throws {
        let signals = clinux_signal_descriptor()
        var contest = Contest(stage: stage)
        for name in SandboxStage.profiles { contest.add(name, try contender(name, signals)) }
        let bubblewrap = try Bubblewrap(stage: stage)
        for name in bubblewrap?.profiles ?? [] {
            guard let command = try bubblewrap?.command(name) else { continue }
            contest.add("bubblewrap \(name)", command)
        }
        try contest.run(rounds: Self.rounds)
        for (percentile, share) in Contest.percentiles {
            report("bare start, \(percentile)", contest.time(Contest.bare, share), against: "-", 0)
        }
        for name in SandboxStage.profiles {
            for (percentile, share) in Contest.percentiles {
                let figure = "executor, \(name), added \(percentile)"
                let added = contest.added(name, share)
                report(figure, added, against: "budget for standard", Self.budget[percentile] ?? 0)
                let other = "bubblewrap \(name)"
                if contest.isMeasured(other) { report(figure, added, against: other, contest.added(other, share)) }
            }
        }
    }

    private func contender(_ name: String, _ signals: Int32) throws -> Contest.Start {
        guard let policy = SandboxPolicy.profile(name) else { throw SandboxStage.Failure(description: name) }
        var user: ScriptUser?
        if policy.identity.user == .own, geteuid() == 0 {
            let own = ScriptUser.own(process: getpid())
            user = own
            user?.groups = [own.group]
        }
        let workspace = try stage.makeWorkspace(name, for: user)
        let directory = clinux_open(workspace, O_RDONLY | O_DIRECTORY, 0)
        let streams = SandboxStreams(
            output: stage.pipe.write,
            error: stage.errors,
            directory: directory,
            claim: -1,
            signals: signals
        )
        let stage = stage
        let owner = user
        return {
            let plan = SandboxPlan(
                policy: policy,
                host: .current,
                surroundings: ScriptSurroundings(workspace: workspace, user: owner),
                command: SandboxedCommand(
                    path: stage.probe,
                    arguments: [stage.probe],
                    environment: SandboxStage.environment,
                    directory: workspace
                )
            )
            let started: SandboxedProcess
            do throws(SandboxFailure) {
                started = try SandboxExecutor.startCompletely(plan, streams, group: nil) { _ in }
            } catch {
                let step = plan.operations.indices.contains(error.stage) ? "\(plan.operations[error.stage])" : "clone"
                throw SandboxStage.Failure(description: "\(name): \(step): \(error.number)")
            }
            return {
                _ = waitpid(started.processID, nil, Int32(CLINUX_WAIT_ALL))
                for descriptor in [started.life, started.statuses, started.pidDescriptor] { close(descriptor) }
            }
        }
    }
}
