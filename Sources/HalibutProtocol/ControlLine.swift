package import NIOCore

/// A word of the control plane (halibut.md 3.1).
package enum ControlLine: Hashable, Sendable {
    /// The dialler is ready for another exchange.
    case next
    /// The listener agrees.
    case proceed
    /// The dialler is about to close.
    case end
    /// Anything else; always an error.
    case other(String)

    /// Reads a line that is not empty.
    init(_ line: String) {
        switch line {
        case "NEXT": self = .next
        case "PROCEED": self = .proceed
        case "END": self = .end
        default: self = .other(line)
        }
    }

    /// The line without its end.
    package var text: String {
        switch self {
        case .next: "NEXT"
        case .proceed: "PROCEED"
        case .end: "END"
        case .other(let text): text
        }
    }

    /// Appends the line and its CR LF.
    package func write(to buffer: inout ByteBuffer) {
        switch self {
        case .next: buffer.writeStaticString("NEXT\r\n")
        case .proceed: buffer.writeStaticString("PROCEED\r\n")
        case .end: buffer.writeStaticString("END\r\n")
        case .other(let text): buffer.writeString("\(text)\r\n")
        }
    }
}

/// Takes lines ended by CR LF off a buffer; what follows stays for the next reader (halibut.md 3.1).
package struct LineReader: Sendable {
    private let maximumBytes: Int
    /// Bytes at the front of the buffer already known to hold no CR, so that a dripping peer costs linear work.
    private var scanned = 0

    package init(maximumBytes: Int) {
        self.maximumBytes = maximumBytes
    }

    /// The next line without its end, or `nil` when the buffer does not hold all of it yet.
    package mutating func readLine(from buffer: inout ByteBuffer) throws(WireError) -> String? {
        let view = buffer.readableBytesView
        let start = view.startIndex
        guard let end = view[(start + self.scanned)...].firstIndex(of: 0x0d) else {
            self.scanned = view.count
            guard view.count <= self.maximumBytes else { throw self.tooLong }
            return nil
        }
        guard end - start <= self.maximumBytes else { throw self.tooLong }
        guard end + 1 < view.endIndex else {
            self.scanned = end - start
            return nil
        }
        guard view[end + 1] == 0x0a else { throw .unexpectedByte(view[end + 1]) }
        let line = String(decoding: view[start..<end], as: UTF8.self)
        buffer.moveReaderIndex(forwardBy: end - start + 2)
        self.scanned = 0
        return line
    }

    /// The next control word; empty lines before it are skipped, as upstream does.
    package mutating func readControlLine(from buffer: inout ByteBuffer) throws(WireError) -> ControlLine? {
        while let line = try self.readLine(from: &buffer) {
            if !line.isEmpty { return ControlLine(line) }
        }
        return nil
    }

    private var tooLong: WireError { .limit("A control message is longer than \(self.maximumBytes) bytes.") }
}
