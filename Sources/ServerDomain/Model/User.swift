package import FoundationEssentials

package struct User: Codable, Hashable, Sendable {
    package var id: String
    package var username: String
    package var displayName: String
    /// Nil for one who signs in with keys only.
    package var password: PasswordDigest?

    package init(id: String, username: String, displayName: String, password: PasswordDigest? = nil) {
        (self.id, self.username, self.displayName) = (id, username, displayName)
        self.password = password
    }
}

/// A password as it is stored: PBKDF2 with HMAC-SHA256, slow on purpose, for people choose passwords that can be guessed.
package struct PasswordDigest: Codable, Hashable, Sendable {
    package var iterations: Int
    package var salt: [UInt8]
    package var digest: [UInt8]

    package init(iterations: Int, salt: [UInt8], digest: [UInt8]) {
        (self.iterations, self.salt, self.digest) = (iterations, salt, digest)
    }
}

/// A key a client signs in with.
///
/// The key itself is never stored: it has 160 random bits, so that a plain digest is enough.
package struct APIKey: Codable, Hashable, Sendable {
    package var id: String
    package var userID: String
    package var purpose: String
    /// SHA-256 of the key's text, lower-case hexadecimal.
    package var digest: String
    /// The first characters, to tell keys apart in a list.
    package var hint: String
    package var created: Date
    package var expires: Date?

    package init(
        id: String,
        userID: String,
        purpose: String,
        digest: String,
        hint: String,
        created: Date,
        expires: Date? = nil
    ) {
        (self.id, self.userID, self.purpose, self.digest) = (id, userID, purpose, digest)
        (self.hint, self.created, self.expires) = (hint, created, expires)
    }

    package func isValid(at now: Date) -> Bool { expires.map { now < $0 } ?? true }

    /// Clients refuse keys of another shape before they send them (rest-api.md 1.1).
    package static func isWellFormed(_ text: String) -> Bool {
        text.hasPrefix("API-") && text.count > 4 && text.utf8.count <= 128
            && text.dropFirst(4).allSatisfy { $0.isASCII && ($0.isUppercase || $0.isNumber) }
    }
}
