import Foundation
import Synchronization

/// A program of ours, started as a user would start it, with its output at hand line by line.
final class RunningProgram: Sendable {
    /// How a program ended.
    struct Outcome: Sendable {
        /// Exit status; 128 + signal when a signal ended it.
        var status: Int32
        var output: String
        var errors: String
    }

    let processIdentifier: Int32
    private let output = LineBuffer()
    private let errors = LineBuffer()
    private let exit: AsyncStream<Int32>

    init(_ executable: URL, _ arguments: [String], environment: [String: String] = [:], folder: URL? = nil) throws {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, ours in ours }
        process.currentDirectoryURL = folder
        process.standardInput = FileHandle.nullDevice
        let (exit, ended) = AsyncStream<Int32>.makeStream()
        self.exit = exit
        process.terminationHandler = { process in
            let status = process.terminationStatus
            ended.yield(process.terminationReason == .uncaughtSignal ? 128 + status : status)
            ended.finish()
        }
        process.standardOutput = output.pipe
        process.standardError = errors.pipe
        try process.run()
        processIdentifier = process.processIdentifier
        output.start()
        errors.start()
    }

    /// The first line of standard output not yet looked at that contains `text`; nil when the output ended without one.
    func line(containing text: String) async -> String? {
        await output.line(containing: text)
    }

    /// The same on standard error, where a server's log goes.
    func errorLine(containing text: String) async -> String? {
        await errors.line(containing: text)
    }

    /// Waits for the end of the program and of its output.
    func outcome() async -> Outcome {
        var status: Int32 = -1
        for await ended in exit { status = ended }
        return Outcome(status: status, output: await output.whole(), errors: await errors.whole())
    }

    func send(signal: Int32) {
        kill(processIdentifier, signal)
    }
}

/// The lines of a pipe as they come, kept so that the whole text can be had at the end.
private final class LineBuffer: Sendable {
    let pipe = Pipe()
    private let lines: AsyncStream<String>
    private let arrived: AsyncStream<String>.Continuation
    private let text = Mutex<Data>(Data())

    init() {
        (lines, arrived) = AsyncStream<String>.makeStream()
    }

    func start() {
        let arrived = self.arrived
        let pending = Mutex<Data>(Data())
        pipe.fileHandleForReading.readabilityHandler = { [self] handle in
            let chunk = handle.availableData
            guard !chunk.isEmpty else {
                handle.readabilityHandler = nil
                arrived.finish()
                return
            }
            text.withLock { $0.append(chunk) }
            let complete = pending.withLock { pending in
                pending.append(chunk)
                var complete: [String] = []
                while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                    complete.append(String(decoding: pending[pending.startIndex..<end], as: UTF8.self))
                    pending = Data(pending[(end + 1)...])
                }
                return complete
            }
            for line in complete { arrived.yield(line) }
        }
    }

    func line(containing part: String) async -> String? {
        for await line in lines where line.contains(part) { return line }
        return nil
    }

    func whole() async -> String {
        for await _ in lines {}
        return String(decoding: text.withLock { $0 }, as: UTF8.self)
    }
}
