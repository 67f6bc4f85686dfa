import Foundation
import ServerDomain
import Synchronization

/// Who is signed in to the pages: a random token in a cookie, kept in memory only.
final class PortalSessions: Sendable {
    static let cookieName = "TentacleServerSession"
    private static let lifetime: TimeInterval = 12 * 3600
    private static let maximumCount = 1000

    private struct Session {
        var user: User
        var expires: Date
    }

    private let sessions = Mutex<[String: Session]>([:])

    func begin(for user: User) -> String {
        let token = RandomText.lowercased(40)
        let now = Date()
        sessions.withLock { sessions in
            sessions = sessions.filter { $0.value.expires > now }
            if sessions.count >= Self.maximumCount,
                let oldest = sessions.min(by: { $0.value.expires < $1.value.expires })
            {
                sessions[oldest.key] = nil
            }
            sessions[Authentication.digest(token)] = Session(user: user, expires: now.addingTimeInterval(Self.lifetime))
        }
        return token
    }

    func user(_ token: String) -> User? {
        let key = Authentication.digest(token)
        return sessions.withLock { sessions in
            guard let session = sessions[key], session.expires > Date() else { return nil }
            return session.user
        }
    }

    func end(_ token: String) {
        let key = Authentication.digest(token)
        sessions.withLock { $0[key] = nil }
    }
}
