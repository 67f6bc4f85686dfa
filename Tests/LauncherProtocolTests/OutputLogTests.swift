import Foundation
import LauncherProtocol
import Testing

@Suite struct OutputLineSplitterTests {
    struct Line: Equatable, CustomStringConvertible {
        var text: String
        var ends: Bool
        var description: String { ends ? text : text + "…" }
    }

    static func split(_ chunks: [[UInt8]], pieceBytes: Int = 65_536) -> [Line] {
        var splitter = OutputLineSplitter(pieceBytes: pieceBytes)
        var lines: [Line] = []
        for chunk in chunks {
            splitter.feed(chunk) { lines.append(Line(text: String(decoding: $0, as: UTF8.self), ends: $1)) }
        }
        splitter.finish { lines.append(Line(text: String(decoding: $0, as: UTF8.self), ends: $1)) }
        return lines
    }

    static let cases: [([UInt8], [String])] = [
        (Array("".utf8), []), (Array("\n".utf8), [""]), (Array("a".utf8), ["a"]), (Array("a\nb\n".utf8), ["a", "b"]),
        (Array("a\r\nb\r\n".utf8), ["a", "b"]), (Array("10%\r20%\r\r\n\n".utf8), ["10%", "20%", "", ""]),
        (Array("a\r".utf8), ["a"]), (Array("\0\u{FEFF}é😀\n".utf8), ["\0\u{FEFF}é😀"]),
        ([0x61, 0xFF, 0x62, 0x0A, 0xC3], ["a\u{FFFD}b", "\u{FFFD}"]),
        ([0xE2, 0x82, 0x0A, 0xF0, 0x9F, 0x98, 0x41], ["\u{FFFD}", "\u{FFFD}A"]),
    ]

    @Test("lines are the same however the bytes arrive", arguments: cases)
    func everySplit(bytes: [UInt8], lines: [String]) {
        let expected = lines.map { Line(text: $0, ends: true) }
        #expect(Self.split([bytes]) == expected)
        #expect(Self.split(bytes.map { [$0] }) == expected)
        for cut in 0...bytes.count {
            #expect(Self.split([Array(bytes[..<cut]), Array(bytes[cut...])]) == expected, "cut at \(cut)")
        }
    }

    @Test("a long line comes in pieces that never cut a character")
    func pieces() {
        let text = String(repeating: "é😀x", count: 50)
        let bytes = Array(text.utf8)
        for size in 4...20 {
            let lines = Self.split(bytes.map { [$0] } + [[0x0A, 0x62]], pieceBytes: size)
            #expect(lines.dropLast().map(\.text).joined() == text)
            #expect(lines.dropLast(2).allSatisfy { !$0.ends && $0.text.utf8.count <= size })
            #expect(lines.dropLast().last?.ends == true)
            #expect(lines.last == Line(text: "b", ends: true))
        }
    }

    @Test("a line of pieces ends even when its end is empty")
    func pieceThenEnd() {
        #expect(
            Self.split([Array("abcd".utf8)], pieceBytes: 4) == [
                Line(text: "abcd", ends: false), Line(text: "", ends: true),
            ]
        )
    }
}

/// A log in a directory of its own.
struct LogDirectory: ~Copyable {
    let path = FileManager.default.temporaryDirectory.appending(path: "log-\(UUID().uuidString)").path
    let directory: WorkspaceDirectory

    init() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        directory = WorkspaceDirectory(takingOver: open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func read(after offset: Int64 = 0, final: Bool = false, limit: Int = 1 << 20) throws -> OutputLogPage {
        guard let reader = try OutputLogReader(directory) else {
            throw WorkspaceFileError("open", "Output.log", number: 2)
        }
        return try reader.read(after: offset, final: final, limit: limit)
    }

    func appendRaw(_ text: String) throws {
        let handle = try FileHandle(forUpdating: URL(filePath: path + "/Output.log"))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(text.utf8))
        try handle.close()
    }
}

@Suite struct OutputLogReaderTests {
    static func records(_ entries: [(OutputLogRecord.Source, String, Bool)]) -> [UInt8] {
        var batch = OutputLogBatch()
        batch.begin(at: UTCMicroseconds(sinceEpoch: 0))
        for (source, text, ends) in entries { batch.append(source, text.utf8, endsLine: ends) }
        return batch.bytes
    }

    @Test("only what is behind the offset is given, and the next offset is the size")
    func cursor() throws {
        let log = try LogDirectory()
        let writer = try OutputLogWriter(log.directory)
        try writer.append([(.standardOutput, "one"), (.standardError, "two\nthree\r\nfour")])
        let first = try log.read()
        #expect(first.entries.map(\.text) == ["one", "two", "three", "four"])
        #expect(first.entries.map(\.source) == [.standardOutput, .standardError, .standardError, .standardError])
        #expect(first.reachedEnd)
        #expect(try log.read(after: first.next).entries.isEmpty)
        #expect(try log.read(after: first.next).next == first.next)
        #expect(try log.read(after: first.next + 1000).next == first.next + 1000)
        try writer.append([(.debug, "")])
        let second = try log.read(after: first.next)
        #expect(second.entries.map(\.text) == [""])
        #expect(try log.read(after: 7).entries.map(\.text) == ["two", "three", "four", ""])
    }

    @Test("a record that is still being written waits")
    func partial() throws {
        let log = try LogDirectory()
        _ = try OutputLogWriter(log.directory)
        try log.appendRaw("1970-01-01T00:00:00.000000Z out who")
        #expect(try log.read().entries.isEmpty)
        #expect(try log.read().next == 0)
        #expect(try log.read().reachedEnd)
        try log.appendRaw("le\n")
        #expect(try log.read().entries.map(\.text) == ["whole"])
    }

    @Test(
        "a record torn by a dead writer goes, a record says so, and the next one is whole",
        arguments: [("1970-01-01T", 1), ("1970-01-01T00:00:00.000000Z out hal", 1), ("x", 200_000), ("\0", 4096)]
    )
    func torn(text: String, count: Int) throws {
        let log = try LogDirectory()
        try OutputLogWriter(log.directory).append([(.standardOutput, "a")])
        try log.appendRaw(String(repeating: text, count: count))
        let before = try log.read()
        try OutputLogWriter(log.directory).append([(.standardOutput, "b")])
        let page = try log.read()
        #expect(page.entries.map(\.text) == ["a", OutputLogWriter.tornText, "b"])
        #expect(page.entries[1].source == .standardError)
        #expect(try log.read(after: before.next).entries == Array(page.entries.dropFirst()))
    }

    @Test("a log of nothing but a torn record begins again")
    func tornFromTheStart() throws {
        let log = try LogDirectory()
        _ = try OutputLogWriter(log.directory)
        try log.appendRaw("1970-")
        try OutputLogWriter(log.directory).append([(.standardOutput, "b")])
        #expect(try log.read().entries.map(\.text) == [OutputLogWriter.tornText, "b"])
    }

    @Test("a page ends behind its limit and the next one goes on")
    func pages() throws {
        let log = try LogDirectory()
        let writer = try OutputLogWriter(log.directory)
        let texts = (0..<20_000).map { "line \($0)" }
        try writer.append(texts.map { (.standardOutput, $0) })
        var read: [String] = []
        var next: Int64 = 0
        var pages = 0
        while true {
            let page = try log.read(after: next, limit: 100_000)
            read += page.entries.map(\.text)
            next = page.next
            pages += 1
            if page.reachedEnd { break }
        }
        #expect(read == texts)
        #expect(pages > 1)
    }

    @Test("pieces of a long line are one entry, other lines between them keep their place")
    func joined() throws {
        let log = try LogDirectory()
        let writer = try OutputLogWriter(log.directory)
        try writer.append(
            Self.records([
                (.standardError, "before", true), (.standardOutput, "a", false), (.standardError, "between", true),
                (.standardOutput, "b", false),
            ])
        )
        let open = try log.read()
        #expect(open.entries.map(\.text) == ["before"])
        #expect(open.reachedEnd)
        #expect(try log.read(after: open.next, final: true).entries.map(\.text) == ["ab", "between"])
        try writer.append(Self.records([(.standardOutput, "", true), (.standardOutput, "next", true)]))
        #expect(try log.read(after: open.next).entries.map(\.text) == ["ab", "between", "next"])
    }
}

@Suite struct WorkspaceLockTests {
    @Test("the two kinds of lock exclude each other and asking takes nothing")
    func exclusion() throws {
        let log = try LogDirectory()
        #expect(try log.directory.lockHolder() == .nobody)
        guard let claim = try log.directory.claim(.openFileDescription) else {
            Issue.record("the lock was free and not given")
            return
        }
        #expect(try log.directory.lockHolder() == .agent)
        for kind in [WorkspaceDirectory.LockKind.process, .openFileDescription] {
            if try log.directory.claim(kind) != nil { Issue.record("the lock was given twice") }
        }
        claim.release()
        #expect(try log.directory.lockHolder() == .nobody)
    }

    @Test("a temporary file that is a link, or has a second name, is not written through")
    func plantedLinks() throws {
        let log = try LogDirectory()
        let victim = log.path + "/victim"
        try Data("untouched".utf8).write(to: URL(filePath: victim))
        for plant in [symlink, link] {
            #expect(plant(victim, log.path + "/f.next") == 0)
            log.directory.reserveNext(of: "f", bytes: 4096)
            try? FileManager.default.removeItem(atPath: log.path + "/f.next")
            #expect(plant(victim, log.path + "/f.next") == 0)
            try log.directory.replace("f", with: Array("new".utf8), durable: false)
            #expect(try log.directory.read("f", limit: 100) == Array("new".utf8))
            #expect(try String(contentsOfFile: victim, encoding: .utf8) == "untouched")
            #expect(link(victim, log.path + "/Output.log") == 0)
            #expect(throws: WorkspaceFileError.self) { _ = try OutputLogWriter(log.directory).descriptor }
            try FileManager.default.removeItem(atPath: log.path + "/Output.log")
        }
    }

    @Test("replacing leaves one whole file, also over blocks reserved before")
    func replace() throws {
        let log = try LogDirectory()
        log.directory.reserveNext(of: "f", bytes: 4096)
        try log.directory.replace("f", with: Array("short".utf8), durable: true)
        #expect(try log.directory.read("f", limit: 100) == Array("short".utf8))
        #expect(try log.directory.read("absent", limit: 100) == nil)
        #expect(throws: WorkspaceFileError.self) { try log.directory.read("f", limit: 2) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: log.path) == ["f"])
    }
}
