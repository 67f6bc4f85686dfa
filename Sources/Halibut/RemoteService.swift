public import BSON

/// A service somewhere else, whose methods are called with values of their types.
///
///     let echo = RemoteService("IEchoService", at: endPoint, client: client)
///     let text: String = try await echo.call("SayHello", "World")
public struct RemoteService: Sendable {
    /// The contract's name on the wire.
    public let name: String
    /// Where the service is, and how hard to try.
    public let endPoint: ServiceEndPoint
    private let client: HalibutClient

    /// A service at an endpoint; nothing is dialled before the first call.
    public init(_ name: String, at endPoint: ServiceEndPoint, client: HalibutClient) {
        self.name = name
        self.endPoint = endPoint
        self.client = client
    }

    /// Calls a method that returns a value.
    ///
    /// See ``HalibutClient/call(_:service:method:parameters:streams:)`` for retries and cancellation.
    ///
    /// - Throws: ``HalibutError``; `EncodingError` for an argument that cannot be written.
    public func call<each Argument: RPCValue, Result: RPCValue>(
        _ method: String,
        _ arguments: repeat each Argument
    ) async throws -> Result {
        let response = try await self.send(method, repeat each arguments)
        guard !response.value.isNull || Result.hasRPCNull else {
            throw HalibutError.unexpectedResult(of: method, "it returned nothing")
        }
        do {
            return try DataStream.reading(response.streams) { try Result(rpcValue: response.value) }
        } catch {
            throw HalibutError.unexpectedResult(of: method, "\(error)")
        }
    }

    /// Calls a method that returns nothing; what it returns all the same is ignored.
    ///
    /// - Throws: ``HalibutError``; `EncodingError` for an argument that cannot be written.
    public func call<each Argument: RPCValue>(_ method: String, _ arguments: repeat each Argument) async throws {
        _ = try await self.send(method, repeat each arguments)
    }

    private func send<each Argument: RPCValue>(
        _ method: String,
        _ arguments: repeat each Argument
    ) async throws -> RPCResponse {
        let (parameters, streams) = try DataStream.writing {
            var parameters: [BSONValue] = []
            for argument in repeat each arguments { parameters.append(try argument.rpcValue()) }
            return parameters
        }
        return try await self.client.call(
            self.endPoint,
            service: self.name,
            method: method,
            parameters: parameters,
            streams: streams
        )
    }
}

extension HalibutError {
    @inline(never)
    fileprivate static func unexpectedResult(of method: String, _ reason: String) -> HalibutError {
        HalibutError(
            .unexpectedResult,
            "The service answered \(method) with something unexpected: \(reason)",
            phase: .transferring
        )
    }
}
