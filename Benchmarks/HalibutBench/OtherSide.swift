import BenchmarkSupport
import Foundation

/// This program once more, in a process of its own: the other side of a measurement.
///
/// It does what it is asked, one line a question and one an answer, until its standard input ends.
final class OtherSide {
    /// The argument that makes a process of this program the other side.
    static let argument = "--other-side"

    private let process = Process()
    private let questions = Pipe()
    private let answers = Pipe()
    private var unread = Data()

    init(_ stage: Stage) throws {
        process.executableURL = URL(
            fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        )
        process.arguments = [Self.argument, stage.folder.path]
        process.standardInput = questions
        process.standardOutput = answers
        try process.run()
        // Only the process has that end now: when it dies, we see the end of its answers.
        try questions.fileHandleForReading.close()
        try answers.fileHandleForWriting.close()
    }

    /// Lets it end.
    func stop() throws {
        try questions.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    @discardableResult
    func ask(_ question: Question) throws -> Double {
        try ask(question, as: Double.self)
    }

    func usage() throws -> Usage {
        try ask(.usage, as: Usage.self)
    }

    private func ask<Answer: Decodable>(_ question: Question, as type: Answer.Type) throws -> Answer {
        let line = try JSONEncoder().encode(question) + Data("\n".utf8)
        try questions.fileHandleForWriting.write(contentsOf: line)
        let answer = try readLine()
        guard let answer = try? JSONDecoder().decode(Answer.self, from: answer) else {
            throw Tool.Failure(description: String(decoding: answer, as: UTF8.self))
        }
        return answer
    }

    private func readLine() throws -> Data {
        while true {
            if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
                defer { unread = Data(unread[(end + 1)...]) }
                return Data(unread[..<end])
            }
            let more = answers.fileHandleForReading.availableData
            guard !more.isEmpty else { throw Tool.Failure(description: "the other side ended") }
            unread += more
        }
    }
}

/// What the other side can be asked to do; each is answered by a number.
enum Question: Codable {
    /// Be a listening service; the port.
    case listen
    /// Be a listener of bare TLS; the port.
    case listenBare
    /// Be a server for polling services; the port.
    case acceptPolling
    /// Be polling services, which are called `poll://bench-0/` and so on.
    case poll(port: Int, count: Int, withoutPause: Bool)
    /// Always have a call in the queue of `poll://bench-0/`.
    case keepCalling
    /// Call polling services, all at the same time; the seconds until all have answered.
    case callAll(count: Int)
    /// Reset all connections of polling services.
    case cut
    /// A slow disk for the first bytes to come.
    case slowDisk(bytesPerSecond: Int, bytes: Int)
    case forgetPeak
    case allocations
    /// Answered by a ``Usage``.
    case usage
}
