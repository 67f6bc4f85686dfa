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
}

extension ServerError {
    /// What a dispatcher's error looks like on the wire (halibut.md 8.3).
    init(_ error: any Error) {
        switch error {
        case let error as RPCServiceNotFound: self.init(error)
        case let error as RPCMethodNotFound:
            self.init(
                typeName: ServerErrorText.methodNotFound,
                message: "Method \(error.service)::\(error.method)Async not found"
            )
        case let error as RPCAmbiguousMethod:
            self.init(typeName: ServerErrorText.ambiguousMethod, message: error.wireMessage)
        case let error as RPCServiceError: self.init(executing: error.typeName, message: error.message)
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
    init(_ error: ServerError) {
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
        ServerErrorText.noMatchingServiceOrMethod: .methodNotFound,
        ServerErrorText.serviceInvocation: .invocation,
    ]
}
