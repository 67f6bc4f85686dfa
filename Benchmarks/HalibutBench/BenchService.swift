import BSON
import Halibut

/// What is called: `IBenchService`.
struct BenchService: RPCDispatcher {
    static let name = "IBenchService"
    /// A small argument, as calls of the protocol have them.
    static let text = "0123456789abcdef0123456789abcdef"

    /// Called when a call has arrived.
    var arrived: @Sendable () -> Void = {}

    func dispatch(_ request: RPCRequest) async throws -> RPCResult {
        arrived()
        let first = request.parameters.first
        switch request.method {
        case "Echo": return RPCResult(first ?? .null)
        case "Upload": return RPCResult(.int64(request.streams.values.reduce(0) { $0 + $1.length }))
        case "Download":
            let stream = try OutgoingDataStream(file: first?.string ?? "")
            return RPCResult(stream.reference(typed: true), streams: [stream])
        default: throw RPCMethodNotFound(service: Self.name, method: request.method)
        }
    }
}

extension HalibutClient {
    /// The small call.
    func echo(_ endPoint: ServiceEndPoint) async throws {
        _ = try await call(
            endPoint,
            service: BenchService.name,
            method: "Echo",
            parameters: [.string(BenchService.text)]
        )
    }

    /// Sends a file.
    func upload(_ file: String, to endPoint: ServiceEndPoint) async throws {
        let stream = try OutgoingDataStream(file: file)
        _ = try await call(
            endPoint,
            service: BenchService.name,
            method: "Upload",
            parameters: [stream.reference(typed: true)],
            streams: [stream]
        )
    }

    /// Fetches a file into the spool; it is gone afterwards.
    func download(_ file: String, from endPoint: ServiceEndPoint) async throws {
        _ = try await call(endPoint, service: BenchService.name, method: "Download", parameters: [.string(file)])
    }
}
