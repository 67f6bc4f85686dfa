internal import FoundationEssentials
internal import Glibc
internal import LauncherProtocol

/// What the stock agent left of a script, for the server that still asks after this agent took its place.
///
/// Its `scriptstate.json` (tentacle-services.md 6) and its `Output.log`: JSON arrays back to back, numbered from 1, behind
/// a byte order mark (8.3, 8.4).
enum StockWorkspace {
    static let stateFileName = "scriptstate.json"
    private static let complete: Int64 = 2
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// How the script ended; nil when the directory has no state of the stock agent.
    ///
    /// Nobody runs it any more: without an end it is -46, and so is a file that cannot be understood.
    static func exitCode(_ directory: borrowing WorkspaceDirectory) throws -> Int32? {
        guard let bytes = try directory.read(stateFileName, limit: ScriptStateRecord.maximumBytes) else { return nil }
        let json = try? JSONText(bytes: bytes.starts(with: byteOrderMark) ? Array(bytes.dropFirst(3)) : bytes)
        guard json?["State"]?.integer == complete else { return ScriptExitCode.unknownResult }
        return json?["ExitCode"]?.integer.flatMap { Int32(exactly: $0) } ?? ScriptExitCode.unknownResult
    }

    /// True when the log is in the stock agent's form.
    static func hasLog(_ directory: borrowing WorkspaceDirectory) -> Bool {
        let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        let file = unsafe openat(directory.descriptor, ScriptSpecification.logFileName, flags)
        guard file >= 0 else { return false }
        defer { close(file) }
        var first: UInt8 = 0
        return unsafe pread(file, &first, 1, 0) == 1 && [byteOrderMark[0], UInt8(ascii: "[")].contains(first)
    }

    /// The entries numbered above `sequence`, and the number to ask with next.
    static func log(
        _ directory: borrowing WorkspaceDirectory,
        after sequence: Int64
    ) throws -> (entries: [ScriptLogEntry], next: Int64) {
        var reader = StockLogReader(after: sequence)
        let path = "/proc/self/fd/\(directory.descriptor)/\(ScriptSpecification.logFileName)"
        try StagedStream.file(path: path, length: 0).forEachChunk { reader.feed($0) }
        reader.finish()
        return (reader.entries, max(sequence, reader.number, 0))
    }

    /// `2024-05-09T10:11:12.1234567+00:00`: up to seven digits of a second, an offset or `Z`.
    static func time(_ text: String) -> Date? {
        let bytes = Array(text.utf8)
        guard bytes.count > 19 else { return nil }
        var rest = bytes[19...]
        var fraction: [UInt8] = []
        if rest.first == UInt8(ascii: ".") {
            fraction = Array(rest.dropFirst().prefix { (0x30...0x39).contains($0) })
            rest = rest.dropFirst(1 + fraction.count)
        }
        fraction = Array((fraction + Array(repeating: 0x30, count: 6)).prefix(6))
        let utc = bytes[..<19] + [UInt8(ascii: ".")] + fraction + [UInt8(ascii: "Z")]
        guard let local = UTCMicroseconds(text: utc), let offset = offsetSeconds(rest) else { return nil }
        return Date(timeIntervalSince1970: Double(local.sinceEpoch) / 1_000_000 - offset)
    }

    private static func offsetSeconds(_ text: ArraySlice<UInt8>) -> Double? {
        if text.elementsEqual("Z".utf8) { return 0 }
        let parts = text.dropFirst().split(separator: UInt8(ascii: ":")).map {
            Int(String(decoding: $0, as: UTF8.self))
        }
        guard parts.count == 2, let hours = parts[0], let minutes = parts[1], (0...14).contains(hours) else {
            return nil
        }
        let seconds = Double(hours * 3600 + minutes * 60)
        switch text.first {
        case UInt8(ascii: "+"): return seconds
        case UInt8(ascii: "-"): return -seconds
        default: return nil
        }
    }
}

/// Cuts the log into its arrays without keeping more than one of them.
private struct StockLogReader {
    /// Longer ones the stock agent could not have sent.
    private static let maximumEntryBytes = 64 << 20

    private(set) var entries: [ScriptLogEntry] = []
    /// Of the last entry.
    private(set) var number: Int64 = 0
    private let sequence: Int64
    private var entry: [UInt8] = []
    private var isInString = false
    private var isEscaped = false
    private var isCorrupt = false

    init(after sequence: Int64) { self.sequence = sequence }

    mutating func feed(_ bytes: ArraySlice<UInt8>) {
        for byte in bytes {
            guard !isCorrupt else { return }
            // Between arrays: white space, or the byte order mark.
            if entry.isEmpty, byte != UInt8(ascii: "[") {
                isCorrupt = ![0x20, 0x0A, 0x0D, 0x09, 0xEF, 0xBB, 0xBF].contains(byte)
                if isCorrupt { sayCorrupt() }
                continue
            }
            entry.append(byte)
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
            } else if byte == UInt8(ascii: "\"") {
                isInString = true
            } else if byte == UInt8(ascii: "]") {
                takeEntry()
            }
            if entry.count > Self.maximumEntryBytes { sayCorrupt() }
        }
    }

    mutating func finish() {
        if !entry.isEmpty, !isCorrupt { sayCorrupt() }
    }

    private mutating func takeEntry() {
        defer { entry.removeAll(keepingCapacity: true) }
        guard let parts = (try? JSONText(bytes: entry))?.array, parts.count == 3, let source = parts[0].string else {
            return sayCorrupt()
        }
        number += 1
        // One without a text or a time is none, but has its number.
        guard number > sequence, let text = parts[1].string, let time = parts[2].string.flatMap(StockWorkspace.time)
        else { return }
        let sources: [String: ScriptLogEntry.Source] = ["stdout": .standardOutput, "stderr": .standardError]
        entries.append(ScriptLogEntry(source: sources[source] ?? .debug, occurred: time, text: text))
    }

    private mutating func sayCorrupt() {
        isCorrupt = true
        number += 1
        guard number > sequence else { return }
        let text = "Corrupt Tentacle log at line \(number), no more logs will be read"
        entries.append(ScriptLogEntry(source: .standardError, occurred: entries.last?.occurred ?? Date(), text: text))
    }
}
