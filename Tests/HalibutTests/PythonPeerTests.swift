import BSON
import FoundationEssentials
import Halibut
import HalibutTesting
import ProcessTesting
import SecureTransport
import Testing

extension Tag {
    /// Talks to a peer that is not part of this repository.
    @Tag static var peer: Self
}

@Suite(
    "Conversations with the independent peer",
    .tags(.peer),
    .timeLimit(.minutes(4)),
    .enabled("needs $HALIBUT_PEER (or /work/shared/peers) and its Python packages") {
        try await PythonPeer.isAvailable.value
    }
)
struct PythonPeerTests {
    /// Runs a body with a peer, whose scratch files go afterwards.
    private func withPeer(_ body: (PythonPeer) async throws -> Void) async throws {
        let peer = try await PythonPeer()
        defer { peer.remove() }
        try await body(peer)
    }

    private func file(_ peer: PythonPeer, _ size: Int) throws -> String {
        let path = "\(peer.directory)/content"
        try Data(repeating: 0x5a, count: size).write(to: URL(filePath: path))
        return path
    }

    @Test("our listening service answers the peer's calls")
    func listeningService() async throws {
        try await ListeningPair.with { pair in
            try await withPeer { peer in
                pair.trust.trust(try #require(Thumbprint(peer.thumbprint)))
                func call(_ arguments: String...) async throws -> RunningProgram.Outcome {
                    let options = ["--port", "\(pair.port)", "--thumbprint", "\(TestIdentities.service.thumbprint)"]
                    return try await peer.start("call", options + ["IEchoService"] + arguments).outcome()
                }
                #expect(try await call("SayHello", "\"World\"").output == "World...\n")
                #expect(try await call("Nothing").output == "None\n")
                let path = try file(peer, 3_000_000)
                #expect(try await call("CountBytes", "{\"$file\": \"\(path)\"}").output == "3000000\n")
                #expect(try await call("Download", "5").output == "b'aaaaa'\n")
                let failure = try await call("NoSuchMethod")
                #expect(failure.status != 0)
                #expect(failure.errors.contains("Method Tests.EchoService::NoSuchMethodAsync not found"))
            }
        }
    }

    @Test("the peer, like upstream, does not try again at the other certificate: the call is lost, the next one is not")
    func changedCertificate() async throws {
        try await ListeningPair.with { pair in
            try await withPeer { peer in
                pair.trust.trust(try #require(Thumbprint(peer.thumbprint)))
                func call(_ identity: TLSIdentity) async throws -> RunningProgram.Outcome {
                    let options = ["--port", "\(pair.port)", "--thumbprint", "\(identity.thumbprint)"]
                    return try await peer.start("call", options + ["IEchoService", "SayHello", "\"World\""]).outcome()
                }
                let next = TestIdentities.stranger
                pair.identity.change(to: TestIdentities.service, overlap: .init(next: next))
                #expect(try await call(TestIdentities.service).output == "World...\n")
                // Told by hand: of the two certificates the listener shows the one that this address took last.
                let lost = try await call(next)
                #expect(lost.status != 0)
                #expect(lost.errors.contains("\(TestIdentities.service.thumbprint)"))
                for _ in 0..<2 { #expect(try await call(next).output == "World...\n") }
            }
        }
    }

    @Test("our client calls the peer's listening service")
    func listeningClient() async throws {
        try await withPeer { peer in
            let process = try peer.start("listen", ["--port", "0", "--trust", "\(TestIdentities.client.thumbprint)"])
            try await process.whileRunning {
                let port = try await process.listeningPort()
                let client = try HalibutClient(identity: TestIdentities.client, configuration: .quiet)
                let endPoint = try ServiceEndPoint(
                    "https://127.0.0.1:\(port)/",
                    remoteThumbprint: Thumbprint(peer.thumbprint)
                )
                try await exercisePeer(client, endPoint)
                #expect(try await client.discover(host: "127.0.0.1", port: port) == endPoint.remoteThumbprint)
                await client.close()
            }
        }
    }

    @Test("our polling service answers the peer's queued calls")
    func pollingService() async throws {
        try await withPeer { peer in
            let path = try file(peer, 1_000_000)
            let calls = [
                (["SayHello", "\"World\""], "World...\n"), (["CountBytes", "{\"$file\": \"\(path)\"}"], "1000000\n"),
            ]
            for (arguments, answer) in calls {
                let process = try peer.start(
                    "callpoll",
                    ["--port", "0", "--trust", "\(TestIdentities.service.thumbprint)", "poll://ours/", "IEchoService"]
                        + arguments
                )
                try await process.whileRunning {
                    let service = try PollingService(
                        subscription: "poll://OURS",
                        server: try ServiceEndPoint(
                            "https://127.0.0.1:\(try await process.listeningPort())",
                            remoteThumbprint: Thumbprint(peer.thumbprint)
                        ),
                        identity: TestIdentities.service,
                        dispatcher: EchoService(),
                        configuration: .brisk
                    )
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { try await service.run() }
                        #expect(await process.outcome().output.hasSuffix("\n" + answer))
                        group.cancelAll()
                        try await group.waitForAll()
                    }
                }
            }
        }
    }

    @Test("our client's queue is served by the peer's polling service")
    func pollingClient() async throws {
        try await PollingPair.with(startsService: false) { pair in
            try await withPeer { peer in
                pair.trust.trust(try #require(Thumbprint(peer.thumbprint)))
                let process = try peer.start(
                    "poll",
                    ["--port", "\(pair.port)", "--thumbprint", "\(TestIdentities.client.thumbprint)", "poll://abc123/"]
                )
                try await process.whileRunning { try await exercisePeer(pair.client, pair.endPoint) }
            }
        }
    }

    /// What the peer's own demonstration services can do.
    private func exercisePeer(_ client: HalibutClient, _ endPoint: ServiceEndPoint) async throws {
        for text in ["World", String(repeating: "x", count: 300_000)] {
            let response = try await client.call(
                endPoint,
                service: "IEchoService",
                method: "SayHello",
                parameters: [.string(text)]
            )
            #expect(response.value == .string(text + "..."))
        }
        for size in [0, 1, 10_000_000] {
            let stream = OutgoingDataStream(bytes: [UInt8](repeating: 1, count: size))
            let response = try await client.call(
                endPoint,
                service: "IEchoService",
                method: "CountBytes",
                parameters: [stream.reference(typed: true)],
                streams: [stream]
            )
            #expect(response.value == .int64(Int64(size)))
        }
        let failure = try await #require(throws: HalibutError.self) {
            try await client.call(endPoint, service: "INope", method: "X")
        }
        #expect(failure.code == .serviceNotFound)
        let again = try await client.call(endPoint, service: "IEchoService", method: "SayHello", parameters: ["again"])
        #expect(again.value == "again...")
    }
}
