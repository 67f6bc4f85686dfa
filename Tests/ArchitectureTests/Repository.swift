import Foundation

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
    static func output(of tool: String, _ arguments: [String]) throws -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [tool] + arguments
        process.currentDirectoryURL = root
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw ToolFailure(tool: tool, status: process.terminationStatus) }
        return data
    }

    struct ToolFailure: Error {
        var tool: String
        var status: Int32
    }
}
