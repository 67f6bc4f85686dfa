// What a sandbox adds to the start of a program, which `make bench-sandbox` prints: one figure a line, beside its
// reference, measured in the same run.
//
// Without Foundation and static, like the launcher: what is copied at a fork is as little as there.
import CLinux
import Glibc

/// Groups of figures by the name that chooses them.
let groups: [(name: String, run: (SandboxStage) throws -> Void)] = [
    ("executor", { try ExecutorFigures(stage: $0).run() }),
    ("program", { try ProgramFigures(stage: $0).run() }),
]

let arguments = Array(CommandLine.arguments.dropFirst())
let chosen = Set(arguments.dropFirst(2))
guard arguments.count >= 2, chosen.isSubset(of: groups.map(\.name)) else {
    complain("usage: sandbox-bench LAUNCHER PROBE [\(groups.map(\.name).joined(separator: "] ["))]")
    exit(2)
}
do {
    let stage = try SandboxStage(launcher: arguments[0], probe: arguments[1])
    defer { stage.remove() }
    complain("load \(machineLoad())")
    for group in groups where chosen.isEmpty || chosen.contains(group.name) { try group.run(stage) }
    complain("load \(machineLoad())")
} catch {
    complain("\(error)")
    exit(1)
}
