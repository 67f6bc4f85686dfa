// The wire's figures, which `make bench-halibut` prints: one a line, each beside its limit, measured in the same run.

import BenchmarkSupport
import CBenchmark
import Foundation

/// Groups of figures by the name that chooses them; not all belong to a run that nobody asked more of.
let groups: [(name: String, byDefault: Bool, run: (Stage) async throws -> Void)] = [
    ("rpc", true, { try await CallFigures(stage: $0).run() }),
    ("upload", true, { try await TransferFigures(stage: $0, direction: .upload).run() }),
    ("download", true, { try await TransferFigures(stage: $0, direction: .download).run() }),
    ("allocations", true, { try await AllocationFigures(stage: $0).run() }),
    ("agents", true, { try await AgentFigures(stage: $0).run() }),
    ("back-pressure", false, { try await BackPressureFigures(stage: $0).run() }),
]

func complain(_ text: String) -> Never {
    FileHandle.standardError.write(Data("\(text)\n".utf8))
    exit(1)
}

_ = benchmark_raise_file_limit()
if CommandLine.arguments.count == 3, CommandLine.arguments[1] == OtherSide.argument {
    try await Servant(Stage(existing: URL(fileURLWithPath: CommandLine.arguments[2]))).run()
    exit(0)
}
let chosen = Set(CommandLine.arguments.dropFirst())
guard chosen.isSubset(of: groups.map(\.name)) else {
    complain("usage: halibut-bench [\(groups.map(\.name).joined(separator: "] ["))]")
}
let stage = try Stage()
// The files in memory do not outlive us, however we end.
let signals = [SIGINT, SIGTERM].map { number in
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler {
        stage.remove()
        complain("interrupted")
    }
    source.resume()
    return source
}
do {
    Figure.printHeader()
    for group in groups where chosen.isEmpty ? group.byDefault : chosen.contains(group.name) {
        try await group.run(stage)
    }
    stage.remove()
} catch {
    stage.remove()
    complain("\(error)")
}
