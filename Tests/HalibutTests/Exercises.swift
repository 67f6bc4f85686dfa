import BSON
import FoundationEssentials
import Halibut
import HalibutTesting
import SecureTransport
import Testing

/// What must work alike in both modes.
func exerciseCalls(_ client: HalibutClient, _ endPoint: ServiceEndPoint, _ service: EchoService) async throws {
    func call(
        _ method: String,
        _ parameters: [BSONValue] = [],
        _ streams: [OutgoingDataStream] = []
    ) async throws -> RPCResponse {
        try await client.call(
            endPoint,
            service: "IEchoService",
            method: method,
            parameters: parameters,
            streams: streams
        )
    }
    #expect(try await call("SayHello", ["World"]).value == "World...")
    #expect(try await call("Nothing").value == .null)
    let long = String(repeating: "0123456789abcdef", count: 20_000)
    #expect(try await call("SayHello", [.string(long)]).value == .string(long + "..."))
    for size in [0, 1, 70_000, 5_000_000] {
        let stream = OutgoingDataStream(bytes: [UInt8](repeating: 7, count: size))
        #expect(try await call("CountBytes", [stream.reference(typed: true)], [stream]).value == .int64(Int64(size)))
        let response = try await call("Download", [.int64(Int64(size))])
        let received = try #require(response.streams.values.first)
        #expect(received.length == Int64(size))
        #expect(try received.readAll() == [UInt8](repeating: 0x61, count: size))
    }
    let (one, two) = (OutgoingDataStream(bytes: Array("one".utf8)), OutgoingDataStream(bytes: Array("two".utf8)))
    let nested: BSONValue = [
        "$type": "Some.Type, Some.Assembly", "Files": [["Name": "a", "Contents": one.reference(typed: false)]],
    ]
    // Handed over in another order than announced.
    let both = try await call("Contents", [nested, two.reference(typed: true)], [two, one])
    #expect(both.value == .binary(Array("onetwo".utf8), subtype: 0))
    let request = try #require(service.received.last)
    #expect(request.id.hasPrefix("IEchoService::ContentsAsync["))
    #expect(request.streams.values.allSatisfy { !FileManager.default.fileExists(atPath: $0.path) })
}

/// What must fail alike in both modes.
func exerciseErrors(_ client: HalibutClient, _ endPoint: ServiceEndPoint) async throws {
    func failure(
        _ service: String,
        _ method: String,
        _ parameters: [BSONValue] = [],
        _ streams: [OutgoingDataStream] = []
    ) async throws -> HalibutError {
        try await #require(throws: HalibutError.self) {
            try await client.call(endPoint, service: service, method: method, parameters: parameters, streams: streams)
        }
    }
    let noService = try await failure("IFoo", "Bar")
    #expect(noService.code == .serviceNotFound)
    #expect(noService.message == "Service not found: IFoo")
    #expect(noService.serverDetails?.contains("Octopus.Tentacle.Communications.UnknownServiceNameException") == true)
    let noMethod = try await failure("IEchoService", "Bar")
    #expect(noMethod.code == .methodNotFound)
    #expect(noMethod.message == "Method Tests.EchoService::BarAsync not found")
    #expect(try await failure("IEchoService", "Over", [.null]).code == .ambiguousMethod)
    let crash = try await failure("IEchoService", "Crash")
    #expect(crash.code == .invocation)
    #expect(crash.message == "Attempted to divide by zero.")
    #expect(
        crash.serverDetails == """
            System.Reflection.TargetInvocationException: Exception has been thrown by the target of an invocation.
             ---> System.DivideByZeroException: Attempted to divide by zero.
            """
    )
    #expect(crash.phase == .transferring)
    // An unknown type, a stream, and a method that does not exist: still in step afterwards.
    let stream = OutgoingDataStream(bytes: [1, 2, 3])
    #expect(
        try await failure(
            "IEchoService",
            "Bar",
            [["$type": "No.Such, Type", "S": stream.reference(typed: false)]],
            [stream]
        ).code == .methodNotFound
    )
    #expect(try await failure("IEchoService", "Forgotten").code == .invocation)
    #expect(try await failure("IEchoService", "CountBytes", [stream.reference(typed: true)]).code == .local)
    #expect(
        try await client.call(endPoint, service: "iechoservice", method: "SayHello", parameters: ["x"]).value == "x..."
    )
}
