package import Hummingbird
package import Logging

/// The HTTP side, without a port: the API below `/api`, the pages elsewhere.
package struct HTTPEntrance: Sendable {
    private let api: APIResponder
    private let portal: Portal

    package init(services: ServerServices, logger: Logger) throws {
        let sessions = UserSessions()
        api = APIResponder(services: services, sessions: sessions, logger: logger)
        portal = try Portal(services: services, sessions: sessions, logger: logger)
    }

    package func respond(to request: Request) async -> Response {
        if APIResponder.handles(request.uri.path) { return await api.respond(to: request) }
        return await portal.respond(to: request)
    }
}
