/// Why the server did not do what was asked; `message` is for the operator.
package struct OctopusError: Error, Equatable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        case invalidAddress
        /// No answer after all the tries.
        case unreachable
        case tls
        /// 401 and 403.
        case security
        case notFound
        /// 400 and 409.
        case validation
        /// Any other status.
        case server
        /// An answer that is not what the API answers: a web page, or JSON of another kind.
        case unreadable
        /// The request cannot be meant so: unknown environment, name taken, …
        case refused
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}
