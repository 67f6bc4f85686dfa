import FoundationEssentials
import Halibut
import HalibutTesting
import Testing

/// Services of closures, and their calls from afar.
@Suite(.timeLimit(.minutes(4))) struct TypedServiceTests {
    /// A contract with a data stream inside.
    struct Parcel: RPCContract, Equatable {
        static let wireTypeName = "Tests.Contracts.Parcel, Tests"
        var weight: Int32
        var contents: DataStream?

        private enum CodingKeys: String, CodingKey {
            case weight = "Weight"
            case contents = "Contents"
        }

        static func == (left: Parcel, right: Parcel) -> Bool { left.weight == right.weight }
    }

    static var services: RPCServices {
        var service = RPCService("IPostService", implementation: "Tests.PostService")
        service.method("Add") { (_, left: Int64, right: Int64) in left + right }
        service.method("Join") { (_, left: String, right: String?) in left + (right ?? "") }
        service.method("Join") { (_, left: Int64, right: Int64) in "\(left)\(right)" }
        service.method("Both") { (_, value: String) in value }
        service.method("Both") { (_, value: [UInt8]) in "\(value.count) bytes" }
        service.method("Reverse") { (_, bytes: [UInt8]) in [UInt8](bytes.reversed()) }
        service.method("Weigh") { (_, parcel: Parcel) in
            Int64(parcel.weight) + (parcel.contents?.length ?? 0)
        }
        service.method("Return") { (_, parcel: Parcel) in parcel }
        service.method("Open") { (_, contents: DataStream) in try contents.received?.readAll() }
        service.method("Nothing") { _ in }
        service.method("Missing") { (_) -> String? in nil }
        return RPCServices([service])
    }

    private func with(_ body: (RemoteService) async throws -> Void) async throws {
        let listener = HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: TestIdentities.service,
            trust: TrustedPeers([TestIdentities.client.thumbprint]),
            dispatcher: Self.services,
            configuration: .brisk
        )
        let client = try HalibutClient(identity: TestIdentities.client, configuration: .brisk)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            defer { group.cancelAll() }
            let endPoint = try ServiceEndPoint(
                "https://127.0.0.1:\(try await listener.boundPort)",
                remoteThumbprint: TestIdentities.service.thumbprint
            )
            try await body(RemoteService("IPostService", at: endPoint, client: client))
            await client.close()
        }
    }

    private func failure(_ method: String, _ parameters: [BSONValue]) async -> (any Error)? {
        let request = RPCRequest(
            id: "1",
            activityID: UUID(),
            service: "ipostservice",
            method: method,
            parameters: parameters,
            streams: [:],
            peer: TestIdentities.client.thumbprint
        )
        do {
            _ = try await Self.services.dispatch(request)
            return nil
        } catch {
            return error
        }
    }

    @Test("values of every kind go there and back")
    func values() async throws {
        try await self.with { post in
            #expect(try await post.call("Add", 40, 2) == 42)
            #expect(try await post.call("add", Int64(1), 2 as Int64) == Int64(3))
            #expect(try await post.call("Join", "a", "b") == "ab")
            #expect(try await post.call("Join", "a", String?.none) == "a")
            #expect(try await post.call("Join", 1, 2) == "12")
            #expect(try await post.call("Both", [UInt8](repeating: 0, count: 3)) == "3 bytes")
            #expect(try await post.call("Reverse", [1, 2, 3] as [UInt8]) == [3, 2, 1] as [UInt8])
            #expect(try await post.call("Missing") == String?.none)
            try await post.call("Nothing")
        }
    }

    @Test("data streams go as arguments, in contracts and in results")
    func streams() async throws {
        try await self.with { post in
            #expect(try await post.call("Open", DataStream(bytes: [7, 8])) == [7, 8] as [UInt8])
            let parcel = Parcel(weight: 5, contents: DataStream(bytes: [1, 2, 3]))
            #expect(try await post.call("Weigh", parcel) == Int64(8))
            #expect(try await post.call("Weigh", Parcel(weight: 5)) == Int64(5))
            let returned: Parcel = try await post.call("Return", parcel)
            #expect(try returned.contents?.received?.readAll() == [1, 2, 3])
        }
    }

    @Test("a result of another type is an error of its own")
    func unexpectedResult() async throws {
        try await self.with { post in
            let wrong = try await #require(throws: HalibutError.self) {
                let _: Parcel = try await post.call("Join", "a", "b")
            }
            #expect(wrong.code == .unexpectedResult)
            let nothing = try await #require(throws: HalibutError.self) {
                let _: String = try await post.call("Nothing")
            }
            #expect(nothing.code == .unexpectedResult)
        }
    }

    @Test("exactly one overload must fit the arguments")
    func overloads() async throws {
        let none = try #require(await self.failure("Join", [.double(1), .null]) as? RPCAmbiguousMethod)
        #expect(none.candidates == ["String Join(String, String)", "String Join(Int64, Int64)"])
        #expect(none.argumentTypes == ["Double", "<null>"] && !none.severalFit)
        let both = try #require(await self.failure("Both", [.null]) as? RPCAmbiguousMethod)
        #expect(both.candidates == ["String Both(String)", "String Both(Byte[])"] && both.severalFit)
        #expect(await self.failure("Join", ["a"]) is RPCAmbiguousMethod)
        let other: BSONValue = ["$type": "Tests.Contracts.Letter, Tests"]
        #expect(await self.failure("Weigh", [other]) is RPCAmbiguousMethod)
    }

    @Test("null reaches only what can be nil; a class trips over it as .NET's would")
    func null() async throws {
        #expect(await self.failure("Join", ["a", .null]) == nil)
        #expect(await self.failure("Add", [.int64(1), .null]) is RPCAmbiguousMethod)
        let error = try #require(await self.failure("Weigh", [.null]) as? RPCServiceError)
        #expect(error.typeName == "System.NullReferenceException")
    }

    @Test("the type name may carry a version, and unknown names are told apart")
    func names() async throws {
        let parcel: BSONValue = ["$type": "Tests.Contracts.Parcel, Tests, Version=1.0.0.0", "Weight": .int32(1)]
        #expect(await self.failure("Weigh", [parcel]) == nil)
        let method = try #require(await self.failure("Steal", []) as? RPCMethodNotFound)
        #expect(method == RPCMethodNotFound(service: "Tests.PostService", method: "Steal"))
    }
}
