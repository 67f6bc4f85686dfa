/// One record of `Output.log`, which is one line of it (DESIGN.md 2).
///
///     2024-05-09T10:11:12.123456Z out hello
///     |<------ 27 bytes ------->| tag text, up to the newline
///
/// | Tag | Meaning |
/// |---|---|
/// | `out` `err` `dbg` | the text, or the end of it, of one entry of that source |
/// | `ou+` `er+` | a piece of a long line; the next record of that source goes on with it |
///
/// A line has no length limit for the server (tentacle-services.md 8.1), but the launcher keeps no more than
/// `OutputLineSplitter.pieceBytes` of it in memory: longer ones are written in pieces and joined by the reader.
package struct OutputLogRecord: Equatable, Sendable {
    package enum Source: UInt8, Sendable, CaseIterable {
        case standardOutput, standardError, debug
    }

    package var occurred: UTCMicroseconds
    package var source: Source
    /// False for a piece that the next record of the same source continues.
    package var endsLine: Bool
    package var text: [UInt8]

    package init(occurred: UTCMicroseconds, source: Source, text: [UInt8], endsLine: Bool = true) {
        self.occurred = occurred
        self.source = source
        self.text = text
        self.endsLine = endsLine
    }

    /// With the spaces around it.
    fileprivate static func tag(_ source: Source, endsLine: Bool) -> StaticString {
        switch (source, endsLine) {
        case (.standardOutput, true): " out "
        case (.standardError, true): " err "
        case (.debug, _): " dbg "
        case (.standardOutput, false): " ou+ "
        case (.standardError, false): " er+ "
        }
    }

    private static func source(of tag: ArraySlice<UInt8>) -> (Source, endsLine: Bool)? {
        if tag.elementsEqual("out".utf8) { return (.standardOutput, true) }
        if tag.elementsEqual("err".utf8) { return (.standardError, true) }
        if tag.elementsEqual("dbg".utf8) { return (.debug, true) }
        if tag.elementsEqual("ou+".utf8) { return (.standardOutput, false) }
        if tag.elementsEqual("er+".utf8) { return (.standardError, false) }
        return nil
    }

    /// What is in front of a record's text.
    struct Prefix {
        var occurred: UTCMicroseconds
        var source: Source
        var endsLine: Bool

        /// Reads one record, given without its newline; nil when it is none.
        ///
        /// Makes no array: a status call reads a hundred thousand of them.
        init?(line: ArraySlice<UInt8>) {
            guard line.count >= OutputLogRecord.prefixBytes else { return nil }
            let timeEnd = line.startIndex + UTCMicroseconds.textBytes
            guard line[timeEnd] == 0x20, line[timeEnd + 4] == 0x20,
                let tag = OutputLogRecord.source(of: line[timeEnd + 1..<timeEnd + 4]),
                let time = UTCMicroseconds(text: line[line.startIndex..<timeEnd])
            else { return nil }
            (occurred, source, endsLine) = (time, tag.0, tag.endsLine)
        }
    }

    /// Time, space, tag, space.
    package static let prefixBytes = UTCMicroseconds.textBytes + 5

    /// Reads one record, given without its newline; nil when it is none.
    package init?(line: some RandomAccessCollection<UInt8>) {
        let line = Array(line)
        guard let prefix = Prefix(line: line[...]) else { return nil }
        self.init(
            occurred: prefix.occurred,
            source: prefix.source,
            text: Array(line[Self.prefixBytes...]),
            endsLine: prefix.endsLine
        )
    }
}

/// Builds the bytes of records that all get the same time, for one write.
package struct OutputLogBatch: Sendable {
    package private(set) var bytes: [UInt8] = []
    /// How many records these are.
    package private(set) var count = 0
    private var time: [UInt8] = []
    private var mask: SecretMask

    package init(mask: SecretMask = SecretMask([])) { self.mask = mask }

    /// The bytes of one entry of our own among a script's errors.
    static func notice(_ text: String, at now: UTCMicroseconds) -> [UInt8] {
        var batch = OutputLogBatch()
        batch.begin(at: now)
        batch.append(.standardError, text)
        return batch.bytes
    }

    package var isEmpty: Bool { bytes.isEmpty }

    package mutating func begin(at now: UTCMicroseconds) {
        bytes.removeAll(keepingCapacity: true)
        count = 0
        time = now.text
    }

    /// `text` must be valid UTF-8 without line ends, which is what `OutputLineSplitter` gives.
    package mutating func append(_ source: OutputLogRecord.Source, _ text: ArraySlice<UInt8>, endsLine: Bool) {
        count += 1
        bytes += time
        let tag = OutputLogRecord.tag(source, endsLine: endsLine)
        unsafe bytes += UnsafeBufferPointer(start: tag.utf8Start, count: tag.utf8CodeUnitCount)
        bytes += mask.isEmpty ? text : mask.masked(text, of: source)
        bytes.append(0x0A)
    }

    package mutating func append(_ source: OutputLogRecord.Source, _ text: some Collection<UInt8>, endsLine: Bool) {
        append(source, Array(text)[...], endsLine: endsLine)
    }

    /// Our own text: split where a script's output would be, so that it is never more than its records.
    package mutating func append(_ source: OutputLogRecord.Source, _ text: String) {
        var splitter = OutputLineSplitter(pieceBytes: .max)
        splitter.feed(Array(text.utf8)) { append(source, $0, endsLine: $1) }
        let wasEmpty = text.isEmpty
        splitter.finish { append(source, $0, endsLine: $1) }
        if wasEmpty { append(source, [], endsLine: true) }
    }
}
