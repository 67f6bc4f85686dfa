import HalibutProtocol
import NIOCore
import Testing

@Suite("Control lines, identities and openings")
struct ControlLineTests {
    @Test("a control word is read wherever the bytes are cut, and what follows stays")
    func everyBoundary() throws {
        for delivery in deliveries(of: Array("\r\n\r\nNEXT\r\nrest".utf8)) {
            var (buffer, reader) = (ByteBuffer(), LineReader(maximumBytes: 100))
            var line: ControlLine?
            for part in delivery {
                buffer.writeBytes(part)
                if line == nil { line = try reader.readControlLine(from: &buffer) }
            }
            #expect(line == .next)
            #expect(buffer.rest == Array("rest".utf8))
        }
    }

    @Test(
        "words",
        arguments: [
            ("NEXT", ControlLine.next), ("PROCEED", .proceed), ("END", .end), ("next", .other("next")),
            ("A\nB", .other("A\nB")),
        ]
    )
    func words(_ text: String, _ expected: ControlLine) throws {
        var (buffer, reader) = (ByteBuffer(string: text + "\r\n"), LineReader(maximumBytes: 100))
        #expect(try reader.readControlLine(from: &buffer) == expected)
        var written = ByteBuffer()
        expected.write(to: &written)
        #expect(String(buffer: written) == text + "\r\n")
    }

    @Test("a CR without LF is refused with upstream's text")
    func strayCarriageReturn() {
        var (buffer, reader) = (ByteBuffer(string: "NE\rXT\r\n"), LineReader(maximumBytes: 100))
        #expect(throws: WireError(.controlLine, "Unexpected byte after '\\r' in control message: 0x58")) {
            try reader.readControlLine(from: &buffer)
        }
    }

    @Test("a line of the maximum length is read, one byte more is refused", arguments: [true, false])
    func longestLine(complete: Bool) throws {
        let limit = HalibutLimits().maximumControlLineBytes
        var (buffer, reader) = (
            ByteBuffer(string: String(repeating: "x", count: limit) + "\r\n"), LineReader(maximumBytes: limit)
        )
        #expect(try reader.readLine(from: &buffer)?.utf8.count == limit)
        var tooLong = ByteBuffer(string: String(repeating: "x", count: limit + 1) + (complete ? "\r\n" : ""))
        #expect { try reader.readLine(from: &tooLong) } throws: { ($0 as? WireError)?.code == .limitExceeded }
    }

    @Test("identities are written as one line and a blank one, and read at every cut")
    func identities() throws {
        let subscription = try #require(EndPointURI("poll://abc/"))
        let all: [(RemoteIdentity, String)] = [
            (.client, "MX-CLIENT 1.0\r\n\r\n"), (.server, "MX-SERVER 1.0\r\n\r\n"),
            (.subscriber(subscription), "MX-SUBSCRIBER 1.0 poll://abc/\r\n\r\n"),
        ]
        for (identity, text) in all {
            var written = ByteBuffer()
            identity.write(to: &written)
            #expect(String(buffer: written) == text)
            for delivery in deliveries(of: Array((text + "+").utf8)) {
                var (buffer, reader) = (ByteBuffer(), IdentityReader(maximumBytes: 100))
                var read: RemoteIdentity?
                for part in delivery {
                    buffer.writeBytes(part)
                    if read == nil { read = try reader.read(from: &buffer) }
                }
                #expect(read == identity)
                #expect(buffer.rest == Array("+".utf8))
            }
        }
    }

    @Test(
        "a wrong identity is refused with upstream's text",
        arguments: [
            ("\r\n\r\n", "Unable to receive the remote identity; the identity line was empty."),
            ("MX-CLIENT 1.0\r\nx\r\n", "Unable to receive the remote identity; the following line was not empty."),
            ("MX-FOO 1.0\r\n\r\n", "Unable to process remote identity; unknown identity type: 'MX-FOO'"),
            (
                "MX-SUBSCRIBER 1.0\r\n\r\n",
                "Unable to receive the remote identity; the client identified as a subscriber, but did not supply a subscription ID."
            ),
        ]
    )
    func wrongIdentity(_ text: String, _ message: String) {
        var (buffer, reader) = (ByteBuffer(string: text), IdentityReader(maximumBytes: 100))
        #expect(throws: WireError(.identity, message)) { try reader.read(from: &buffer) }
    }

    @Test("extra words and blanks are ignored")
    func extraWords() throws {
        var (buffer, reader) = (
            ByteBuffer(string: "MX-SUBSCRIBER  9  POLL://SQ-Abc?x more\r\n\r\n"), IdentityReader(maximumBytes: 100)
        )
        #expect(try reader.read(from: &buffer) == .subscriber(try #require(EndPointURI("poll://sq-abc/"))))
    }

    @Test(
        "openings at every cut; what follows stays",
        arguments: [
            ("MX\r\n\r\n", Opening.messageExchange), ("MX\n\n", .messageExchange), ("HELLO\r\n\r\n", .other),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", .other), ("\r\n\r\n", .other),
        ]
    )
    func openings(_ text: String, _ expected: Opening) {
        for delivery in deliveries(of: Array((text + "MX-CLIENT").utf8)) {
            var (buffer, reader) = (ByteBuffer(), OpeningReader(maximumBytes: 1000))
            var opening: Opening?
            for part in delivery {
                buffer.writeBytes(part)
                if opening == nil { opening = reader.read(from: &buffer) }
            }
            #expect(opening == expected)
            #expect(buffer.rest == Array("MX-CLIENT".utf8))
        }
    }

    @Test("an opening without an end counts at the limit or the end of the stream")
    func unfinishedOpening() {
        var (empty, reader) = (ByteBuffer(), OpeningReader(maximumBytes: 4))
        #expect(reader.read(from: &empty, atEnd: true) == .empty)
        var short = ByteBuffer(string: "MX")
        #expect(reader.read(from: &short) == nil)
        #expect(reader.read(from: &short, atEnd: true) == .messageExchange)
        var (long, other) = (ByteBuffer(string: "GETx"), OpeningReader(maximumBytes: 4))
        #expect(other.read(from: &long) == .other)
    }

    @Test("an opening of the largest size is read whole; of a larger one the rest is left")
    func longestOpening() {
        let limit = HalibutLimits().maximumOpeningBytes
        #expect(limit == 20_000)
        for surplus in [0, 1] {
            let text = "GET /" + String(repeating: "x", count: limit - 7 + surplus) + "\n\n"
            var (buffer, reader) = (ByteBuffer(string: text), OpeningReader(maximumBytes: limit))
            #expect(reader.read(from: &buffer) == .other)
            #expect(buffer.readableBytes == surplus)
        }
    }

    @Test("the friendly page is laid out like upstream's")
    func friendlyPage() {
        let page = FriendlyPage(html: "<p>ü</p>", headers: [("A", "b")])
        #expect(
            String(buffer: page.response)
                == "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 8\r\nA: b\r\n\r\n<p>ü</p>\r\n\r\n"
        )
    }

    @Test(
        "endpoint addresses are normalised",
        arguments: [
            ("poll://SQ-ABC", "poll://sq-abc/"), ("HTTPS://Host:10933/path?q#f", "https://host:10933/"),
            ("https://host:443/", "https://host/"), ("https://[::1]:10933", "https://[::1]:10933/"),
        ]
    )
    func addresses(_ text: String, _ expected: String) {
        #expect(EndPointURI(text)?.text == expected)
    }

    @Test(
        "what is no address",
        arguments: [
            "", "host", "https://", "https://a:b/", "https://a:70000", "https://a:+5/", "https://a:-5/", "://x",
            "https://a b/", "https://[:[1:]]:10933/", "https://[a]/", "https://[::1/", "https://::1:80/", "https://a]/",
        ]
    )
    func noAddresses(_ text: String) {
        #expect(EndPointURI(text) == nil)
    }
}
