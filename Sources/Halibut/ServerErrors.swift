import HalibutProtocol

/// The texts of halibut.md 8.3 and 8.4.
///
/// Peers match on them: change nothing here without its test.
enum ServerErrorText {
    static let invocationPrefix =
        "System.Reflection.TargetInvocationException: Exception has been thrown by the target of an invocation."
    static let ambiguousMatchPrefix = "System.Reflection.AmbiguousMatchException: "
    static let exceptions = "Halibut.Exceptions."
    static let serviceNotFound = exceptions + "ServiceNotFoundHalibutClientException"
    static let methodNotFound = exceptions + "MethodNotFoundHalibutClientException"
    static let ambiguousMethod = exceptions + "AmbiguousMethodMatchHalibutClientException"
    static let noMatchingServiceOrMethod = exceptions + "NoMatchingServiceOrMethodHalibutClientException"
    static let serviceInvocation = exceptions + "ServiceInvocationHalibutClientException"
    static let connectingCancelled = exceptions + "ConnectingRequestCancelledException"
    static let transferringCancelled = exceptions + "TransferringRequestCancelledException"
    static let shuttingDown = "The Tentacle service is shutting down and cannot process this request."

    /// In the text of an error without a better class: something is not there, and will not be (halibut.md 8.5).
    static let fileNotFound = "System.IO.FileNotFoundException"
    /// In such a text: the network's fault.
    static let networkErrors = [
        "System.IO.EndOfStreamException",
        "System.Net.Sockets.SocketException (110): Connection timed out",
        "An existing connection was forcibly closed by the remote host.",
        "The I/O operation has been aborted because of either a thread exit or an application request",
        "Unable to read data from the transport connection: Operation timed out.",
        "Unable to write data to the transport connection: Operation timed out.",
        "The remote party closed the WebSocket connection without completing the close handshake.",
    ]
    /// In such a text: the fault of a queue that several server nodes share.
    static let queueErrors = [
        "The request was abandoned, possibly because the node processing the request shutdown or redis lost all of its data.",
        "did not send a heartbeat for long enough",
        "Error occured when reading data from the queue",
        "error occured when preparing request for queue",
    ]
}

extension ServerError {
    /// What a dispatcher's error looks like on the wire (halibut.md 8.3).
    package init(_ error: any Error) {
        switch error {
        case let error as RPCServiceNotFound: self.init(error)
        case let error as RPCMethodNotFound:
            self.init(
                typeName: ServerErrorText.methodNotFound,
                message: "Method \(error.service)::\(error.method)Async not found"
            )
        case let error as RPCAmbiguousMethod:
            self.init(typeName: ServerErrorText.ambiguousMethod, message: error.wireMessage)
        case is RPCShuttingDown:
            // No type: callers take it for a failure that may pass.
            self.init(
                message: ServerErrorText.shuttingDown,
                details: "System.Exception: \(ServerErrorText.shuttingDown)"
            )
        case let error as RPCServiceError: self.init(executing: error.typeName, message: error.message)
        case is CancellationError:
            self.init(executing: "System.OperationCanceledException", message: "The operation was canceled.")
        case let error as DecodingError:
            self.init(executing: "Newtonsoft.Json.JsonSerializationException", message: error.oneLine)
        default: self.init(executing: "System.Exception", message: "\(error)")
        }
    }

    /// An old server decides from the second line of the details that the service is absent.
    private init(_ error: RPCServiceNotFound) {
        self.init(typeName: ServerErrorText.serviceNotFound, message: "Service not found: \(error.service)")
        self.details +=
            "\nOctopus.Tentacle.Communications.UnknownServiceNameException: Error: \(error.service) has not been registered through an IAutofacServiceSource"
    }

    private init(typeName: String, message: String) {
        self.init(message: message, details: "\(typeName): \(message)", halibutErrorType: typeName)
    }

    /// The service ran and failed: the first line of the details says so.
    private init(executing typeName: String, message: String) {
        self.init(message: message, details: "\(ServerErrorText.invocationPrefix)\n ---> \(typeName): \(message)")
    }
}

extension RPCAmbiguousMethod {
    /// The text of halibut.md 8.2.
    var wireMessage: String {
        let first =
            self.severalFit
            ? "More than one possible match for the requested service method was found given the argument types. The matches were:"
            : "Could not decide which candidate to call out of the following methods:"
        let lines =
            [first] + self.candidates.map { " - \($0)" }
            + ["The request arguments were:", self.argumentTypes.joined(separator: ", "), ""]
        return lines.joined(separator: "\n")
    }
}

extension HalibutError {
    /// How a client takes an error response; the order matters (halibut.md 8.4).
    package init(_ error: ServerError) {
        self.init(Self.code(of: error), error.message, phase: .transferring, serverDetails: error.details)
    }

    private static func code(of error: ServerError) -> Code {
        if let typeName = error.halibutErrorType, let code = Self.codesByType[typeName] { return code }
        if error.message.hasPrefix("Service not found: ") { return .serviceNotFound }
        if error.message.hasPrefix("Service "), error.message.hasSuffix(" not found") { return .methodNotFound }
        if error.details.hasPrefix(ServerErrorText.ambiguousMatchPrefix) { return .ambiguousMethod }
        if error.details.hasPrefix(ServerErrorText.invocationPrefix) { return .invocation }
        return .remote
    }

    private static let codesByType: [String: Code] = [
        ServerErrorText.serviceNotFound: .serviceNotFound,
        ServerErrorText.methodNotFound: .methodNotFound,
        ServerErrorText.ambiguousMethod: .ambiguousMethod,
        ServerErrorText.noMatchingServiceOrMethod: .noMatchingServiceOrMethod,
        ServerErrorText.serviceInvocation: .invocation,
        ServerErrorText.connectingCancelled: .cancelled,
        ServerErrorText.transferringCancelled: .cancelled,
    ]
}

extension HalibutError {
    /// Whether it may help to make the same call again (halibut.md 8.5).
    public var retryability: Retryability {
        switch self.code {
        case .network: .networkError
        case .unexpectedCertificate, .proxy, .invocation, .unexpectedResult, .local: .notANetworkError
        case .serviceNotFound, .methodNotFound, .ambiguousMethod, .noMatchingServiceOrMethod: .notANetworkError
        case .remote: Self.retryability(of: self.description)
        default: .unknown
        }
    }

    /// Services of other programs say only in words what happened.
    private static func retryability(of text: String) -> Retryability {
        if text.contains(ServerErrorText.fileNotFound) { return .notANetworkError }
        if ServerErrorText.networkErrors.contains(where: text.contains) { return .networkError }
        if ServerErrorText.queueErrors.contains(where: text.contains) { return .queueError }
        return .unknown
    }
}

extension DecodingError {
    /// Where and what, without the words of Swift.
    fileprivate var oneLine: String {
        switch self {
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
            .dataCorrupted(let context):
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            return path.isEmpty ? context.debugDescription : "\(path): \(context.debugDescription)"
        @unknown default: return "\(self)"
        }
    }
}
