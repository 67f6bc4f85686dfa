import Foundation
import ProcessTesting

/// Named pipes: how a test and a script on an agent wait for each other.
extension TentacleFixture {
    func makeFIFO(_ url: URL) async throws {
        _ = try await RunningProgram("/usr/bin/mkfifo", [url.path]).outcome()
    }

    /// Waits until somebody writes into the pipe.
    func read(_ url: URL) async throws -> String {
        try await RunningProgram("/bin/cat", [url.path]).outcome().output
    }

    /// Waits until somebody reads the pipe.
    func write(_ text: String, to url: URL) async throws {
        _ = try await RunningProgram(
            "/bin/sh",
            ["-c", "printf '%s\\n' \"$1\" > \"$2\"", "sh", text, url.path]
        ).outcome()
    }
}

/// What runs on this machine.
enum ProcessTable {
    static func commandLines(containing text: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc")
            .filter { Int($0) != nil }
            .compactMap { try? String(contentsOfFile: "/proc/\($0)/cmdline", encoding: .utf8) }
            .filter { $0.contains(text) }
    }
}
