import BSON
import Dispatch
import FoundationEssentials
import HalibutProtocol
import HalibutTesting
import NIOCore
import NIOPosix
import SecureTransport
import Testing

@testable import Halibut

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

@Suite("Accepting connections, come what may", .timeLimit(.minutes(4)))
struct ListeningSocketTests {
    @Test("three failures cost nothing, then the pause grows to a second")
    func backoff() {
        var backoff = AcceptBackoff()
        #expect((1...5).map { _ in backoff.failed() } == [0, 0, 0, 10, 20])
        for _ in 6..<103 { _ = backoff.failed() }
        #expect((0..<3).map { _ in backoff.failed() } == [1000, 1000, 1000])
        backoff.succeeded()
        #expect(backoff.failed() == 0)
    }

    @Test("a connection that reaches its event loop after the listener has stopped is closed")
    func lateArrival() async throws {
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let isStopped = DispatchSemaphore(value: 0)
        loops.next().execute { isStopped.wait() }
        defer { isStopped.signal() }
        var limits = HalibutLimits.brisk
        limits.maximumUnidentifiedConnections = 1
        let listener = HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: TestIdentities.service,
            trust: TrustedPeers(),
            configuration: HalibutConfiguration(limits: limits, eventLoopGroup: loops, logger: .quiet)
        )
        let running = Task { try await listener.run() }
        let peer = try await RawConnection.open(port: try await listener.boundPort, identity: nil, tls: false)
        try await untilAsync { !listener.unidentified.hasRoom }
        running.cancel()
        try await running.value
        isStopped.signal()
        #expect(await peer.untilClosed() == "")
        try await loops.shutdownGracefully()
    }

    @Test("no failure of accept ends the listener", arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EPERM])
    func failures(_ number: CInt) async throws {
        let socket = try ListeningSocket(host: "127.0.0.1", port: 0)
        let calls = Watched(0)
        let failures = Watched<[Int]>([])
        let accepted = Watched(0)
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await socket.run(
                    accept: { descriptor in
                        // Five failures, then a connection, once more, then nothing but the real call.
                        calls.change { $0 += 1 }
                        let call = calls.value
                        return call <= 5 || call == 7 ? -number : accept(descriptor, nil, nil)
                    },
                    failed: { number, consecutive in failures.change { $0.append(consecutive) } },
                    accepted: { descriptor in
                        close(descriptor)
                        accepted.change { $0 += 1 }
                    }
                )
            }
            group.addTask {
                for count in 1...2 {
                    let connection = try await RawConnection.open(port: socket.port, identity: nil, tls: false)
                    try await accepted.until { $0 == count }
                    await connection.close()
                }
            }
            _ = try? await group.next()
            group.cancelAll()
        }
        #expect(accepted.value == 2)
        #expect(failures.value == [1, 2, 3, 4, 5, 1])
    }

    @Test("a listener that is told to stop does so in the middle of a pause, too, and frees its port")
    func stop() async throws {
        let socket = try ListeningSocket(host: "127.0.0.1", port: 0)
        let failing = Watched(0)
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await socket.run(
                    accept: { _ in -EMFILE },
                    failed: { _, consecutive in failing.change { $0 = consecutive } },
                    accepted: { _ in }
                )
            }
            group.addTask { try await failing.until { $0 > 4 } }
            _ = try? await group.next()
            group.cancelAll()
        }
        #expect(try ListeningSocket(host: "127.0.0.1", port: socket.port).port == socket.port)
    }

    @Test("an address that is not ours, and a name that is none, are one line each")
    func badAddresses() throws {
        for host in ["192.0.2.1", "no-such-host.invalid"] {
            let error = #expect(throws: HalibutError.self) { try ListeningSocket(host: host, port: 0) }
            #expect(error?.message.hasPrefix("Could not listen on \(host) port 0: ") == true)
            #expect(error?.code == .local)
        }
    }

    @Test("what comes in the same breath as the identity waits in the kernel, and is there afterwards")
    func gate() async throws {
        var limits = HalibutLimits.brisk
        // The record with the identity in it, and no more of what follows.
        limits.maximumUnidentifiedBytes = 20 * 1024
        let text = (0..<20_000).map { _ in String(UInt64.random(in: 0...UInt64.max), radix: 36) }.joined()
        let request = RequestMessage(
            id: "1",
            activityID: UUID(),
            endPoint: nil,
            service: "IEchoService",
            method: "Nothing",
            parameters: [.string(text)]
        )
        var buffer = ByteBuffer()
        try MessageEncoder().encode(.document(request.document), into: &buffer)
        let bytes = Array("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n".utf8) + buffer.readableBytesView + Array("NEXT\r\n".utf8)
        try await ListeningPair.with(limits: limits) { pair in
            let connection = try await RawConnection.open(port: pair.port, identity: TestIdentities.client)
            connection.send(bytes)
            try await connection.until("PROCEED\r\n")
            #expect(pair.service.received.first?.parameters == [.string(text)])
            await connection.close()
        }
    }

    @Test("the page for a request with a body, for two at once, for a slow one")
    func requests() async throws {
        try await ListeningPair.with { pair in
            let body = try await RawConnection.open(port: pair.port, identity: nil)
            body.send(
                Array("POST /handshake HTTP/1.1\r\nContent-Length: 70000\r\n\r\n".utf8)
                    + [UInt8](repeating: 0x61, count: 70_000)
            )
            let answer = await body.untilClosed()
            #expect(answer.hasPrefix("HTTP/1.0 200 OK\r\n"))
            let pipelined = try await RawConnection.open(port: pair.port, identity: nil)
            pipelined.send("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
            let one = await pipelined.untilClosed()
            #expect(one.components(separatedBy: "HTTP/1.0 200 OK").count == 2)
            let slow = try await RawConnection.open(port: pair.port, identity: nil)
            for byte in Array("POST /handshake HTTP/1.1\r\n\r\n".utf8) { slow.send([byte]) }
            let page = await slow.untilClosed()
            #expect(page.hasPrefix("HTTP/1.0 200 OK\r\n"))
        }
    }
}
