internal import CLinux
internal import Dispatch
internal import Foundation

/// One fault of a walk: which file-changing call of a program fails, and how.
package struct Fault: Sendable, CustomStringConvertible {
    /// Raw values are the injector's words.
    package enum Kind: String, Sendable, CaseIterable {
        case noSpace = "ENOSPC"
        case inputOutput = "EIO"
    }

    package enum Extent: String, Sendable {
        /// This call, and no later one.
        case once
        /// Every call from here on.
        case onwards
        /// Half of this call when it is a write, and every later one.
        case short
        /// The program is killed in place of this call.
        case kill

        /// In which a program can say what is wrong.
        package static let failures: [Extent] = [.once, .onwards, .short]
    }

    /// From 1; a program makes a different number of them each time.
    package var call: Int
    package var kind: Kind
    package var extent: Extent

    package init(call: Int, kind: Kind, extent: Extent) {
        self.call = call
        self.kind = kind
        self.extent = extent
    }

    package var description: String { "call \(call), \(kind.rawValue), \(extent.rawValue)" }

    /// With `TENTACLE_EVERY_FAULT=1` each call fails in all six ways; else in two of them by turns, one with each error,
    /// or in one where each run is dear.
    package static let isEveryOne = ProcessInfo.processInfo.environment["TENTACLE_EVERY_FAULT"] == "1"

    /// Lets the first call fail, then the second, until the program makes fewer.
    ///
    /// `body` runs the program and gives the call that failed, nil when there was none; returns how many there were.
    package static func walk(
        waysOfEach count: Int = 2,
        _ body: (Fault) async throws -> String?
    ) async throws -> Int {
        let ways = Extent.failures.flatMap { extent in Kind.allCases.map { (extent, $0) } }
        var faults = 0
        for call in 1... {
            let chosen = isEveryOne ? ways : (0..<count).map { ways[(call + 3 * $0) % ways.count] }
            var found = false
            for (extent, kind) in chosen where try await body(Fault(call: call, kind: kind, extent: extent)) != nil {
                faults += 1
                found = true
            }
            guard found else { break }
        }
        return faults
    }
}

/// Runs a command with a fault in one program (Tests/FaultInjector).
package struct FaultInjector: Sendable {
    package struct Outcome: Sendable {
        package var program: RunningProgram.Outcome
        /// Name of the call and its file; nil when the program made fewer calls.
        package var failed: String?
    }

    private let injector: String
    private let arguments: [String]

    /// - Parameters:
    ///   - injector: the program `fault-injector`.
    ///   - program: whose calls are counted, in whatever process.
    ///   - directory: only calls on files below it count.
    package init(_ injector: String, program: String, below directory: String) {
        self.injector = injector
        arguments = ["--program", program, "--below", directory]
    }

    /// Runs a command to its end and to that of everything it started.
    package func run(
        _ fault: Fault,
        _ command: [String],
        environment: [String: String] = [:],
        input: RunningProgram.Input = .none
    ) async throws -> Outcome {
        let report = FileManager.default.temporaryDirectory.appending(path: "fault-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: report) }
        let process = try start(fault, command, report: report, environment: environment, input: input)
        let outcome = await process.outcome()
        return Outcome(program: outcome, failed: Self.failed(in: report))
    }

    /// Starts a command; `failed(in:)` tells of its report at any time.
    package func start(
        _ fault: Fault,
        _ command: [String],
        report: String,
        environment: [String: String] = [:],
        input: RunningProgram.Input = .none
    ) throws -> RunningProgram {
        let options = Self.options(fault) + ["--report", report, "--"]
        return try RunningProgram(injector, arguments + options + command, environment: environment, input: input)
    }

    /// The call that has failed so far.
    package static func failed(in report: String) -> String? {
        FaultControl.failure(
            FileManager.default.contents(atPath: report).map { String(decoding: $0, as: UTF8.self) } ?? ""
        )
    }

    /// Program and arguments that run a command which lives through many faults, told by a `FaultControl`.
    ///
    /// `fault` is there from its start.
    package func command(
        _ command: [String],
        _ fault: Fault? = nil,
        control: String
    ) -> (program: String, arguments: [String]) {
        (injector, arguments + (fault.map(Self.options) ?? []) + ["--control", control, "--"] + command)
    }

    private static func options(_ fault: Fault) -> [String] {
        ["--call", "\(fault.call)", "--errno", fault.kind.rawValue, "--how", fault.extent.rawValue]
    }
}

/// Arms the injector of a running program again and again.
package final class FaultControl: Sendable {
    private let connection: Int32

    /// The path is that of a socket which the injector makes when it starts.
    package init(_ path: String) throws {
        connection = unsafe clinux_connect_unix(path)
        guard connection >= 0 else {
            throw SpawnFailure(program: path, reason: unsafe String(cString: strerror(-connection)))
        }
    }

    deinit { close(connection) }

    /// From the next call on; nil lets all of them through.
    package func arm(_ fault: Fault?) throws {
        let (call, kind) = (fault?.call ?? 0, fault?.kind ?? .noSpace)
        _ = try ask("arm \(call) \(kind.rawValue) \((fault?.extent ?? .once).rawValue)\n")
    }

    /// The call that has failed since it was armed.
    package func failed() throws -> String? { Self.failure(try ask("report\n")) }

    /// The injector answers at once: it does nothing else than answering.
    private func ask(_ line: String) throws -> String {
        let bytes = Array(line.utf8)
        var reply = [UInt8](repeating: 0, count: 8192)
        guard unsafe send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count,
            case let count = unsafe recv(connection, &reply, reply.count, 0), count > 0
        else { throw SpawnFailure(program: "fault-injector", reason: "it has ended") }
        return String(decoding: reply[..<count], as: UTF8.self)
    }

    /// `failed 7 write /path` → `write /path`.
    fileprivate static func failure(_ report: String) -> String? {
        guard let line = report.split(separator: "\n").first, line.hasPrefix("failed ") else { return nil }
        return line.split(separator: " ", maxSplits: 2).last.map(String.init)
    }
}
