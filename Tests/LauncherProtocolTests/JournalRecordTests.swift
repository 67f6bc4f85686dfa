import LauncherProtocol
import Testing

@Suite struct JournalRecordTests {
    @Test("a field is a line; a value of several lines has its length before it")
    func encoding() {
        let record = JournalRecord(
            "ended: a\nö",
            priority: .warning,
            identifier: "tentacle-launcher",
            fields: [("TENTACLE_TICKET", "abc"), ("TENTACLE_TASK", "")]
        )
        let expected: [UInt8] =
            Array("MESSAGE\n".utf8) + [11, 0, 0, 0, 0, 0, 0, 0] + Array("ended: a\nö\nPRIORITY=4\n".utf8)
            + Array("SYSLOG_IDENTIFIER=tentacle-launcher\nTENTACLE_TICKET=abc\nTENTACLE_TASK=\n".utf8)
        #expect(record.encoded() == expected)
    }
}
