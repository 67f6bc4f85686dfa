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
    private let exit = ExitStatus()

    /// Starts a program with the test's own environment and `environment` on top.
    package init(
        _ executable: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        folder: String? = nil,
        input: Input = .none
    ) throws {
        var inherited = ProcessInfo.processInfo.environment
        inherited["DefaultLogDirectory"] = StartupLogs.directory
        let spawned = try Spawn.start(
            [executable] + arguments,
            environment: inherited.merging(environment) { _, given in given },
            folder: folder,
            input: input
        )
        processIdentifier = spawned.process
        let (output, errors, exit) = (output, errors, exit)
        Thread.detachNewThread { output.read(spawned.output) }
        Thread.detachNewThread { errors.read(spawned.errors) }
        Thread.detachNewThread { exit.wait(for: spawned.process) }
    }

    /// The first line of standard output not yet looked at that contains `text`; nil when the output ended without one.
    package func line(containing text: String) async -> String? {
        await output.line(containing: text)
    }

    /// The same on standard error, where a server's log goes.
    package func errorLine(containing text: String) async -> String? {
        await errors.line(containing: text)
    }

    /// Waits for the end of the program; what it started may still hold its output.
    ///
    /// Kills it when the task is cancelled, as by a time limit.
    @discardableResult
    package func exited() async -> Int32 {
        await withTaskCancellationHandler {
            await exit.value()
        } onCancel: {
            send(signal: SIGKILL)
        }
    }

    /// Waits for the end of the program and of its output.
    package func outcome() async -> Outcome {
        Outcome(status: await exited(), output: await output.whole(), errors: await errors.whole())
    }

    /// Runs `body`, then asks the program to end and waits until it has, also when the body fails.
    package func whileRunning<Value>(_ body: () async throws -> Value) async throws -> Value {
        let result: Result<Value, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        send(signal: SIGTERM)
        await exited()
        return try result.get()
    }

    /// Does nothing when the program is over: its number may be another's by now.
    package func send(signal: Int32) {
        exit.send(signal: signal, to: processIdentifier)
    }
}

/// Where programs of ours log before they know where: not into the home of whoever runs the tests.
private enum StartupLogs {
    static let directory: String = {
        // Gone with the process that runs the tests.
        atexit { try? FileManager.default.removeItem(atPath: StartupLogs.path) }
        return path
    }()

    private static let path = FileManager.default.temporaryDirectory.appending(path: "logs-\(UUID().uuidString)").path
}

/// How a process ended, for any number of tasks that wait for it.
private final class ExitStatus: Sendable {
    private enum State {
        case running([CheckedContinuation<Int32, Never>])
        case ended(Int32)
    }

    private let state = Mutex(State.running([]))

    /// Blocks the calling thread until the process ends.
    func wait(for process: pid_t) {
        // Its number stays taken until `waitpid`.
        var information = unsafe siginfo_t()
        while unsafe waitid(P_PID, id_t(process), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        let (result, waiters) = state.withLock { state in
            var status: Int32 = 0
            unsafe waitpid(process, &status, 0)
            let result = clinux_exit_status(status)
            guard case .running(let waiters) = state else { return (result, [CheckedContinuation<Int32, Never>]()) }
            state = .ended(result)
            return (result, waiters)
        }
        for waiter in waiters { waiter.resume(returning: result) }
    }

    func send(signal: Int32, to process: pid_t) {
        state.withLock { if case .running = $0 { kill(process, signal) } }
    }

    func value() async -> Int32 {
        await withCheckedContinuation { continuation in
            let result: Int32? = state.withLock { state in
                switch state {
                case .ended(let result): return result
                case .running(let waiters):
                    state = .running(waiters + [continuation])
                    return nil
                }
            }
            if let result { continuation.resume(returning: result) }
        }
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
