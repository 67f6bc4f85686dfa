import BSON
import FoundationEssentials
import HalibutProtocol
import Logging
import NIOCore
import SecureTransport

/// Runs a request that came over a connection and makes its response: the part both kinds of service share.
struct RequestExecutor: Sendable {
    let dispatcher: any RPCDispatcher
    let logger: Logger
    var observer: (any HalibutObserver)?
    /// Whether we poll for the calls, rather than listen for them.
    var isPolling = false

    /// An error of the dispatcher is a response, too (halibut.md 8.1).
    ///
    /// The service's code runs off the event loop: it may take its time.
    func execute(
        _ request: RequestMessage,
        streams: [UUID: ReceivedDataStream],
        peer: Thumbprint
    ) async throws(WireError) -> OutgoingMessage {
        let call = RPCRequest(
            id: request.id,
            activityID: request.activityID,
            service: request.service,
            method: request.method,
            parameters: request.parameters,
            streams: streams,
            peer: peer
        )
        return try await offLoop { () async throws(WireError) in
            let response = try await self.response(to: call)
            // Files go before the answer, so that the caller never sees them still there; unless they are the answer.
            if response.streams.isEmpty { streams.deleteFiles() }
            return response
        }
    }

    private func response(to request: RPCRequest) async throws(WireError) -> OutgoingMessage {
        do {
            return try await self.observer.observing(
                ObservedCall(
                    isClient: false,
                    isPolling: self.isPolling,
                    service: request.service,
                    method: request.method
                ),
                failure: CallOutcome.init(ofService:)
            ) {
                let result = try await self.dispatcher.dispatch(request)
                let response = ResponseMessage(id: request.id, outcome: .result(result.value))
                return try OutgoingMessage(response, streams: result.streams)
            }
        } catch {
            self.logger.debug(
                "A call failed",
                metadata: ["rpc.service": "\(request.service)", "rpc.method": "\(request.method)", "error": "\(error)"]
            )
            return try OutgoingMessage(to: request.id, error)
        }
    }
}

extension [UUID: ReceivedDataStream] {
    /// The call has ended: the spooled files go, whoever still holds the streams.
    func deleteFiles() {
        for stream in self.values { stream.file.remove() }
    }
}
