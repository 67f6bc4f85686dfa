import Foundation
import ProcessTesting

/// The checkout under test.
enum Repository {
    /// The folder that holds Package.swift.
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Release programs, as `make test` names them; nil in a bare `swift test`.
    static let releasePrograms = ProcessInfo.processInfo.environment["TENTACLE_BIN"].map { URL(fileURLWithPath: $0) }

    /// Every Swift file below `folder`, with its text.
    static func swiftSources(in folder: String) throws -> [(path: String, text: String)] {
        let base = root.appending(path: folder)
        guard let paths = FileManager.default.enumerator(atPath: base.path) else { return [] }
        return try paths.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.sorted().map {
            ("\(folder)/\($0)", try String(contentsOf: base.appending(path: $0), encoding: .utf8))
        }
    }

    /// The standard output of a tool on the PATH.
    static func output(of tool: String, _ arguments: [String]) async throws -> String {
        let outcome = try await RunningProgram(tool, arguments, folder: root.path).outcome()
        guard outcome.status == 0 else {
            throw ToolFailure(tool: tool, status: outcome.status, errors: outcome.errors)
        }
        return outcome.output
    }

    struct ToolFailure: Error {
        var tool: String
        var status: Int32
        var errors: String
    }
}
