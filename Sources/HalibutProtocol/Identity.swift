package import NIOCore

/// Who is at the other end (halibut.md 3.2).
package enum RemoteIdentity: Hashable, Sendable {
    /// A dialler that makes calls.
    case client
    /// A dialler that executes calls, under this address.
    case subscriber(EndPointURI)
    /// A listener.
    case server

    /// The identity's word in messages.
    package var name: String {
        switch self {
        case .client: "Client"
        case .subscriber: "Subscriber"
        case .server: "Server"
        }
    }

    /// Appends the line and the blank line.
    ///
    /// Both belong in one write: peers of the 4.4 generation need them in one TLS record.
    package func write(to buffer: inout ByteBuffer) {
        switch self {
        case .client: buffer.writeStaticString("MX-CLIENT 1.0\r\n\r\n")
        case .server: buffer.writeStaticString("MX-SERVER 1.0\r\n\r\n")
        case .subscriber(let uri): buffer.writeString("MX-SUBSCRIBER 1.0 \(uri.text)\r\n\r\n")
        }
    }

    /// Reads an identity line.
    init(line: String) throws(WireError) {
        let words = line.split(separator: " ")
        guard let word = words.first else { throw .identityLineEmpty }
        switch word {
        case "MX-CLIENT": self = .client
        case "MX-SERVER": self = .server
        case "MX-SUBSCRIBER":
            guard words.count > 2, let uri = EndPointURI(String(words[2])) else { throw .subscriberWithoutURI }
            self = .subscriber(uri)
        default: throw .unknownIdentity(String(word))
        }
    }
}

/// Reads the identity line and the blank line after it.
package struct IdentityReader: Sendable {
    private var lines: LineReader
    private var first: String?

    package init(maximumBytes: Int) {
        self.lines = LineReader(maximumBytes: maximumBytes)
    }

    /// The identity, or `nil` when the buffer does not hold both lines yet.
    package mutating func read(from buffer: inout ByteBuffer) throws(WireError) -> RemoteIdentity? {
        if self.first == nil {
            guard let line = try self.lines.readLine(from: &buffer) else { return nil }
            guard !line.isEmpty else { throw .identityLineEmpty }
            self.first = line
        }
        guard let second = try self.lines.readLine(from: &buffer) else { return nil }
        guard second.isEmpty else { throw .identityFollowedByText }
        defer { self.first = nil }
        return try RemoteIdentity(line: self.first ?? "")
    }
}
