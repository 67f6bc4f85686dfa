import Foundation
import ServerDomain
import Synchronization

/// Who is signed in with a cookie, to the pages or to the API: random tokens, kept in memory only.
final class UserSessions: Sendable {
    /// What a session starts with; kept by the client only, here are digests.
    struct Tokens: Sendable {
        /// Names the session.
        var session: String
        /// Has to come with every change as a header, too, which another site's page cannot send (rest-api.md 1.1).
        var forgery: String
    }

    private static let lifetime: TimeInterval = 12 * 3600
    private static let maximumCount = 1000

    private struct Session {
        var user: User
        var forgeryDigest: String
        var expires: Date
    }

    private let sessions = Mutex<[String: Session]>([:])

    func begin(for user: User) -> Tokens {
        let tokens = Tokens(session: RandomText.lowercased(40), forgery: RandomText.lowercased(40))
        let now = Date()
        let session = Session(
            user: user,
            forgeryDigest: Authentication.digest(tokens.forgery),
            expires: now.addingTimeInterval(Self.lifetime)
        )
        sessions.withLock { sessions in
            sessions = sessions.filter { $0.value.expires > now }
            if sessions.count >= Self.maximumCount,
                let oldest = sessions.min(by: { $0.value.expires < $1.value.expires })
            {
                sessions[oldest.key] = nil
            }
            sessions[Authentication.digest(tokens.session)] = session
        }
        return tokens
    }

    func user(_ token: String) -> User? { session(token)?.user }

    /// Whether the second token is the one that the session began with.
    func allowsChange(_ token: String, forgery: String) -> Bool {
        // Digests are compared: how long that takes tells nothing about the token.
        session(token)?.forgeryDigest == Authentication.digest(forgery)
    }

    private func session(_ token: String) -> Session? {
        let key = Authentication.digest(token)
        return sessions.withLock { sessions in
            guard let session = sessions[key], session.expires > Date() else { return nil }
            return session
        }
    }

    func end(_ token: String) {
        let key = Authentication.digest(token)
        sessions.withLock { $0[key] = nil }
    }
}
