import LauncherProtocol
import Testing

@Suite struct OutputLogQuotaTests {
    private static let start = UTCMicroseconds(sinceEpoch: 1_715_249_472_000_000)

    private static func limits(log: Int64 = 0, reserve: Int64 = 0) -> OutputLogQuota.Limits {
        var limits = OutputLogQuota.Limits()
        (limits.logBytes, limits.reserveBytes) = (log, reserve)
        return limits
    }

    private static func texts(_ records: [UInt8]) -> [String] {
        records.split(separator: 0x0A).compactMap { OutputLogRecord(line: $0) }.map {
            String(decoding: $0.text, as: UTF8.self)
        }
    }

    private static func record(_ text: String, times: Int = 1) -> OutputLogBatch {
        var batch = OutputLogBatch()
        batch.begin(at: start)
        for _ in 0..<times { batch.append(.standardOutput, text) }
        return batch
    }

    @Test("without limits everything is written, and nobody asks for the disk")
    func unlimited() {
        var quota = OutputLogQuota(limits: Self.limits(), written: .max / 2)
        let records = Self.record("x")
        #expect(
            quota.admit(records, at: Self.start) {
                Issue.record("asked")
                return 0
            } == records.bytes
        )
        #expect(quota.finish(at: Self.start) == [])
    }

    @Test("the limit holds exactly, and a later launcher counts what is there")
    func exact() {
        let records = Self.record("x")
        var fits = OutputLogQuota(limits: Self.limits(log: 1000), written: 1000 - Int64(records.bytes.count))
        #expect(fits.admit(records, at: Self.start) { nil } == records.bytes)
        var over = OutputLogQuota(limits: Self.limits(log: 1000), written: 1001 - Int64(records.bytes.count))
        let notice = Self.texts(over.admit(records, at: Self.start) { nil })
        #expect(notice.count == 1)
        #expect(notice[0].contains("its limit of 1000 B"))
        #expect(over.admit(Self.record("y"), at: Self.start) { nil } == [])
        // What fits into the tail is not lost.
        #expect(Self.texts(over.finish(at: Self.start)) == ["x", "y"])
        #expect(over.finish(at: Self.start) == [])
    }

    @Test("of what is dropped the last whole records are written, with the number of the others")
    func tail() {
        var quota = OutputLogQuota(limits: Self.limits(log: 1), written: 0)
        for number in 1...10_000 { _ = quota.admit(Self.record("line \(number)"), at: Self.start) { nil } }
        let texts = Self.texts(quota.finish(at: Self.start))
        let kept = texts.count - 1
        #expect((1000..<2000).contains(kept))
        #expect(texts[0].hasPrefix("\(10_000 - kept) lines ("))
        #expect(texts[1] == "line \(10_001 - kept)")
        #expect(texts.last == "line 10000")
    }

    @Test("below the reserve nothing is written, until there is twice as much, looked at once a second")
    func reserve() {
        var quota = OutputLogQuota(limits: Self.limits(reserve: 1000), written: 0)
        let records = Self.record("x")
        func at(_ tenths: Int64) -> UTCMicroseconds {
            UTCMicroseconds(sinceEpoch: Self.start.sinceEpoch + tenths * 100_000)
        }
        #expect(quota.admit(records, at: at(0)) { 1000 } == records.bytes)
        var asked = 0
        for _ in 0..<20 {
            _ = quota.admit(records, at: at(1)) {
                asked += 1
                return 1000
            }
        }
        #expect((2...5).contains(asked))
        _ = quota.admit(Self.record("x", times: 10), at: at(1)) { 1000 }
        #expect(
            Self.texts(quota.admit(records, at: at(2)) { 999 }).first?.hasPrefix("The disk has only 999 B left") == true
        )
        #expect(
            quota.admit(records, at: at(3)) {
                Issue.record("too soon")
                return 5000
            } == []
        )
        #expect(quota.admit(records, at: at(13)) { 1999 } == [])
        let again = Self.texts(quota.admit(Self.record("again"), at: at(24)) { 2000 })
        #expect(again == ["x", "x", "x", "again"])
    }

    @Test(
        "sizes are shown by 1024",
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (4096, "4 KB"), (1_572_864, "1.5 MB"), (2_147_483_648, "2 GB"),
            (1_099_511_627_776, "1 TB"),
        ]
    )
    func sizes(bytes: Int64, shown: String) {
        #expect(ByteCountText.text(bytes) == shown)
    }
}

@Suite struct SecretMaskTests {
    private static func masked(_ lines: [String], _ secrets: [String]) -> [String] {
        var mask = SecretMask(secrets)
        return lines.map { String(decoding: mask.masked(Array($0.utf8)[...], of: .standardOutput), as: UTF8.self) }
    }

    @Test("every occurrence and both URL forms are masked, short and blank values are not")
    func masks() {
        #expect(Self.masked(["pa/ss pa%2Fss xpa%2fsspa/ssx"], ["pa/ss"]) == ["******** ******** x****************x"])
        #expect(Self.masked(["abc    abc"], ["abc", "    "]) == ["abc    abc"])
        #expect(Self.masked(["a longer secret, a long"], ["a long", "a longer secret"]) == ["********, ********"])
        #expect(Self.masked(["line1line2"], ["line1\nline2"]) == ["********"])
    }

    @Test("of a secret that a line's end cuts, the second part is masked")
    func cut() {
        #expect(Self.masked(["x sec", "ret y", "ret"], ["secret"]) == ["x sec", "******** y", "ret"])
        #expect(Self.masked(["secret", "ret"], ["secret"]) == ["********", "ret"])
        var mask = SecretMask(["secret"])
        _ = mask.masked(Array("sec".utf8)[...], of: .standardOutput)
        #expect(String(decoding: mask.masked(Array("ret".utf8)[...], of: .standardError), as: UTF8.self) == "ret")
    }

    @Test("no piece of a long line ends inside of a secret, wherever the bytes are cut", arguments: [1, 2, 7, 100])
    func pieces(chunk: Int) {
        let secret = "s-e-c-r-e-t"
        var mask = SecretMask([secret])
        for padding in 0..<40 {
            let (before, between) = (String(repeating: "x", count: padding), String(repeating: "ö", count: 20))
            let text = before + secret + between + secret + "s-e-"
            var splitter = OutputLineSplitter(pieceBytes: 16, mask: SecretMask([secret]))
            var pieces: [String] = []
            let take = { (piece: ArraySlice<UInt8>, _: Bool) in
                pieces.append(String(decoding: mask.masked(piece, of: .standardOutput), as: UTF8.self))
            }
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: chunk) {
                splitter.feed(Array(bytes[start..<min(start + chunk, bytes.count)]), take)
            }
            splitter.finish(take)
            #expect(pieces.joined() == text.replacing(secret, with: "********"))
        }
    }
}
