import Foundation
import HTTPTypes
import Hummingbird
import SecureTransport
package import ServerDomain
package import ServerStore

/// API keys: made once, stored as a digest, presented with every request (rest-api.md 1.1).
package enum Authentication {
    private static let keyLength = 32

    /// Makes a key for a user; its text exists only in the result.
    package static func makeKey(
        for userID: String,
        purpose: String,
        in tx: StoreTransaction
    ) throws -> (key: APIKey, text: String) {
        let text = "API-\(RandomText.uppercased(keyLength))"
        let key = APIKey(
            id: try tx.nextID(APIKey.self),
            userID: userID,
            purpose: purpose,
            digest: digest(text),
            hint: String(text.prefix(6)),
            created: Date()
        )
        try tx.insert(key)
        return (key, text)
    }

    static func digest(_ text: String) -> String {
        Cryptography.sha256(Array(text.utf8)).map { byte in
            let hexadecimal = String(byte, radix: 16)
            return hexadecimal.count == 1 ? "0" + hexadecimal : hexadecimal
        }
        .joined()
    }

    /// The user a key belongs to; nil for a key that is unknown, over, or not one at all.
    package static func user(forKey text: String, in store: Store) async throws -> User? {
        guard APIKey.isWellFormed(text) else { return nil }
        let digest = digest(text)
        return try await store.read { tx in
            guard let key = try tx.all(APIKey.self, where: [("digest", .text(digest))]).first, key.isValid(at: Date())
            else {
                return nil
            }
            return try tx.find(User.self, id: key.userID)
        }
    }

    /// The key in a request's headers, if there is one.
    static func key(in headers: HTTPFields) -> String? {
        if let name = HTTPField.Name("X-Octopus-ApiKey"), let key = headers[name] { return key }
        guard let authorization = headers[.authorization], authorization.lowercased().hasPrefix("bearer ") else {
            return nil
        }
        return authorization.dropFirst(7).trimmingSpaces
    }
}
