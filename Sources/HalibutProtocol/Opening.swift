package import NIOCore

/// What a dialler wants, from the first application bytes after the handshake (halibut.md 2.5).
package enum Opening: Hashable, Sendable {
    /// `MX`: a message exchange, if its certificate is trusted.
    case messageExchange
    /// A browser, a probe or discovery: gets the friendly page.
    case other
    /// Nothing at all: closed without a word.
    case empty

    /// What our dialler sends; Linux builds of Halibut send `MX\n\n`.
    package static let messageExchangeBytes: StaticString = "MX\r\n\r\n"
    /// What discovery sends (halibut.md 2.6).
    package static let discoveryBytes: StaticString = "HELLO\r\n\r\n"
}

/// Reads up to the first blank line, ignoring every CR; what follows stays in the buffer.
package struct OpeningReader: Sendable {
    private let maximumBytes: Int
    private var count = 0
    private var head: [UInt8] = []
    private var lastWasLineFeed = false

    package init(maximumBytes: Int) {
        self.maximumBytes = maximumBytes
    }

    /// The opening, or `nil` when the blank line has not come yet.
    ///
    /// `atEnd` says that no more bytes will.
    package mutating func read(from buffer: inout ByteBuffer, atEnd: Bool = false) -> Opening? {
        while let byte = buffer.readInteger(as: UInt8.self) {
            if byte == 0x0d { continue }
            self.count += 1
            if self.head.count < 2 { self.head.append(byte) }
            if byte == 0x0a, self.lastWasLineFeed { return self.opening }
            self.lastWasLineFeed = byte == 0x0a
            if self.count >= self.maximumBytes { return self.opening }
        }
        return atEnd ? self.opening : nil
    }

    private var opening: Opening {
        if self.count == 0 { return .empty }
        return self.head == [0x4d, 0x58] ? .messageExchange : .other
    }
}

/// The page that anything but a message exchange gets (halibut.md 2.5).
public struct FriendlyPage: Hashable, Sendable {
    /// The page, an HTML text.
    public var html: String
    /// Extra headers, in order.
    public var headers: [(name: String, value: String)] {
        get { self.storedHeaders.map { ($0.name, $0.value) } }
        set { self.storedHeaders = newValue.map { Header(name: $0.name, value: $0.value) } }
    }
    private var storedHeaders: [Header]

    private struct Header: Hashable { var name: String, value: String }

    /// A page of its own with the headers that keep a browser from doing anything with it.
    public init(
        html: String = "<html><body><p>Hello!</p></body></html>",
        headers: [(name: String, value: String)] = FriendlyPage.defaultHeaders
    ) {
        self.html = html
        self.storedHeaders = headers.map { Header(name: $0.name, value: $0.value) }
    }

    /// What the agent sends beside its page.
    public static let defaultHeaders: [(name: String, value: String)] = [
        ("Content-Security-Policy", "default-src 'none'"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("X-XSS-Protection", "1; mode=block"),
        ("Strict-Transport-Security", "max-age=31536000"),
    ]

    /// The whole answer; `Content-Length` counts UTF-16 units, like upstream.
    package var response: ByteBuffer {
        var lines = [
            "HTTP/1.0 200 OK", "Content-Type: text/html; charset=utf-8", "Content-Length: \(self.html.utf16.count)",
        ]
        lines += self.storedHeaders.map { "\($0.name): \($0.value)" }
        lines += ["", self.html, "", ""]
        return ByteBuffer(string: lines.joined(separator: "\r\n"))
    }
}
