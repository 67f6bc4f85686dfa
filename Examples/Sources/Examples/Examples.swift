/// Runs the examples named on the command line, or all of them.
@main struct Examples {
    static func main() async throws {
        let examples: [(name: String, run: () async throws -> Void)] = [
            ("listening", listening), ("polling", polling), ("upload", upload),
        ]
        let wanted = CommandLine.arguments.dropFirst()
        for example in examples where wanted.isEmpty || wanted.contains(example.name) {
            print(example.name)
            try await example.run()
        }
    }
}

/// Runs a service in the background until the body returns.
func whileRunning(
    _ service: @escaping @Sendable () async throws -> Void,
    _ body: () async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await service() }
        defer { group.cancelAll() }
        try await body()
    }
}
