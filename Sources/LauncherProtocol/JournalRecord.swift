/// One record for systemd's journal in its native form, for a program that links no libsystemd.
///
/// `NAME=value` and a newline for each field, or, for a value of several lines, `NAME`, a newline, its length as 64 bits
/// little-endian, the value and a newline (systemd's JOURNAL_NATIVE_PROTOCOL).
package struct JournalRecord: Sendable {
    /// Where the journal listens for datagrams.
    package static let socketPath = "/run/systemd/journal/socket"

    package enum Priority: Int, Sendable {
        case error = 3
        case warning = 4
        case info = 6
    }

    package var fields: [(name: String, value: String)]

    package init(_ message: String, priority: Priority, identifier: String, fields: [(String, String)]) {
        self.fields =
            [
                ("MESSAGE", message), ("PRIORITY", "\(priority.rawValue)"), ("SYSLOG_IDENTIFIER", identifier),
            ] + fields
    }

    package func encoded() -> [UInt8] {
        fields.reduce(into: []) { bytes, field in
            bytes += field.name.utf8
            if field.value.utf8.contains(0x0A) {
                bytes.append(0x0A)
                unsafe withUnsafeBytes(of: UInt64(field.value.utf8.count).littleEndian) { unsafe bytes += $0 }
            } else {
                bytes.append(UInt8(ascii: "="))
            }
            bytes += field.value.utf8
            bytes.append(0x0A)
        }
    }
}
