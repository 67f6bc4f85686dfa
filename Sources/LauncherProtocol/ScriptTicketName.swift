/// A script ticket that is safe as the name of one directory (tentacle-services.md 3.7).
///
/// Every ticket a real server sends passes; what could name another place, hide, or break a log line does not.
package struct ScriptTicketName: Hashable, Sendable, CustomStringConvertible {
    /// Real tickets have at most 22 (V2) or about 40 (V1) bytes; a file name ends at 255.
    package static let maximumBytes = 200

    package let description: String

    package init(_ text: String) throws(LauncherProtocolError) {
        let bytes = text.utf8
        guard !bytes.isEmpty else { throw LauncherProtocolError("the script ticket is empty") }
        guard bytes.count <= Self.maximumBytes else {
            throw LauncherProtocolError("the script ticket is longer than \(Self.maximumBytes) bytes")
        }
        guard !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "/") }), bytes.first != 0x2E else {
            throw LauncherProtocolError("the script ticket cannot be used as the name of a directory")
        }
        self.description = text
    }

    /// Tickets are looked up ignoring ASCII case; their directories are not (tentacle-services.md 5.2).
    package var key: String { description.lowercased() }
}
