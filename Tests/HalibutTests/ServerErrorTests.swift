import BSON
import Halibut
import HalibutProtocol
import Testing

@Suite("Error responses, both ways")
struct ServerErrorTests {
    private static let invocation =
        "System.Reflection.TargetInvocationException: Exception has been thrown by the target of an invocation."
    private static let exceptions = "Halibut.Exceptions."

    private struct Plain: Error, CustomStringConvertible { let description = "it broke" }

    private struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let error: any Error
        let message: String
        let details: String
        let type: String?
        let code: HalibutError.Code
        let retryability: HalibutError.Retryability

        init(
            _ name: String,
            _ error: any Error,
            message: String,
            details: String,
            type: String? = nil,
            code: HalibutError.Code,
            retryability: HalibutError.Retryability = .notANetworkError
        ) {
            self.testDescription = name
            self.error = error
            self.message = message
            self.details = details
            self.type = type
            self.code = code
            self.retryability = retryability
        }
    }

    private static let several = """
        More than one possible match for the requested service method was found given the argument types. The matches were:
         - String Over(String)
         - String Over(Guid)
        The request arguments were:
        String, Int64, <null>

        """
    private static let none = """
        Could not decide which candidate to call out of the following methods:
         - String Over(String)
        The request arguments were:
        Double

        """

    private static let rows: [Row] = [
        Row(
            "service unknown",
            RPCServiceNotFound(service: "IFoo"),
            message: "Service not found: IFoo",
            details: """
                Halibut.Exceptions.ServiceNotFoundHalibutClientException: Service not found: IFoo
                Octopus.Tentacle.Communications.UnknownServiceNameException: Error: IFoo has not been registered through an IAutofacServiceSource
                """,
            type: "Halibut.Exceptions.ServiceNotFoundHalibutClientException",
            code: .serviceNotFound
        ),
        Row(
            "method unknown",
            RPCMethodNotFound(service: "Some.Namespace.Foo", method: "Bar"),
            message: "Method Some.Namespace.Foo::BarAsync not found",
            details:
                "Halibut.Exceptions.MethodNotFoundHalibutClientException: Method Some.Namespace.Foo::BarAsync not found",
            type: "Halibut.Exceptions.MethodNotFoundHalibutClientException",
            code: .methodNotFound
        ),
        Row(
            "several overloads",
            RPCAmbiguousMethod(
                candidates: ["String Over(String)", "String Over(Guid)"],
                argumentTypes: ["String", "Int64", "<null>"],
                severalFit: true
            ),
            message: several,
            details: "Halibut.Exceptions.AmbiguousMethodMatchHalibutClientException: \(several)",
            type: "Halibut.Exceptions.AmbiguousMethodMatchHalibutClientException",
            code: .ambiguousMethod
        ),
        Row(
            "no overload",
            RPCAmbiguousMethod(candidates: ["String Over(String)"], argumentTypes: ["Double"]),
            message: none,
            details: "Halibut.Exceptions.AmbiguousMethodMatchHalibutClientException: \(none)",
            type: "Halibut.Exceptions.AmbiguousMethodMatchHalibutClientException",
            code: .ambiguousMethod
        ),
        Row(
            "stopping",
            RPCShuttingDown(),
            message: "The Tentacle service is shutting down and cannot process this request.",
            details:
                "System.Exception: The Tentacle service is shutting down and cannot process this request.",
            code: .remote,
            retryability: .unknown
        ),
        Row(
            "the service's code threw",
            RPCServiceError("Attempted to divide by zero.", typeName: "System.DivideByZeroException"),
            message: "Attempted to divide by zero.",
            details: "\(invocation)\n ---> System.DivideByZeroException: Attempted to divide by zero.",
            code: .invocation
        ),
        Row(
            "the service's code threw something of ours",
            Plain(),
            message: "it broke",
            details: "\(invocation)\n ---> System.Exception: it broke",
            code: .invocation
        ),
        Row(
            "the service's code was cancelled",
            CancellationError(),
            message: "The operation was canceled.",
            details: "\(invocation)\n ---> System.OperationCanceledException: The operation was canceled.",
            code: .invocation
        ),
        Row(
            "an argument that does not decode",
            DecodingError.dataCorrupted(.init(codingPath: [Key("Files"), Key("0")], debugDescription: "No GUID.")),
            message: "Files.0: No GUID.",
            details: "\(invocation)\n ---> Newtonsoft.Json.JsonSerializationException: Files.0: No GUID.",
            code: .invocation
        ),
    ]

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ text: String) { self.stringValue = text }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    @Test("what a service's failure looks like on the wire, and what a client makes of it", arguments: rows)
    private func row(_ row: Row) throws {
        let error = ServerError(row.error)
        #expect(error == ServerError(message: row.message, details: row.details, halibutErrorType: row.type))
        let sent = ResponseMessage(id: "1", outcome: .error(error))
        #expect(try ResponseMessage(sent.document) == sent)
        let received = HalibutError(error)
        #expect(received.code == row.code)
        #expect(received.retryability == row.retryability)
        #expect(received.phase == .transferring)
        #expect(received.message == row.message)
        #expect(received.description == "\(row.message)\n\nServer exception: \n\(row.details)")
    }

    @Test("an error that a service got from a service of its own is the service's failure, without a type")
    func nested() {
        let inner = HalibutError(ServerError(RPCServiceError("inner")))
        let error = ServerError(inner)
        #expect(error.halibutErrorType == nil)
        #expect(error.details.hasPrefix(Self.invocation))
        #expect(HalibutError(error).code == .invocation)
    }

    @Test(
        "the rules of classification, in their order",
        arguments: [
            // 1: the type decides, where it is one of the known ones.
            ("Service not found: IFoo", "", exceptions + "MethodNotFoundHalibutClientException", .methodNotFound),
            ("x", "", exceptions + "ServiceNotFoundHalibutClientException", .serviceNotFound),
            ("x", "", exceptions + "AmbiguousMethodMatchHalibutClientException", .ambiguousMethod),
            (
                "x", "", exceptions + "NoMatchingServiceOrMethodHalibutClientException", .noMatchingServiceOrMethod
            ),
            ("x", "", exceptions + "ServiceInvocationHalibutClientException", .invocation),
            ("x", "", exceptions + "ConnectingRequestCancelledException", .cancelled),
            ("x", "", exceptions + "TransferringRequestCancelledException", .cancelled),
            // Not resolvable, or no better than nothing: the next rules decide.
            ("Service not found: IFoo", "", "Halibut.HalibutClientException", .serviceNotFound),
            ("Service not found: IFoo", "", "Some.Other.Exception", .serviceNotFound),
            ("Service not found: IFoo", "", "", .serviceNotFound),
            // 2 before 3 before 4 before 5.
            ("Service not found: IFoo not found", invocation, nil, .serviceNotFound),
            ("Service IFoo::Bar not found", invocation, nil, .methodNotFound),
            ("service IFoo::Bar not found", invocation, nil, .invocation),
            ("x", "System.Reflection.AmbiguousMatchException: \(invocation)", nil, .ambiguousMethod),
            ("x", "\(invocation)\r\n ---> System.Exception: x", nil, .invocation),
            ("x", " \(invocation)", nil, .remote),
            // A real agent that does not know the service.
            (
                "Error: IFoo has not been registered through an IAutofacServiceSource",
                "Octopus.Tentacle.Communications.UnknownServiceNameException: Error: IFoo has not been registered",
                nil, .remote
            ),
            // 6, and what is missing falls through to it.
            ("x", "y", nil, .remote), (nil, nil, nil, .remote), (nil, invocation, nil, .invocation),
        ] as [(String?, String?, String?, HalibutError.Code)]
    )
    func classification(_ message: String?, _ details: String?, _ type: String?, _ code: HalibutError.Code) throws {
        func value(_ text: String?) -> BSONValue { text.map(BSONValue.string) ?? .null }
        let response = try ResponseMessage([
            "id": "1", "result": nil,
            "error": [
                "message": value(message), "details": value(details), "HalibutErrorType": value(type), "New": ["x"],
            ],
        ])
        guard case .error(let error) = response.outcome else {
            Issue.record("not an error: \(response)")
            return
        }
        #expect(HalibutError(error).code == code)
        #expect(HalibutError(error).message == message ?? "")
    }

    @Test(
        "whether to try again, for errors that say only in words what happened",
        arguments: [
            ("x ---> System.IO.FileNotFoundException: gone", .notANetworkError),
            // What is missing stays missing, whatever else happened.
            ("System.IO.EndOfStreamException System.IO.FileNotFoundException", .notANetworkError),
            ("System.IO.EndOfStreamException: Attempted to read past the end of the stream.", .networkError),
            ("System.Net.Sockets.SocketException (110): Connection timed out", .networkError),
            ("An existing connection was forcibly closed by the remote host.", .networkError),
            (
                "The I/O operation has been aborted because of either a thread exit or an application request.",
                .networkError
            ),
            ("Unable to read data from the transport connection: Operation timed out.", .networkError),
            ("Unable to write data to the transport connection: Operation timed out.", .networkError),
            (
                "The remote party closed the WebSocket connection without completing the close handshake.",
                .networkError
            ),
            (
                "The request was abandoned, possibly because the node processing the request shutdown or redis lost all of its data.",
                .queueError
            ),
            ("The node did not send a heartbeat for long enough, and so it is gone", .queueError),
            ("Error occured when reading data from the queue", .queueError),
            ("An error occured when preparing request for queue", .queueError),
            ("something else", .unknown),
        ] as [(String, HalibutError.Retryability)]
    )
    func words(_ text: String, _ expected: HalibutError.Retryability) {
        #expect(HalibutError(ServerError(message: text, details: "")).retryability == expected)
        #expect(HalibutError(ServerError(message: "x", details: text)).retryability == expected)
        // The same words from a service that ran and failed mean nothing.
        let invoked = ServerError(message: text, details: Self.invocation)
        #expect(HalibutError(invoked).retryability == .notANetworkError)
    }

    @Test(
        "whether to try again, for errors of our own",
        arguments: [
            (.network, .networkError), (.unexpectedCertificate, .notANetworkError), (.local, .notANetworkError),
            (.pickupTimeout, .unknown), (.cancelled, .unknown), (.invocation, .notANetworkError),
            (.noMatchingServiceOrMethod, .notANetworkError), (.unexpectedResult, .notANetworkError),
        ] as [(HalibutError.Code, HalibutError.Retryability)]
    )
    func codes(_ code: HalibutError.Code, _ expected: HalibutError.Retryability) {
        #expect(HalibutError(code, "x").retryability == expected)
    }
}
