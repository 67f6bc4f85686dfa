import NIOCore
import NIOPosix
import SecureTransport
import Testing

@Suite(.timeLimit(.minutes(4))) struct TLSHandlerTests {
    @Test("echo over the loopback", arguments: TLSVersion.allCases)
    func echo(version: TLSVersion) async throws {
        let agent = try Identities.agent.get()
        let server = try Identities.server.get()
        try await withListener(identity: agent) { port, accepted in
            let (channel, signals) = try await dial(
                port,
                identity: server,
                expecting: .thumbprint(agent.thumbprint),
                versions: version...version
            )
            // Before the handshake is done, and several writes at once.
            channel.write(ByteBuffer(string: "hello "), promise: nil)
            try await channel.writeAndFlush(ByteBuffer(string: "world"))
            #expect(await signals.data(count: 11) == Array("hello world".utf8))
            try await channel.close()
            let (data, others) = await accepted.all()
            #expect(data == Array("hello world".utf8))
            guard case .established(let details)? = others.first else {
                Issue.record("no handshake on the accepted side")
                return
            }
            #expect(details.peer?.thumbprint == server.thumbprint)
            #expect(others.last == .inactive)
            #expect(others.count == 2)
        }
    }

    @Test("a large write arrives whole and in order")
    func large() async throws {
        let agent = try Identities.agent.get()
        let plain = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 12) }
        try await withListener(identity: agent, echo: false) { port, accepted in
            let (channel, _) = try await dial(port, identity: nil, expecting: .any)
            for start in stride(from: 0, to: plain.count, by: 1_300_000) {
                let end = min(plain.count, start + 1_300_000)
                try await channel.writeAndFlush(ByteBuffer(bytes: plain[start..<end]))
            }
            try await channel.close()
            #expect(await accepted.all().data == plain)
        }
    }

    @Test("a wrong thumbprint ends the dialled connection with a typed error")
    func wrongThumbprint() async throws {
        let agent = try Identities.agent.get()
        let expected = Thumbprint(certificateDER: [1])
        try await withListener(identity: agent) { port, _ in
            let (channel, signals) = try await dial(port, identity: nil, expecting: .thumbprint(expected))
            let write = channel.eventLoop.makePromise(of: Void.self)
            channel.writeAndFlush(ByteBuffer(string: "secret"), promise: write)
            let (data, others) = await signals.all()
            #expect(data.isEmpty)
            guard case .failed(let error)? = others.first else {
                Issue.record("no error")
                return
            }
            #expect(error.unexpectedCertificate?.actual.thumbprint == agent.thumbprint)
            await #expect(throws: (any Error).self) { try await write.futureResult.get() }
        }
    }

    @Test("a listener drops a peer that does not speak TLS at once")
    func notTLS() async throws {
        try await withListener(identity: Identities.agent.get()) { port, accepted in
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: "127.0.0.1", port: port).get()
            try await channel.writeAndFlush(ByteBuffer(string: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
            let (_, others) = await accepted.all()
            guard case .failed(let error)? = others.first else {
                Issue.record("no error")
                return
            }
            #expect(error.code == .handshakeFailed)
            try await channel.closeFuture.get()
        }
    }

    @Test("an end without close_notify is an ordinary end")
    func truncation() async throws {
        let agent = try Identities.agent.get()
        try await withListener(identity: agent) { port, accepted in
            let (channel, signals) = try await dial(port, identity: nil, expecting: .any)
            try await channel.writeAndFlush(ByteBuffer(string: "bye"))
            #expect(await signals.data(count: 3) == Array("bye".utf8))
            // Below the TLS handler: the socket is closed, nothing is said.
            try await channel.eventLoop.submit {
                let context = try channel.pipeline.syncOperations.context(handlerType: TLSHandler.self)
                context.close(promise: nil)
            }.get()
            let (_, others) = await accepted.all()
            #expect(others.last == .inactive)
            #expect(!others.contains { if case .failed = $0 { true } else { false } })
        }
    }

    @Test("a peer that leaves during the handshake is an error of its own")
    func leavesEarly() async throws {
        try await withListener(identity: Identities.agent.get()) { port, accepted in
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: "127.0.0.1", port: port).get()
            try await channel.close()
            #expect(await accepted.all().others == [.failed(TLSError(code: .closedDuringHandshake)), .inactive])
        }
    }

    @Test("a peer that says nothing runs into the time limit")
    func timeout() async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = listener.localAddress?.port ?? 0
        let (_, signals) = try await dial(port, identity: nil, expecting: .any, handshakeTimeout: .milliseconds(20))
        #expect(await signals.all().others == [.failed(TLSError(code: .handshakeTimedOut)), .inactive])
        try await listener.close()
    }

    @Test("after closing our output the peer's answer still arrives")
    func halfClose() async throws {
        let agent = try Identities.agent.get()
        let plain = [UInt8](repeating: 1, count: 3_000_000)
        try await withListener(identity: agent, echo: false) { port, accepted in
            let (channel, _) = try await dial(port, identity: nil, expecting: .any)
            channel.write(ByteBuffer(bytes: plain), promise: nil)
            try await channel.close(mode: .output).get()
            #expect(await accepted.all().data == plain)
        }
    }
}
