import NIOCore
import SecureTransport
import Testing

@Suite struct TLSSessionTests {
    @Test("both sides see each other's certificate", arguments: TLSVersion.allCases, [true, false])
    func handshake(version: TLSVersion, withClientCertificate: Bool) throws {
        let agent = try Identities.agent.get()
        let server = try Identities.server.get()
        var pair = try SessionPair(
            versions: version...version,
            clientIdentity: withClientCertificate ? server : nil,
            serverIdentity: agent,
            expecting: .thumbprint(agent.thumbprint)
        )
        pair.shakeHands()
        let client = try #require(pair.clientResult.details)
        let accepted = try #require(pair.serverResult.details)
        #expect(client.peer?.thumbprint == agent.thumbprint)
        #expect(client.peer?.subject == "CN=Octopus Tentacle")
        #expect(accepted.peer?.thumbprint == (withClientCertificate ? server.thumbprint : nil))
        #expect(client.protocolVersion == (version == .tls12 ? "TLSv1.2" : "TLSv1.3"))
        #expect(client.cipher == accepted.cipher)
    }

    @Test("a wrong thumbprint fails the handshake and names what was seen", arguments: TLSVersion.allCases)
    func wrongThumbprint(version: TLSVersion) throws {
        let agent = try Identities.agent.get()
        let expected = try #require(Thumbprint("0123456789abcdef0123456789abcdef01234567"))
        var pair = try SessionPair(
            versions: version...version,
            clientIdentity: nil,
            serverIdentity: agent,
            expecting: .thumbprint(expected)
        )
        pair.shakeHands()
        let error = try #require(pair.clientResult.error)
        #expect(error.code == .unexpectedCertificate)
        let unexpected = try #require(error.unexpectedCertificate)
        #expect(unexpected.expected == expected)
        #expect(unexpected.actual.thumbprint == agent.thumbprint)
        let message = unexpected.wireMessage(uri: "https://agent:10933/")
        #expect(
            message.hasPrefix(
                """
                The server at https://agent:10933/ presented an unexpected security certificate. We expected the server \
                to present a certificate with the thumbprint '0123456789ABCDEF0123456789ABCDEF01234567'. Instead, it \
                presented a certificate with a thumbprint of '\(agent.thumbprint)' and subject 'CN=Octopus Tentacle'.
                """
            )
        )
        if version == .tls12 { #expect(pair.serverResult.error?.code == .handshakeFailed) }
    }

    @Test("without an expected thumbprint every certificate is wrong")
    func noThumbprint() throws {
        var pair = try SessionPair(
            clientIdentity: nil,
            serverIdentity: Identities.agent.get(),
            expecting: .thumbprint(nil)
        )
        pair.shakeHands()
        #expect(pair.clientResult.error?.code == .unexpectedCertificate)
    }

    @Test("ciphertext in pieces of any size gives the same plaintext", arguments: [1, 2, 3, 4, 5, 6, 7, 64, 1000])
    func pieces(size: Int) throws {
        let agent = try Identities.agent.get()
        var pair = try SessionPair(clientIdentity: agent, serverIdentity: agent)
        pair.shakeHands(pieces: size)
        #expect(pair.clientResult.details != nil)
        #expect(pair.serverResult.details?.peer?.thumbprint == agent.thumbprint)
        let plain = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(pair.client.write(ByteBuffer(bytes: plain)) == nil)
        var cipher = try #require(pair.client.takeOutput())
        var received = ByteBuffer()
        while let piece = cipher.readSlice(length: min(size, cipher.readableBytes)), piece.readableBytes > 0 {
            pair.server.feed(piece)
            #expect(pair.server.read(into: &received) == .needsInput)
        }
        #expect(Array(received.readableBytesView) == plain)
    }

    @Test("one record split at every byte boundary")
    func everyBoundary() throws {
        let agent = try Identities.agent.get()
        var pair = try SessionPair(clientIdentity: agent, serverIdentity: agent)
        pair.shakeHands()
        let plain = Array("MX-CLIENT 1.0\r\n".utf8)
        #expect(pair.client.write(ByteBuffer(bytes: plain)) == nil)
        // Both directions have the same record layout.
        let length = try #require(pair.client.takeOutput()).readableBytes
        for boundary in 0..<length {
            #expect(pair.server.write(ByteBuffer(bytes: plain)) == nil)
            var cipher = try #require(pair.server.takeOutput())
            let slice = cipher.readSlice(length: boundary)
            let head = try #require(slice)
            var got = ByteBuffer()
            pair.client.feed(head)
            #expect(pair.client.read(into: &got) == .needsInput)
            #expect(got.readableBytes == 0)
            #expect(pair.client.unreadPlaintextBound == boundary)
            pair.client.feed(cipher)
            #expect(pair.client.read(into: &got) == .needsInput)
            #expect(Array(got.readableBytesView) == plain)
            #expect(pair.client.unreadPlaintextBound == 0)
        }
    }

    @Test("close_notify is an end, a damaged record is an error")
    func ends() throws {
        let agent = try Identities.agent.get()
        var pair = try SessionPair(clientIdentity: agent, serverIdentity: agent)
        pair.shakeHands()
        pair.client.closeOutput()
        pair.server.feed(try #require(pair.client.takeOutput()))
        var received = ByteBuffer()
        #expect(pair.server.read(into: &received) == .closedByPeer)

        var second = try SessionPair(clientIdentity: agent, serverIdentity: agent)
        second.shakeHands()
        #expect(second.client.write(ByteBuffer(string: "hello")) == nil)
        var cipher = try #require(second.client.takeOutput())
        cipher.setInteger(UInt8(0xFF), at: cipher.writerIndex - 1)
        cipher.setInteger(UInt8(0xFF), at: cipher.writerIndex - 2)
        second.server.feed(cipher)
        guard case .failed(let error) = second.server.read(into: &received) else {
            Issue.record("the damage was not noticed")
            return
        }
        #expect(error.code == .protocolViolation)
    }

    @Test(
        "bytes that are not TLS fail at once",
        arguments: ["GET / HTTP/1.0\r\n\r\n", "MX\r\n\r\nMX-CLIENT", "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}"]
    )
    func notTLS(text: String) throws {
        let context = try TLSContext(server: Identities.agent.get())
        let session = try TLSSession(context: context, serverName: nil, verification: .any)
        session.feed(ByteBuffer(string: text))
        #expect(session.advanceHandshake().error?.code == .handshakeFailed)
    }

    @Test("versions without overlap fail on both sides")
    func versions() throws {
        let agent = try Identities.agent.get()
        let client = try TLSSession(
            context: TLSContext(client: nil, versions: .tls12 ... .tls12),
            serverName: nil,
            verification: .any
        )
        let server = try TLSSession(
            context: TLSContext(server: agent, versions: .tls13 ... .tls13),
            serverName: nil,
            verification: .any
        )
        #expect(client.advanceHandshake() == .needsInput)
        server.feed(try #require(client.takeOutput()))
        #expect(server.advanceHandshake().error?.code == .handshakeFailed)
        client.feed(try #require(server.takeOutput()))
        #expect(client.advanceHandshake().error?.code == .handshakeFailed)
    }

    @Test(
        "the server name is sent for names only",
        arguments: [
            ("agent.example", true), ("localhost", true), ("127.0.0.1", false), ("::1", false), ("[::1]", false),
            ("fe80::1%eth0", false), ("", false),
        ]
    )
    func serverName(host: String, sent: Bool) throws {
        let session = try TLSSession(context: TLSContext(client: nil), serverName: host, verification: .any)
        #expect(session.advanceHandshake() == .needsInput)
        let hello = try #require(session.takeOutput())
        let found = !host.isEmpty && hello.readableBytesView.firstRange(of: Array(host.utf8)) != nil
        #expect(found == sent)
    }
}
