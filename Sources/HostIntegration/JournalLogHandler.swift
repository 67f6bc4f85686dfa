internal import CSystemd
internal import Glibc
package import Logging

/// Sends log records to systemd's journal with their metadata as fields.
///
/// `script.ticket` becomes `SCRIPT_TICKET`, so that `journalctl SCRIPT_TICKET=…` shows what belongs to one script.
package struct JournalLogHandler: LogHandler {
    /// One field of a journal record: a name of A–Z, 0–9 and `_`, and any text.
    package struct Field: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level = .info

    private let label: String
    /// `SYSLOG_IDENTIFIER`, what `journalctl -t` selects by.
    private let identifier: String
    private let send: @Sendable ([Field]) -> Void

    /// Creates a handler.
    ///
    /// - Parameters:
    ///   - label: The logger's label, sent as `LOGGER`.
    ///   - identifier: The program's name.
    ///   - metadataProvider: Adds metadata to every record.
    ///   - send: Where records go; the journal unless a test wants them.
    package init(
        label: String,
        identifier: String,
        metadataProvider: Logger.MetadataProvider? = nil,
        send: @escaping @Sendable ([Field]) -> Void = JournalLogHandler.sendToJournal
    ) {
        self.label = label
        self.identifier = identifier
        self.metadataProvider = metadataProvider
        self.send = send
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var fields = [
            Field(name: "MESSAGE", value: event.message.description),
            Field(name: "PRIORITY", value: "\(event.level.syslogPriority)"),
            Field(name: "SYSLOG_IDENTIFIER", value: self.identifier),
            Field(name: "LOGGER", value: self.label),
            Field(name: "CODE_FILE", value: event.file),
            Field(name: "CODE_LINE", value: "\(event.line)"),
            Field(name: "CODE_FUNC", value: event.function),
        ]
        if let error = event.error { fields.append(Field(name: "ERROR", value: "\(error)")) }
        var metadata = self.metadata
        metadata.merge(self.metadataProvider?.get() ?? [:]) { $1 }
        metadata.merge(event.metadata ?? [:]) { $1 }
        // In the order of their names: the journal does not mind, tests and readers of exports do.
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            guard let name = Self.fieldName(key) else { continue }
            fields.append(Field(name: name, value: value.description))
        }
        self.send(fields)
    }

    /// The journal's name for a metadata key; `nil` when nothing is left of it.
    ///
    /// Fields that start with `_` are the journal's own, ones with our fixed names would be doubled: both get a prefix.
    package static func fieldName(_ key: String) -> String? {
        let name = key.utf8.map { byte -> UInt8 in
            switch byte {
            case 0x61...0x7a: byte - 0x20
            case 0x30...0x39, 0x41...0x5a: byte
            default: 0x5f
            }
        }
        guard name.contains(where: { $0 != 0x5f }) else { return nil }
        let text = String(decoding: name.drop { $0 == 0x5f }.prefix(Self.maximumFieldNameLength - 5), as: UTF8.self)
        let isFree = !Self.fixedNames.contains(text) && text.utf8.first.map { !(0x30...0x39).contains($0) } == true
        return isFree ? text : "META_" + text
    }

    /// What the journal accepts.
    private static let maximumFieldNameLength = 64
    private static let fixedNames: Set<String> = [
        "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "LOGGER", "CODE_FILE", "CODE_LINE", "CODE_FUNC", "ERROR",
    ]

    /// Hands the fields to the journal; without one they are lost, as sd-journal(3) says.
    package static func sendToJournal(_ fields: [Field]) {
        let lines = fields.map { Array("\($0.name)=\($0.value)".utf8) }
        // All fields in one buffer: the vectors point into it for the length of the call.
        var buffer = lines.flatMap { $0 }
        unsafe buffer.withUnsafeMutableBytes { bytes in
            var offset = 0
            var vectors: [iovec] = unsafe []
            for line in lines {
                unsafe vectors.append(iovec(iov_base: bytes.baseAddress?.advanced(by: offset), iov_len: line.count))
                offset += line.count
            }
            _ = unsafe sd_journal_sendv(vectors, Int32(vectors.count))
        }
    }
}

extension JournalLogHandler {
    /// Whether a descriptor of this process, as a rule standard error, is a stream into the journal.
    ///
    /// Then writing text there would double what this handler sends. `JOURNAL_STREAM` holds device and inode.
    package static func isJournalStream(_ descriptor: Int32, environment: [String: String]) -> Bool {
        guard let stream = environment["JOURNAL_STREAM"] else { return false }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }
}

extension Logger.Level {
    /// The level as syslog(3) numbers it.
    fileprivate var syslogPriority: Int32 {
        switch self {
        case .trace, .debug: LOG_DEBUG
        case .info: LOG_INFO
        case .notice: LOG_NOTICE
        case .warning: LOG_WARNING
        case .error: LOG_ERR
        case .critical: LOG_CRIT
        }
    }
}
