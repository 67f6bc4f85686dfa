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

    /// A response ready to be sent.
    struct Response: Sendable {
        /// Encoded off the loop, too: a large one takes its time.
        var message: ByteBuffer
        var streams: [OutgoingDataStream]
        var announced: [BSONDataStream]

        init(message: ByteBuffer, streams: [OutgoingDataStream], announced: [BSONDataStream]) {
            self.message = message
            self.streams = streams
            self.announced = announced
        }

        /// The response to a call that failed.
        init(to id: String, _ error: any Error) throws(WireError) {
            let response = ResponseMessage(id: id, outcome: .error(ServerError(error)))
            self.init(message: try response.encoded(), streams: [], announced: [])
        }
    }

    /// An error of the dispatcher is a response, too (halibut.md 8.1).
    ///
    /// The service's code runs off the event loop: it may take its time.
    func execute(
        _ request: RequestMessage,
        streams: [UUID: ReceivedDataStream],
        peer: Thumbprint
    ) async throws(WireError) -> Response {
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

    private func response(to request: RPCRequest) async throws(WireError) -> Response {
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
                let announced = response.dataStreams
                try WireStream.check(result.streams, against: announced)
                return Response(message: try response.encoded(), streams: result.streams, announced: announced)
            }
        } catch {
            self.logger.debug(
                "A call failed",
                metadata: ["rpc.service": "\(request.service)", "rpc.method": "\(request.method)", "error": "\(error)"]
            )
            return try Response(to: request.id, error)
        }
    }
}

extension [UUID: ReceivedDataStream] {
    /// The call has ended: the spooled files go, whoever still holds the streams.
    func deleteFiles() {
        for stream in self.values { stream.file.remove() }
    }
}

extension ResponseMessage {
    fileprivate func encoded() throws(WireError) -> ByteBuffer { try MessageEncoder().encoded(self.document) }
}
