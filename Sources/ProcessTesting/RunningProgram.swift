internal import CLinux
internal import Foundation
internal import Synchronization

/// A program that a test starts as a user would, with its output at hand line by line.
///
/// Why not `Foundation.Process`: it learns of an end through a socket that programs started at the same moment inherit,
/// so among parallel tests one program's end is noticed when another's comes; and its children keep SIGTERM blocked.
package final class RunningProgram: Sendable {
    /// How a program ended.
    package struct Outcome: Sendable {
        /// Exit status; 128 + signal when a signal ended it.
        package var status: Int32
        package var output: String
        package var errors: String
    }

    /// What a program reads on its standard input.
    package enum Input {
        /// Nothing: `/dev/null`.
        case none
        /// These bytes, then the end.
        case text(String)
        /// A descriptor of the caller's, who closes it.
        case descriptor(Int32)
    }

    package let processIdentifier: Int32
    private let output = LineStream()
    private let errors = LineStream()
    private let exit: AsyncStream<Int32>

    /// Starts a program with the test's own environment and `environment` on top.
    package init(
        _ executable: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        folder: String? = nil,
        input: Input = .none
    ) throws {
        let inherited = ProcessInfo.processInfo.environment
        let spawned = try Spawn.start(
            [executable] + arguments,
            environment: inherited.merging(environment) { _, given in given },
            folder: folder,
            input: input
        )
        processIdentifier = spawned.process
        let (exit, ended) = AsyncStream<Int32>.makeStream()
        self.exit = exit
        let (output, errors) = (output, errors)
        Thread.detachNewThread { errors.read(spawned.errors) }
        Thread.detachNewThread {
            output.read(spawned.output)
            var status: Int32 = 0
            while unsafe waitpid(spawned.process, &status, 0) < 0, errno == EINTR {}
            ended.yield(clinux_exit_status(status))
            ended.finish()
        }
    }

    /// The first line of standard output not yet looked at that contains `text`; nil when the output ended without one.
    package func line(containing text: String) async -> String? {
        await output.line(containing: text)
    }

    /// The same on standard error, where a server's log goes.
    package func errorLine(containing text: String) async -> String? {
        await errors.line(containing: text)
    }

    /// Waits for the end of the program and of its output.
    package func outcome() async -> Outcome {
        var status: Int32 = -1
        for await ended in exit { status = ended }
        return Outcome(status: status, output: await output.whole(), errors: await errors.whole())
    }

    package func send(signal: Int32) {
        kill(processIdentifier, signal)
    }
}

/// The lines of a pipe as they come, kept so that the whole text can be had at the end.
private final class LineStream: Sendable {
    private let lines: AsyncStream<String>
    private let arrived: AsyncStream<String>.Continuation
    private let text = Mutex<[UInt8]>([])

    init() {
        (lines, arrived) = AsyncStream<String>.makeStream()
    }

    /// Reads to the end of the pipe, on a thread of its own, and closes it.
    func read(_ descriptor: Int32) {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            text.withLock { $0 += buffer[..<count] }
            for byte in buffer[..<count] {
                if byte == UInt8(ascii: "\n") {
                    arrived.yield(String(decoding: line, as: UTF8.self))
                    line.removeAll(keepingCapacity: true)
                } else {
                    line.append(byte)
                }
            }
        }
        if !line.isEmpty { arrived.yield(String(decoding: line, as: UTF8.self)) }
        arrived.finish()
        close(descriptor)
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
