package import BSON
package import FoundationEssentials

/// A call (halibut.md 7.1).
///
/// Members are written in this order and read in any.
package struct RequestMessage: Hashable, Sendable {
    /// Opaque, unique, echoed in the response.
    package var id: String
    package var activityID: UUID
    /// What the caller dialled; a service ignores it.
    package var endPoint: EndPointDocument?
    package var service: String
    package var method: String
    package var parameters: [BSONValue]

    static let typeName = "Halibut.Transport.Protocol.RequestMessage, Halibut"

    package init(
        id: String,
        activityID: UUID,
        endPoint: EndPointDocument?,
        service: String,
        method: String,
        parameters: [BSONValue]
    ) {
        self.id = id
        self.activityID = activityID
        self.endPoint = endPoint
        self.service = service
        self.method = method
        self.parameters = parameters
    }

    /// Reads a request; what else is in the document is ignored.
    package init(_ document: BSONDocument) throws(WireError) {
        if let typeName = document.typeName, !typeName.hasPrefix("Halibut.Transport.Protocol.RequestMessage,") {
            throw .invalidMessage("Expected a request, got '\(typeName.boundedForMessage)'.")
        }
        guard let id = document["id"]?.string else { throw .invalidMessage("A request has no id.") }
        guard let service = document["service"]?.string, let method = document["method"]?.string else {
            throw .invalidMessage("Request '\(id.boundedForMessage)' names no service or no method.")
        }
        self.init(
            id: id,
            activityID: document["activityId"]?.uuid ?? .zero,
            endPoint: document["endpoint"]?.document.map(EndPointDocument.init),
            service: service,
            method: method,
            parameters: document["params"]?.elementsOfArray ?? []
        )
    }

    package var document: BSONDocument {
        BSONDocument(elements: [
            .init(key: "$type", value: .string(Self.typeName)),
            .init(key: "id", value: .string(self.id)),
            .init(key: "activityId", value: .uuid(self.activityID)),
            .init(key: "endpoint", value: self.endPoint.map { .document($0.document) } ?? .null),
            .init(key: "service", value: .string(self.service)),
            .init(key: "method", value: .string(self.method)),
            .init(key: "params", value: .array(self.parameters)),
        ])
    }

    /// Every data stream announced in the parameters, in wire order.
    package var dataStreams: [BSONDataStream] { self.parameters.flatMap(\.dataStreams) }
}

/// The answer to a call (halibut.md 7.3).
///
/// Both members are always written.
package struct ResponseMessage: Hashable, Sendable {
    /// What a call came to.
    package enum Outcome: Hashable, Sendable {
        case result(BSONValue)
        case error(ServerError)
    }

    /// The request's id, verbatim.
    package var id: String
    package var outcome: Outcome

    static let typeName = "Halibut.Transport.Protocol.ResponseMessage, Halibut"

    package init(id: String, outcome: Outcome) {
        self.id = id
        self.outcome = outcome
    }

    package init(_ document: BSONDocument) throws(WireError) {
        if let typeName = document.typeName, !typeName.hasPrefix("Halibut.Transport.Protocol.ResponseMessage,") {
            throw .invalidMessage("Expected a response, got '\(typeName.boundedForMessage)'.")
        }
        guard let id = document["id"]?.string else { throw .invalidMessage("A response has no id.") }
        if let error = document["error"]?.document {
            self.init(id: id, outcome: .error(ServerError(error)))
        } else {
            self.init(id: id, outcome: .result(document["result"] ?? .null))
        }
    }

    package var document: BSONDocument {
        let (error, result): (BSONValue, BSONValue) =
            switch self.outcome {
            case .result(let value): (.null, value)
            case .error(let error): (.document(error.document), .null)
            }
        return BSONDocument(elements: [
            .init(key: "$type", value: .string(Self.typeName)),
            .init(key: "id", value: .string(self.id)),
            .init(key: "error", value: error),
            .init(key: "result", value: result),
        ])
    }

    package var dataStreams: [BSONDataStream] {
        if case .result(let value) = self.outcome { value.dataStreams } else { [] }
    }
}

/// Why a service did not answer with a value (halibut.md 7.4).
package struct ServerError: Hashable, Sendable {
    /// The innermost message.
    package var message: String
    /// The full, multi-line text; readers look at how it starts.
    package var details: String
    /// A .NET type name that tells the kinds apart, where there is one.
    package var halibutErrorType: String?

    package init(message: String, details: String, halibutErrorType: String? = nil) {
        self.message = message
        self.details = details
        self.halibutErrorType = halibutErrorType
    }

    init(_ document: BSONDocument) {
        self.init(
            message: document["message"]?.string ?? "",
            details: document["details"]?.string ?? "",
            halibutErrorType: document["HalibutErrorType"]?.string
        )
    }

    var document: BSONDocument {
        [
            "message": .string(self.message), "details": .string(self.details),
            "HalibutErrorType": self.halibutErrorType.map(BSONValue.string) ?? .null,
        ]
    }
}

/// The `endpoint` member of a request (halibut.md 7.2).
///
/// Proxy settings are never written: upstream sends their password to the peer.
package struct EndPointDocument: Hashable, Sendable {
    package var pollingRequestQueueTimeout: Duration = .seconds(120)
    package var retryListeningSleepInterval: Duration = .seconds(1)
    package var retryCountLimit: Int32 = 5
    package var connectionErrorRetryTimeout: Duration = .seconds(300)
    package var tcpClientConnectTimeout: Duration = .seconds(60)
    package var baseURI: String
    package var remoteThumbprint: String?

    package init(baseURI: String, remoteThumbprint: String?) {
        self.baseURI = baseURI
        self.remoteThumbprint = remoteThumbprint
    }

    /// Reads the two members that mean anything to somebody else than the caller.
    init(_ document: BSONDocument) {
        self.init(
            baseURI: document["BaseUri"]?.string ?? "",
            remoteThumbprint: document["RemoteThumbprint"]?.string
        )
    }

    var document: BSONDocument {
        BSONDocument(elements: [
            .init(key: "PollingRequestQueueTimeout", value: .string(self.pollingRequestQueueTimeout.timeSpanText)),
            .init(key: "RetryListeningSleepInterval", value: .string(self.retryListeningSleepInterval.timeSpanText)),
            .init(key: "RetryCountLimit", value: .int32(self.retryCountLimit)),
            .init(key: "ConnectionErrorRetryTimeout", value: .string(self.connectionErrorRetryTimeout.timeSpanText)),
            .init(key: "TcpClientConnectTimeout", value: .string(self.tcpClientConnectTimeout.timeSpanText)),
            .init(key: "BaseUri", value: .string(self.baseURI)),
            .init(key: "RemoteThumbprint", value: self.remoteThumbprint.map(BSONValue.string) ?? .null),
            .init(key: "Proxy", value: .null),
            .init(key: "ForceResolveHost", value: .null),
            .init(key: "IsWebSocketEndpoint", value: .bool(false)),
        ])
    }
}

extension BSONValue {
    /// The elements of an array, bare or wrapped in `$values`.
    fileprivate var elementsOfArray: [BSONValue]? {
        self.array ?? self.document?["$values"]?.array
    }
}

extension Duration {
    /// .NET's constant form, `[-][d.]hh:mm:ss[.fffffff]` (halibut.md 6.2).
    package var timeSpanText: String { TimeSpanText.encode(self) }
}
