import FoundationEssentials

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// Why a call failed, or a service cannot run.
public struct HalibutError: Error, CustomStringConvertible, Sendable {
    /// What kind of failure it is; more may come.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        let name: String

        /// The connection could not be made, broke, or the peer broke the protocol.
        public static let network = Code(name: "network")
        /// The peer's certificate is not the expected one.
        ///
        /// Never retried.
        public static let unexpectedCertificate = Code(name: "unexpectedCertificate")
        /// The HTTP proxy does not let us through, or its settings are wrong.
        ///
        /// Never retried; a proxy that cannot reach the endpoint just now counts as the network.
        public static let proxy = Code(name: "proxy")
        /// A polling service did not collect the request in time.
        public static let pickupTimeout = Code(name: "pickupTimeout")
        /// The caller cancelled.
        public static let cancelled = Code(name: "cancelled")
        /// The service executed the call and failed.
        public static let invocation = Code(name: "invocation")
        /// Nothing of this name is offered there.
        public static let serviceNotFound = Code(name: "serviceNotFound")
        /// The service has no method of this name.
        public static let methodNotFound = Code(name: "methodNotFound")
        /// No overload fits the arguments, or several do.
        public static let ambiguousMethod = Code(name: "ambiguousMethod")
        /// One of these three; the service does not say which.
        public static let noMatchingServiceOrMethod = Code(name: "noMatchingServiceOrMethod")
        /// The service answered with a value of another type than the caller expects.
        public static let unexpectedResult = Code(name: "unexpectedResult")
        /// Another error of the service.
        public static let remote = Code(name: "remote")
        /// Something on this side: a bad address, a file, a port in use.
        public static let local = Code(name: "local")
        /// Another program has the port that we are to listen on.
        public static let portInUse = Code(name: "portInUse")

        public var description: String { self.name }
    }

    /// How far the call had come.
    public enum Phase: Hashable, Sendable {
        /// Nothing was sent: it cannot have been executed.
        case connecting
        /// It may have been executed.
        case transferring
    }

    /// What kind of failure it is.
    public var code: Code
    /// Whether the call can have been executed.
    public var phase: Phase
    /// One line, or the service's own text.
    public var message: String
    /// The service's full text, where a service answered.
    public var serverDetails: String?

    package init(_ code: Code, _ message: String, phase: Phase = .connecting, serverDetails: String? = nil) {
        self.code = code
        self.phase = phase
        self.message = message
        self.serverDetails = serverDetails
    }

    /// The text shown to users (halibut.md 8.4).
    public var description: String {
        guard let serverDetails else { return self.message }
        return "\(self.message)\n\nServer exception: \n\(serverDetails)"
    }

    /// What a failure says about making the same call again.
    public enum Retryability: Hashable, Sendable {
        /// The service ran and failed, or is not there: the next try will end like this one.
        case notANetworkError
        /// The connection's fault.
        case networkError
        /// The fault of a queue shared by several nodes.
        case queueError
        /// Cannot be told; worth a try.
        case unknown
    }

    /// Whether the network, or a service that does not collect its calls, is to blame.
    public var isNetworkError: Bool { self.retryability == .networkError || self.code == .pickupTimeout }
}

extension HalibutError {
    @inline(never)
    static func invalidEndPoint(_ text: String) -> HalibutError {
        HalibutError(.local, "'\(text)' is not an address: use https://host:port/ or poll://subscription/.")
    }

    @inline(never)
    static func unknownEndPointType(_ scheme: String) -> HalibutError {
        HalibutError(.local, "Unknown endpoint type: \(scheme)")
    }

    @inline(never)
    static func file(_ verb: String, _ path: String, _ error: CInt) -> HalibutError {
        HalibutError(.local, "Could not \(verb) '\(path)': \(ErrorNumber.text(error)).")
    }

    @inline(never)
    static func streamTooLargeToRead(id: UUID, length: Int64, limit: Int) -> HalibutError {
        HalibutError(.local, "Data stream \(id) has \(length) bytes, more than the \(limit) to be read into memory.")
    }

    /// Upstream's text (halibut.md 6.6).
    static let streamWasReceived = HalibutError(
        .local,
        "This stream has already been received once, and it cannot be read again."
    )

    @inline(never)
    static func unannouncedStream(_ id: UUID) -> HalibutError {
        HalibutError(.local, "Data stream \(id) was handed over but stands in no argument, or the other way round.")
    }
}

/// Texts of system errors.
enum ErrorNumber {
    static func text(_ number: CInt) -> String {
        guard let text = strerror(number) else { return "error \(number)" }
        return String(cString: text)
    }
}
