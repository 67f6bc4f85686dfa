import HTTPTypes
import Hummingbird
import ServerDomain
import ServerStore
import Synchronization

/// Signing in with a user name and a password, and out again (rest-api.md 1.1, tentacle-cli.md 12.2).
struct SessionAPI: Sendable {
    static let forgeryHeader = HTTPField.Name("X-Octopus-Csrf-Token")
    /// No password is longer.
    private static let maximumPasswordBytes = 1024
    /// More sign-ins at once are turned away: each takes a good part of a second.
    private static let maximumWaiting = 8

    let services: ServerServices
    let sessions: UserSessions
    private let passwords = PasswordCheck()
    private let waiting = WaitingCount()

    init(services: ServerServices, sessions: UserSessions) { (self.services, self.sessions) = (services, sessions) }

    /// How many sign-ins are under way.
    private final class WaitingCount: Sendable {
        private let count = Mutex(0)

        func enter(atMost maximum: Int) -> Bool {
            count.withLock { count in
                guard count < maximum else { return false }
                count += 1
                return true
            }
        }

        func leave() { count.withLock { $0 -= 1 } }
    }

    func register(in routes: inout APIRoutes) {
        routes.system(.post, "users/login") { call in try await signIn(call) }
        routes.system(.post, "users/logout") { call in
            if let token = call.sessionToken { sessions.end(token) }
            return .session(.empty, cookies: cookies(.init(session: "", forgery: ""), isSecure: false, maximumAge: 0))
        }
    }

    private func signIn(_ call: APICall) async throws -> APIAnswer {
        let body = try call.body()
        guard let username = body.filled("Username"), let password = body.text("Password"), !password.isEmpty else {
            throw APIError.invalid("Please specify a Username and a Password.")
        }
        guard username.count <= NameRules.maximumLength, password.utf8.count <= Self.maximumPasswordBytes else {
            throw APIError.invalid("The Username or the Password is too long.")
        }
        guard waiting.enter(atMost: Self.maximumWaiting) else {
            throw APIError(.serviceUnavailable, "Too many sign-ins at once. Please try again in a few seconds.")
        }
        defer { waiting.leave() }
        let user = try await services.store.read { try $0.all(User.self, where: [("username", .text(username))]).first }
        switch try await passwords.check(password, of: username, against: user?.password) {
        case .right: break
        case .wrong:
            throw APIError(.unauthorized, "Invalid username or password. Users without a password use an API key.")
        case .tooSoon(let seconds):
            throw APIError(
                .forbidden,
                "Too many failed sign-ins of this user. Please try again in \(seconds) second(s)."
            )
        }
        guard let user else { throw APIError.unauthorized }
        // The client knows whether a proxy with TLS stands in front of us.
        let isSecure = body["State"]?.members?.flag("UsingSecureConnection") ?? false
        let tokens = sessions.begin(for: user)
        return .session(.json(SystemAPI.json(user)), cookies: cookies(tokens, isSecure: isSecure))
    }

    // MARK: Cookies

    /// Servers on several ports of one host share its cookies: each has names of its own.
    private var suffix: String { services.installationID }

    func token(of request: Request) -> String? { request.cookies["OctopusIdentificationToken_\(suffix)"]?.value }

    private func cookies(_ tokens: UserSessions.Tokens, isSecure: Bool, maximumAge: Int? = nil) -> [Cookie] {
        // The second has to be read by whoever sends it back as a header.
        [
            ("OctopusIdentificationToken_\(suffix)", tokens.session, true),
            ("Octopus-Csrf-Token_\(suffix)", tokens.forgery, false),
        ].map { name, value, isHidden in
            Cookie(
                name: name,
                value: value,
                maxAge: maximumAge,
                path: "/",
                secure: isSecure,
                httpOnly: isHidden,
                sameSite: .strict
            )
        }
    }

    /// The user of the session that a request belongs to; a change needs the second token, too.
    func user(of request: Request, method: HTTPRequest.Method) throws(APIError) -> User? {
        guard let token = token(of: request), let user = sessions.user(token) else { return nil }
        guard method != .get else { return user }
        let forgery = Self.forgeryHeader.flatMap { request.headers[$0] } ?? ""
        guard sessions.allowsChange(token, forgery: forgery) else {
            throw APIError(
                .forbidden,
                "A change needs the value of the cookie Octopus-Csrf-Token in the header X-Octopus-Csrf-Token."
            )
        }
        return user
    }
}
