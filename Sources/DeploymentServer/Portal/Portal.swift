import Foundation
import HTTPTypes
import Hummingbird
import Logging
import Mustache
import ServerDomain
import ServerStore

/// The pages for people: recent tasks and machines, and one page a task with its live log.
struct Portal: Sendable {
    private static let maximumFormBytes = 4096
    private static let shownTasks = 50
    private static let cookieName = "TentacleServerSession"

    private let services: ServerServices
    private let logger: Logger
    private let sessions: UserSessions
    private let login: MustacheTemplate
    private let index: MustacheTemplate
    private let task: MustacheTemplate

    init(services: ServerServices, sessions: UserSessions, logger: Logger) throws {
        (self.services, self.sessions, self.logger) = (services, sessions, logger)
        login = try PortalAssets.login()
        index = try PortalAssets.index()
        task = try PortalAssets.task()
    }

    func respond(to request: Request) async -> Response {
        do {
            var response = try await answer(to: request)
            response.headers[.contentSecurityPolicy] = PortalAssets.contentSecurityPolicy
            response.headers[.xContentTypeOptions] = "nosniff"
            if let name = HTTPField.Name("Referrer-Policy") { response.headers[name] = "no-referrer" }
            return response
        } catch {
            logger.error("A page failed: \(error)", metadata: ["http.path": "\(request.uri.path)"])
            return Self.text(
                "The page cannot be shown: the server has a problem; see its log.\n",
                status: .internalServerError
            )
        }
    }

    private func answer(to request: Request) async throws -> Response {
        let segments = request.uri.path.split(separator: "/").map(String.init)
        switch (request.method, segments.count, segments.first ?? "") {
        case (.get, 1, "portal.css"): return Self.file(PortalAssets.css, "text/css; charset=utf-8")
        case (.get, 1, "portal.js"): return Self.file(PortalAssets.javaScript, "text/javascript; charset=utf-8")
        case (.get, 1, "login"): return loginPage(next: APIQuery(request.uri.query)["next"])
        case (.post, 1, "login"): return try await signIn(request)
        case (.post, 1, "logout"): return signOut(request)
        case (.get, _, _): break
        default: return Self.text("Not found.\n", status: .notFound)
        }
        guard let user = try await user(of: request) else { return redirectToLogin(request) }
        switch (segments.count, segments.first ?? "", segments.last ?? "") {
        case (0, _, _): return try await indexPage(user)
        case (1, "app", _): return Self.redirect("/")
        case (2, "tasks", _): return try await taskPage(segments[1], user)
        case (3, "tasks", "events"): return try await events(segments[1], request)
        case (3, "tasks", "log"): return try await rawLog(segments[1])
        default: return Self.text("Not found.\n", status: .notFound)
        }
    }

    // MARK: Signing in

    /// By the session's cookie, or by an API key like the API.
    private func user(of request: Request) async throws -> User? {
        if let token = Self.token(of: request), let user = sessions.user(token) { return user }
        guard let key = Authentication.key(in: request.headers) else { return nil }
        return try await Authentication.user(forKey: key, in: services.store)
    }

    private static func token(of request: Request) -> String? { request.cookies[Self.cookieName]?.value }

    private func loginPage(next: String?, problem: String? = nil, status: HTTPResponse.Status = .ok) -> Response {
        var context = ["title": "Sign in", "next": Self.localPath(next)]
        context["problem"] = problem
        return html(login, context, status: status)
    }

    private func signIn(_ request: Request) async throws -> Response {
        guard let body = try? await request.body.collect(upTo: Self.maximumFormBytes) else {
            return loginPage(next: nil, problem: "The form is too large.", status: .contentTooLarge)
        }
        let form = APIQuery(String(buffer: body))
        let key = form["apikey"]?.trimmingSpaces ?? ""
        guard let user = try await Authentication.user(forKey: key, in: services.store) else {
            return loginPage(next: form["next"], problem: "That is not a valid API key.", status: .unauthorized)
        }
        var response = Self.redirect(Self.localPath(form["next"]))
        response.setCookie(cookie(sessions.begin(for: user).session))
        return response
    }

    private func signOut(_ request: Request) -> Response {
        if let token = Self.token(of: request) { sessions.end(token) }
        var response = Self.redirect("/login")
        response.setCookie(cookie("", maximumAge: 0))
        return response
    }

    private func cookie(_ value: String, maximumAge: Int? = nil) -> Cookie {
        Cookie(
            name: Self.cookieName,
            value: value,
            maxAge: maximumAge,
            path: "/",
            secure: false,
            httpOnly: true,
            sameSite: .strict
        )
    }

    private func redirectToLogin(_ request: Request) -> Response {
        // A program following the events gets a plain refusal instead of a page.
        if request.headers[.accept]?.contains("text/event-stream") == true {
            return Self.text("Sign in first, or send an API key.\n", status: .unauthorized)
        }
        let path = request.uri.path
        return Self.redirect(path == "/" ? "/login" : "/login?next=\(path)")
    }

    /// Only a path of our own is a place to go to after signing in.
    private static func localPath(_ text: String?) -> String {
        guard let text, text.hasPrefix("/"), !text.hasPrefix("//"), !text.contains("\\"),
            text.unicodeScalars.allSatisfy({ $0.isASCII && $0.value > 0x20 })
        else { return "/" }
        return text
    }

    // MARK: Pages

    private func indexPage(_ user: User) async throws -> Response {
        let (tasks, machines, environments) = try await services.store.read { tx in
            (
                try tx.all(ServerTask.self, newestFirst: true, limit: Self.shownTasks),
                try tx.all(DeploymentTarget.self),
                try tx.all(DeploymentEnvironment.self)
            )
        }
        let names = Dictionary(environments.map { ($0.id, $0.name) }, uniquingKeysWith: { first, _ in first })
        let context: [String: Any] = [
            "title": "tentacle-server", "user": user.username,
            "tasks": tasks.map(Self.context),
            "machines": machines.map { machine in
                [
                    "name": machine.name, "uri": machine.endpoint.uri, "health": machine.health.rawValue,
                    "summary": machine.healthSummary, "roles": machine.roles.joined(separator: ", "),
                    "environments": machine.environmentIDs.map { names[$0] ?? $0 }.joined(separator: ", "),
                ]
            },
        ]
        return html(index, context)
    }

    private func find(_ id: String) async throws -> ServerTask? {
        try await services.store.read { try $0.find(ServerTask.self, id: id) }
    }

    private func taskPage(_ id: String, _ user: User) async throws -> Response {
        guard let found = try await find(id) else { return Self.text("There is no such task.\n", status: .notFound) }
        var context: [String: Any] = Self.context(found)
        context["title"] = found.description
        context["user"] = user.username
        context["error"] = found.errorMessage
        context["script"] = true
        return html(task, context)
    }

    private func events(_ id: String, _ request: Request) async throws -> Response {
        guard let found = try await find(id) else { return Self.text("There is no such task.\n", status: .notFound) }
        let last = HTTPField.Name("Last-Event-ID").flatMap { request.headers[$0] }.flatMap { Int64($0) } ?? 0
        return TaskEvents(store: services.store, hub: services.runner.hub, taskID: found.id, after: max(0, last))
            .response()
    }

    private func rawLog(_ id: String) async throws -> Response {
        guard let found = try await find(id) else { return Self.text("There is no such task.\n", status: .notFound) }
        let (nodes, entries) = try await services.store.read { tx in
            (try tx.nodes(taskID: found.id), try tx.log(taskID: found.id, after: 0, limit: Int.max))
        }
        return Self.text(RawLog.text(found, nodes: nodes, entries: entries), status: .ok)
    }

    private static func context(_ task: ServerTask) -> [String: String] {
        [
            "id": task.id, "description": task.description, "state": task.state.rawValue,
            "queued": String(WireTime.text(task.queueTime).prefix(19)).replacing("T", with: " ") + " UTC",
            "duration": task.durationText,
        ]
    }

    // MARK: Answers

    private func html(
        _ template: MustacheTemplate,
        _ context: [String: Any],
        status: HTTPResponse.Status = .ok
    ) -> Response {
        var response = Self.file(template.render(context), "text/html; charset=utf-8")
        response.status = status
        return response
    }

    private static func file(_ text: String, _ type: String) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }

    private static func text(_ text: String, status: HTTPResponse.Status) -> Response {
        var response = file(text, "text/plain; charset=utf-8")
        response.status = status
        return response
    }

    private static func redirect(_ path: String) -> Response {
        Response(status: .seeOther, headers: [.location: path, .contentLength: "0"])
    }
}
