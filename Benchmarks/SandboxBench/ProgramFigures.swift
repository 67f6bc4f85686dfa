/// Whole programs: from the spawn of what makes the sandbox to the first instruction of what runs in it.
struct ProgramFigures {
    private static let rounds = 300

    let stage: SandboxStage

    func run() throws {
        var contest = Contest(stage: stage)
        for name in SandboxStage.profiles {
            let stage = stage
            contest.add(name) {
                let program = try stage.spawn([stage.launcher, "sandbox", "run", name, "--", stage.probe])
                return { try program.end() }
            }
        }
        let bubblewrap = try Bubblewrap(stage: stage)
        for name in bubblewrap?.profiles ?? [] {
            guard let command = try bubblewrap?.command(name) else { continue }
            contest.add("bubblewrap \(name)", command)
        }
        try contest.run(rounds: Self.rounds)
        for name in SandboxStage.profiles {
            let other = "bubblewrap \(name)"
            for (percentile, share) in Contest.percentiles {
                let figure = "program, \(name), added \(percentile)"
                if contest.isMeasured(other) {
                    report(figure, contest.added(name, share), against: other, contest.added(other, share))
                } else {
                    report(figure, contest.added(name, share), against: Contest.bare, contest.time(Contest.bare, share))
                }
            }
        }
    }
}
