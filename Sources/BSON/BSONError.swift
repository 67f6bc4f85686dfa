/// Why bytes were not a document, or a value could not be turned into bytes.
///
/// `message` is the wording of Json.NET where it has one (halibut.md 6.1); `offset` tells where in the document.
package struct BSONError: Error, Hashable, CustomStringConvertible {
    /// What kind of failure this is.
    package struct Code: Hashable, Sendable {
        private enum Base { case truncated, malformed, unsupportedElement, limitExceeded, notEncodable }
        private let base: Base

        /// The bytes end before the document does.
        package static let truncated = Code(base: .truncated)
        /// A size, terminator or payload contradicts another.
        package static let malformed = Code(base: .malformed)
        /// An element type outside the subset of halibut.md 6.1.
        package static let unsupportedElement = Code(base: .unsupportedElement)
        /// One of ``BSONLimits`` is exceeded.
        package static let limitExceeded = Code(base: .limitExceeded)
        /// A value has no BSON form: a NUL in a key, a document over 2 GiB.
        package static let notEncodable = Code(base: .notEncodable)
    }

    package var code: Code
    /// The position in the document at which the failure was seen.
    package var offset: Int
    package var message: String

    package init(_ code: Code, at offset: Int, _ message: String) {
        self.code = code
        self.offset = offset
        self.message = message
    }

    package var description: String { "\(self.message) (BSON byte \(self.offset))" }
}

/// What a document may cost us before we know its sender's intent (STYLE.md C6).
package struct BSONLimits: Hashable, Sendable {
    /// Bytes of a whole document: 256 MiB, as halibut.md 5.3 suggests.
    package static let defaultMaximumDocumentBytes = 256 * 1024 * 1024
    /// Containers inside each other, the root counted: Json.NET's `MaxDepth`.
    package static let defaultMaximumDepth = 64
    /// Bytes of one string or binary value: no script body or log line comes near 64 MiB.
    package static let defaultMaximumValueBytes = 64 * 1024 * 1024
    /// Bytes of memory that a document's values take, keys and text included.
    ///
    /// A null costs 2 bytes on the wire and 24 in memory, so the size of the document says little. 384 MiB hold the
    /// largest document as long texts, or a log of a million lines.
    package static let defaultMaximumMemoryBytes = 384 * 1024 * 1024

    package var maximumDocumentBytes: Int
    package var maximumDepth: Int
    package var maximumValueBytes: Int
    package var maximumMemoryBytes: Int

    package init(
        maximumDocumentBytes: Int = Self.defaultMaximumDocumentBytes,
        maximumDepth: Int = Self.defaultMaximumDepth,
        maximumValueBytes: Int = Self.defaultMaximumValueBytes,
        maximumMemoryBytes: Int = Self.defaultMaximumMemoryBytes
    ) {
        self.maximumDocumentBytes = maximumDocumentBytes
        self.maximumDepth = maximumDepth
        self.maximumValueBytes = maximumValueBytes
        self.maximumMemoryBytes = maximumMemoryBytes
    }

    /// The limits above.
    package static let `default` = BSONLimits()
}
