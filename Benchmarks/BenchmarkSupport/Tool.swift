package import Foundation

/// A program run to its end.
package enum Tool {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String

        package init(description: String) {
            self.description = description
        }
    }

    @discardableResult
    package static func run(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        input: FileHandle = .nullDevice
    ) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        process.standardInput = input
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(description: "\(program) \(arguments.joined(separator: " ")): \(text)")
        }
        return text
    }

    /// Starts a program in the background and returns when its output contains `text`, with the time that took.
    package static func start(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        input: Any = FileHandle.nullDevice,
        until text: String
    ) throws -> (process: Process, took: Duration) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        process.standardInput = input
        let startedAt = ContinuousClock.now
        try process.run()
        var seen = Data()
        while true {
            let chunk = output.fileHandleForReading.availableData
            guard !chunk.isEmpty else {
                throw Failure(description: "\(program) ended early: \(String(decoding: seen, as: UTF8.self))")
            }
            seen.append(chunk)
            if String(decoding: seen, as: UTF8.self).contains(text) { break }
        }
        let took = ContinuousClock.now - startedAt
        // What comes later is read and dropped, so that the program never blocks on a full pipe.
        output.fileHandleForReading.readabilityHandler = { if $0.availableData.isEmpty { $0.readabilityHandler = nil } }
        return (process, took)
    }

    /// Resident memory of a process in MB.
    package static func residentMegabytes(_ process: Process) throws -> Double {
        let status = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
        guard let match = status.firstMatch(of: #/VmRSS:\s+(\d+) kB/#), let kilobytes = Double(match.output.1) else {
            throw Failure(description: "no VmRSS of \(process.processIdentifier)")
        }
        return kilobytes / 1024
    }
}
