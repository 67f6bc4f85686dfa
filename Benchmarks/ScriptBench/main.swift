// The figures of scripts, which `make bench-scripts` prints: one a line, each beside its limit, measured in the same run.

import BenchmarkSupport
import Foundation

/// Groups of figures by the name that chooses them.
let groups: [(name: String, run: (ScriptStage) async throws -> Void)] = [
    ("start", { try await StartFigures(stage: $0).run() }),
    ("rate", { try await RateFigures(stage: $0).run() }),
    ("log", { try await LogFigures(stage: $0).run() }),
    ("lag", { try await LagFigures(stage: $0).run() }),
    ("status", { try await StatusFigures(stage: $0).run() }),
    ("memory", { try await MemoryFigures(stage: $0).run() }),
]

func complain(_ text: String) -> Never {
    FileHandle.standardError.write(Data("\(text)\n".utf8))
    exit(1)
}

let arguments = Array(CommandLine.arguments.dropFirst())
if let producer = Producer(arguments: arguments) { producer.run() }
if arguments.first == ServiceHost.argument {
    try await ServiceHost.run(Array(arguments.dropFirst()))
    exit(0)
}
let chosen = Set(arguments.dropFirst())
guard let launcher = arguments.first, chosen.isSubset(of: groups.map(\.name)) else {
    complain("usage: script-bench LAUNCHER [\(groups.map(\.name).joined(separator: "] ["))]")
}
let stage = try ScriptStage(launcher: launcher)
// The files in memory do not outlive us, however we end; a script that runs then ends with the service's pipe.
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
    for group in groups where chosen.isEmpty || chosen.contains(group.name) { try await group.run(stage) }
    stage.remove()
} catch {
    stage.remove()
    complain("\(error)")
}
