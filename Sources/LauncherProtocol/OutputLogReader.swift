import Glibc

/// One line of a script as the server sees it, its pieces joined.
package struct OutputLogEntry: Equatable, Sendable {
    package var occurred: UTCMicroseconds
    package var source: OutputLogRecord.Source
    package var text: String

    package init(occurred: UTCMicroseconds, source: OutputLogRecord.Source, text: String) {
        self.occurred = occurred
        self.source = source
        self.text = text
    }
}

/// What one reading of `Output.log` gave.
package struct OutputLogPage: Equatable, Sendable {
    package var entries: [OutputLogEntry]
    /// The log sequence to ask with next: the byte offset behind the last record delivered.
    package var next: Int64
    /// Nothing complete is left behind `next`.
    package var reachedEnd: Bool
}

/// Reads the records behind a byte offset, and only those bytes (DESIGN.md 2).
package struct OutputLogReader: ~Copyable, Sendable {
    /// A page ends behind this many bytes; the next call goes on.
    ///
    /// Entries, message and its compressed form take about five times as much memory in the agent.
    package static let pageBytes = 2 << 20
    /// A line longer than this is given in parts: what is joined has to fit into one message.
    package static let joinedLineBytes = 32 << 20

    private let descriptor: Int32

    /// Takes over a descriptor open for reading.
    package init(takingOver descriptor: Int32) { self.descriptor = descriptor }

    /// The log of a workspace, or nil when there is none yet.
    package init?(_ directory: borrowing WorkspaceDirectory) throws(WorkspaceFileError) {
        let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        let file = unsafe openat(directory.descriptor, ScriptSpecification.logFileName, flags)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw WorkspaceFileError("open", ScriptSpecification.logFileName, number: errno)
        }
        self.init(takingOver: file)
    }

    deinit { close(descriptor) }

    /// Entries whose records are complete and behind `offset`.
    ///
    /// `offset` is a `next` of before; 0 or less is the beginning, anything else goes to the next whole record. With
    /// `final`, nobody will write any more: a long line without its end is given as it is. Stops behind `limit` bytes.
    package func read(after offset: Int64, final: Bool, limit: Int = pageBytes) throws -> OutputLogPage {
        var facts = stat()
        guard unsafe fstat(descriptor, &facts) == 0 else {
            throw WorkspaceFileError("read", ScriptSpecification.logFileName, number: errno)
        }
        let size = Int64(facts.st_size)
        guard offset < size else { return OutputLogPage(entries: [], next: max(0, offset), reachedEnd: true) }
        let start = try offset <= 0 ? 0 : recordBoundary(atOrBehind: offset)
        var joiner = OutputLogJoiner(start: start)
        var buffer = [UInt8](repeating: 0, count: 262_144)
        var rest: [UInt8] = []
        var position = start
        while position < size, joiner.bytes < limit || joiner.hasOpenLine {
            let wanted = Int(min(Int64(buffer.count), size - position))
            let count = unsafe pread(descriptor, &buffer, wanted, off_t(position))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw WorkspaceFileError("read", ScriptSpecification.logFileName, number: errno) }
            guard count > 0 else { break }
            position += Int64(count)
            Self.split(buffer[..<count], &rest) { line in joiner.take(line) }
        }
        return joiner.page(size: size, final: final && position >= size, unended: rest.count)
    }

    private func recordBoundary(atOrBehind offset: Int64) throws -> Int64 {
        var position = offset - 1
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe pread(descriptor, &buffer, buffer.count, off_t(position))
            guard count > 0 else { return position }
            if let end = buffer[..<count].firstIndex(of: 0x0A) { return position + Int64(end) + 1 }
            position += Int64(count)
        }
    }

    private static func split(
        _ bytes: ArraySlice<UInt8>,
        _ rest: inout [UInt8],
        _ body: (ArraySlice<UInt8>) -> Void
    ) {
        var start = bytes.startIndex
        while let end = newline(in: bytes[start...]) {
            if rest.isEmpty {
                body(bytes[start..<end])
            } else {
                rest += bytes[start..<end]
                body(rest[...])
                rest.removeAll(keepingCapacity: true)
            }
            start = end + 1
        }
        rest += bytes[start...]
    }

    private static func newline(in bytes: ArraySlice<UInt8>) -> Int? {
        let offset = unsafe bytes.withUnsafeBytes { (bytes) -> Int? in
            guard let first = bytes.baseAddress, let found = unsafe memchr(first, 0x0A, bytes.count) else {
                return nil
            }
            return unsafe UnsafeRawPointer(found) - first
        }
        return offset.map { bytes.startIndex + $0 }
    }
}

/// Joins pieces of long lines; entries behind a line that has not ended wait for it, so that one offset is enough.
private struct OutputLogJoiner {
    private var entries: [OutputLogEntry] = []
    private var position: Int64
    private(set) var bytes = 0
    /// By source: index in `entries` and where its first piece begins, entries before it, and the text so far.
    private var open: [OutputLogRecord.Source: (entry: Int, start: Int64, text: [UInt8])] = [:]

    init(start: Int64) { position = start }

    var hasOpenLine: Bool { !open.isEmpty }

    mutating func take(_ line: ArraySlice<UInt8>) {
        let start = position
        position += Int64(line.count) + 1
        bytes += line.count + 1
        guard !line.isEmpty else { return }
        guard let record = OutputLogRecord.Prefix(line: line) else {
            let text = "Corrupt Tentacle log at byte \(start), the record is skipped"
            let time = entries.last?.occurred ?? UTCMicroseconds(sinceEpoch: 0)
            entries.append(OutputLogEntry(occurred: time, source: .standardError, text: text))
            return
        }
        let text = line[(line.startIndex + OutputLogRecord.prefixBytes)...]
        // Nothing is hashed for the usual log, which has no long lines.
        if !open.isEmpty, var line = open[record.source] {
            line.text += text
            if record.endsLine || line.text.count > OutputLogReader.joinedLineBytes {
                entries[line.entry].text = String(decoding: line.text, as: UTF8.self)
                open[record.source] = nil
            } else {
                open[record.source] = line
            }
            return
        }
        if !record.endsLine { open[record.source] = (entries.count, start, Array(text)) }
        let shown = record.endsLine ? String(decoding: text, as: UTF8.self) : ""
        entries.append(OutputLogEntry(occurred: record.occurred, source: record.source, text: shown))
    }

    consuming func page(size: Int64, final: Bool, unended: Int) -> OutputLogPage {
        guard let first = open.values.min(by: { $0.start < $1.start }) else {
            return OutputLogPage(entries: entries, next: position, reachedEnd: position + Int64(unended) >= size)
        }
        guard final else {
            return OutputLogPage(entries: Array(entries[..<first.entry]), next: first.start, reachedEnd: true)
        }
        for line in open.values { entries[line.entry].text = String(decoding: line.text, as: UTF8.self) }
        return OutputLogPage(entries: entries, next: position, reachedEnd: true)
    }
}
