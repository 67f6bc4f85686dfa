import Foundation

/// A process that prints at a given rate, the time of each piece in front of it: the only output whose age is known.
struct Producer {
    private static let argument = "--produce"
    private static let mark = UInt8(ascii: "@")
    private static let lineBytes = 80

    /// Between two pieces.
    var milliseconds: Int
    /// Of a piece, without its line with the time.
    var bytes: Int
    var pieces: Int

    init(milliseconds: Int, bytes: Int, pieces: Int) {
        self.milliseconds = milliseconds
        self.bytes = bytes
        self.pieces = pieces
    }

    /// Nil when this program was started for something else.
    init?(arguments: [String]) {
        let numbers = arguments.dropFirst().compactMap { Int($0) }
        guard arguments.first == Self.argument, numbers.count == 3 else { return nil }
        self.init(milliseconds: numbers[0], bytes: numbers[1], pieces: numbers[2])
    }

    /// What a script says to become the producer.
    var script: String { "exec '\(ScriptStage.ownPath)' \(Self.argument) \(milliseconds) \(bytes) \(pieces)\n" }

    func run() -> Never {
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: Self.lineBytes - 1) + [0x0A]
        let flood = [UInt8]((0..<bytes / Self.lineBytes).map { _ in line }.joined())
        let begin = Self.nanoseconds
        for piece in 0..<pieces {
            let due = begin + Int64(piece * milliseconds) * 1_000_000
            while case let left = due - Self.nanoseconds, left > 0 {
                var pause = timespec(tv_sec: 0, tv_nsec: min(Int(left), 999_999_999))
                nanosleep(&pause, nil)
            }
            var rest = (Array("@\(Self.nanoseconds)\n".utf8) + flood)[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
                guard count > 0 else { exit(1) }
                rest = rest.dropFirst(count)
            }
        }
        exit(0)
    }

    /// The age of a line with a time; nil for any other.
    static func age(of line: some Collection<UInt8>) -> Duration? {
        guard line.first == mark, let time = Int64(String(decoding: line.dropFirst(), as: UTF8.self)) else {
            return nil
        }
        return .nanoseconds(nanoseconds - time)
    }

    /// Of a clock that all processes share.
    private static var nanoseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
