import Glibc
import HostIntegration
import Logging
import Synchronization
import Testing

@Suite("JournalLogHandler")
struct JournalLogHandlerTests {
    /// Runs a body with a logger whose records are kept.
    private func records(_ body: (inout Logger) -> Void) -> [[String: String]] {
        let records = Records()
        var logger = Logger(label: "halibut") { label in
            JournalLogHandler(label: label, identifier: "tentacle-agent") { records.append($0) }
        }
        body(&logger)
        return records.all
    }

    private final class Records: Sendable {
        private let fields = Mutex<[[JournalLogHandler.Field]]>([])
        func append(_ record: [JournalLogHandler.Field]) { self.fields.withLock { $0.append(record) } }
        var all: [[String: String]] {
            self.fields.withLock { $0.map { Dictionary($0.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 }) } }
        }
    }

    @Test("A record has message, priority, origin, and its metadata as fields")
    func fields() throws {
        let records = self.records { logger in
            logger[metadataKey: "script.ticket"] = "abc"
            logger.warning("Two\nlines", metadata: ["peer.thumbprint": "76225C", "message": "other"])
        }
        let record = try #require(records.first)
        #expect(record["MESSAGE"] == "Two\nlines")
        #expect(record["PRIORITY"] == "4")
        #expect(record["SYSLOG_IDENTIFIER"] == "tentacle-agent")
        #expect(record["LOGGER"] == "halibut")
        #expect(record["SCRIPT_TICKET"] == "abc" && record["PEER_THUMBPRINT"] == "76225C")
        #expect(record["META_MESSAGE"] == "other")
        #expect(record["CODE_FILE"]?.hasSuffix("JournalLogHandlerTests.swift") == true)
        #expect(record["CODE_FUNC"] == "fields()")
    }

    @Test("Levels have the priorities of syslog, and those below the logger's are not sent")
    func levels() {
        let records = self.records { logger in
            for level in Logger.Level.allCases { logger.log(level: level, "x") }
            logger.logLevel = .trace
            logger.trace("x")
        }
        #expect(records.map { $0["PRIORITY"] } == ["6", "5", "4", "3", "2", "7"])
    }

    @Test(
        "Names of metadata become names the journal takes",
        arguments: [
            ("script.ticket", "SCRIPT_TICKET"), ("a-b c", "A_B_C"), ("_pid", "PID"), ("1st", "META_1ST"),
            ("priority", "META_PRIORITY"), ("é", nil), ("", nil), ("__", nil),
        ] as [(String, String?)]
    )
    func fieldNames(key: String, name: String?) {
        #expect(JournalLogHandler.fieldName(key) == name)
    }

    @Test("A name is never longer than the journal takes")
    func longName() {
        #expect(JournalLogHandler.fieldName(String(repeating: "1", count: 200))?.count == 64)
    }

    @Test("Sending to the journal works with or without one")
    func sendToJournal() {
        JournalLogHandler.sendToJournal([.init(name: "MESSAGE", value: "test of the journal handler")])
        JournalLogHandler.sendToJournal([])
    }

    @Test("A stream into the journal is recognised by device and inode")
    func journalStream() {
        var status = stat()
        #expect(fstat(0, &status) == 0)
        let stream = "\(status.st_dev):\(status.st_ino)"
        #expect(JournalLogHandler.isJournalStream(0, environment: ["JOURNAL_STREAM": stream]))
        #expect(!JournalLogHandler.isJournalStream(0, environment: ["JOURNAL_STREAM": stream + "0"]))
        #expect(!JournalLogHandler.isJournalStream(0, environment: [:]))
        #expect(!JournalLogHandler.isJournalStream(-1, environment: ["JOURNAL_STREAM": stream]))
    }
}
