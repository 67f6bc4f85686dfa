/// A peer broke the protocol, or went away: the connection cannot be used any longer.
///
/// `wireMessage` is the text upstream uses where it has one; peers and operators match on parts of it.
package struct WireError: Error, Hashable, CustomStringConvertible {
    /// What kind of damage it is.
    package struct Code: Hashable, Sendable {
        private enum Base { case closed, timeout, controlLine, identity, message, limit, dataStream, state }
        private let base: Base

        /// The connection ended: FIN, RST, close_notify and EOF without one are the same (halibut.md 2.8).
        package static let connectionClosed = Code(base: .closed)
        /// A read or write took too long; the connection is poisoned.
        package static let timeout = Code(base: .timeout)
        /// A control line that is none, or the wrong one.
        package static let controlLine = Code(base: .controlLine)
        /// The identity lines are wrong.
        package static let identity = Code(base: .identity)
        /// Bytes that do not inflate, or do not decode.
        package static let invalidMessage = Code(base: .message)
        /// One of ``HalibutLimits`` is exceeded.
        package static let limitExceeded = Code(base: .limit)
        /// A data stream does not match its message.
        package static let dataStream = Code(base: .dataStream)
        /// An event that the connection's state does not expect.
        package static let unexpectedEvent = Code(base: .state)
    }

    package var code: Code
    package var wireMessage: String

    package init(_ code: Code, _ wireMessage: String) {
        self.code = code
        self.wireMessage = wireMessage
    }

    package var description: String { self.wireMessage }
}

extension WireError {
    /// The connection ended inside something, or before anything came.
    package static let connectionClosed = WireError(
        .connectionClosed,
        "Attempted to read past the end of the stream: the remote party closed the connection."
    )

    @inline(never)
    static func unexpectedByte(_ byte: UInt8) -> WireError {
        let digits = String(byte, radix: 16, uppercase: true)
        let text = digits.utf8.count == 1 ? "0" + digits : digits
        return WireError(.controlLine, "Unexpected byte after '\\r' in control message: 0x\(text)")
    }

    @inline(never)
    static func expectedNextOrEnd(_ got: String) -> WireError {
        WireError(.controlLine, "Expected NEXT or END, got: \(got.boundedForMessage)")
    }

    @inline(never)
    static func expectedProceed(_ got: String) -> WireError {
        WireError(.controlLine, "Expected PROCEED, got: \(got.boundedForMessage)")
    }

    static let identityLineEmpty = WireError(
        .identity,
        "Unable to receive the remote identity; the identity line was empty."
    )
    static let identityFollowedByText = WireError(
        .identity,
        "Unable to receive the remote identity; the following line was not empty."
    )
    static let subscriberWithoutURI = WireError(
        .identity,
        "Unable to receive the remote identity; the client identified as a subscriber, but did not supply a subscription ID."
    )
    static let unexpectedServerIdentity = WireError(.identity, "Unexpected remote identity: Server")

    @inline(never)
    static func unknownIdentity(_ word: String) -> WireError {
        WireError(
            .identity,
            "Unable to process remote identity; unknown identity type: '\(word.boundedForMessage)'"
        )
    }

    @inline(never)
    static func notAServer(_ identity: RemoteIdentity) -> WireError {
        WireError(
            .identity,
            "Expected the remote endpoint to identity as a server. Instead, it identified as: \(identity.name)"
        )
    }

    @inline(never)
    package static func limit(_ text: String) -> WireError { WireError(.limitExceeded, text) }

    @inline(never)
    static func invalidMessage(_ text: String) -> WireError { WireError(.invalidMessage, text) }

    @inline(never)
    static func unexpected(_ event: String, in state: String) -> WireError {
        WireError(.unexpectedEvent, "Unexpected \(event) while \(state).")
    }

    /// A response that is `{"Message": null}` (halibut.md 5.4).
    package static let noResponse = WireError(
        .invalidMessage,
        "No response was received from the endpoint within the allowed time."
    )

    @inline(never)
    package static func responseForAnotherRequest(expected: String, got: String) -> WireError {
        WireError(
            .invalidMessage,
            "The response is for request '\(got.boundedForMessage)', but request '\(expected)' was sent."
        )
    }

    package static let unexpectedStream = WireError(.dataStream, "Unexpected stream!")
}

extension String {
    /// At most 200 characters, so that a peer cannot fill our log through an error text.
    package var boundedForMessage: String {
        self.utf8.count <= 200 ? self : String(self.prefix(200)) + "…"
    }
}
