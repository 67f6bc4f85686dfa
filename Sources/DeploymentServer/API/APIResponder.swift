import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServerDomain
import ServerStore

/// Answers everything below `/api`: authentication, limits, routing, errors as JSON.
struct APIResponder: Sendable {
    /// Larger than any process or variable set in use.
    static let maximumBodyBytes = 4 * 1024 * 1024
    static let defaultSpaceID = "Spaces-1"

    private let services: ServerServices
    private let routes: APIRoutes
    private let session: SessionAPI
    private let logger: Logger

    init(services: ServerServices, sessions: UserSessions, logger: Logger) {
        (self.services, self.logger) = (services, logger)
        session = SessionAPI(services: services, sessions: sessions)
        var routes = APIRoutes()
        SystemAPI(services: services).register(in: &routes)
        session.register(in: &routes)
        EnvironmentAPI(services: services).register(in: &routes)
        ProjectAPI(services: services).register(in: &routes)
        ProcessAPI(services: services).register(in: &routes)
        ReleaseAPI(services: services).register(in: &routes)
        DeploymentAPI(services: services).register(in: &routes)
        TaskAPI(services: services).register(in: &routes)
        AgentAPI<DeploymentTarget>(services: services).registerTargets(in: &routes)
        AgentAPI<Worker>(services: services).registerWorkers(in: &routes)
        InfrastructureAPI(services: services).register(in: &routes)
        StubAPI().register(in: &routes)
        self.routes = routes
    }

    static func handles(_ path: String) -> Bool { APIPath(path, defaultSpaceID: defaultSpaceID) != nil }

    func respond(to request: Request) async -> Response {
        do {
            return try await answer(to: request).response
        } catch {
            if !(error is APIError) {
                logger.error("A request failed: \(error)", metadata: ["http.path": "\(request.uri.path)"])
            }
            let error = APIError(error)
            return APIAnswer.response(error.json, error.status)
        }
    }

    private func answer(to request: Request) async throws -> APIAnswer {
        guard let path = APIPath(request.uri.path, defaultSpaceID: Self.defaultSpaceID) else {
            throw APIError(.notFound, "Octopus API endpoint '\(request.uri.path)' not found")
        }
        let method = Self.method(of: request)
        let query = APIQuery(request.uri.query)
        let isRoot = path.scope == .system && path.segments.isEmpty && method == .get
        let isSignIn = path.segments.first == "users" && ["login", "logout"].contains(path.segments.last)
        // Neither the root nor signing in may fail for what the last session left behind.
        let user = isRoot || isSignIn ? nil : try await user(of: request, method: method, query: query)
        if user == nil, !isRoot, !isSignIn { throw APIError.unauthorized }
        switch routes.match(path, method: method) {
        case .none: throw APIError(.notFound, "Octopus API endpoint '\(request.uri.path)' not found")
        case .wrongMethod:
            throw APIError(.methodNotAllowed, "The method \(method) is not supported by '\(request.uri.path)'.")
        case .route(let handler, let parameters):
            let call = APICall(
                path: request.uri.path,
                query: query,
                parameters: parameters,
                spaceID: try await spaceID(path.scope),
                signedIn: user,
                sessionToken: session.token(of: request),
                content: try await content(of: request)
            )
            return try await handler(call)
        }
    }

    /// N sends PUT and DELETE as POST with this header.
    private static func method(of request: Request) -> HTTPRequest.Method {
        guard request.method == .post, let name = HTTPField.Name("X-HTTP-Method-Override"),
            let override = request.headers[name], let method = HTTPRequest.Method(override.uppercased())
        else { return request.method == .head ? .get : request.method }
        return method
    }

    private func user(of request: Request, method: HTTPRequest.Method, query: APIQuery) async throws -> User? {
        guard let key = Authentication.key(in: request.headers) ?? query["apikey"] else {
            return try session.user(of: request, method: method)
        }
        return try await Authentication.user(forKey: key, in: services.store)
    }

    private func spaceID(_ scope: APIPath.Scope) async throws -> String {
        guard case .space(let id) = scope else { return Self.defaultSpaceID }
        guard let space = try await services.store.read({ try $0.find(Space.self, id: id) }) else {
            throw APIError.notFound(id)
        }
        return space.id
    }

    private func content(of request: Request) async throws -> JSONValue? {
        let bytes: [UInt8]
        do {
            bytes = Array(buffer: try await request.body.collect(upTo: Self.maximumBodyBytes))
        } catch is NIOTooManyBytesError {
            let limit = Self.maximumBodyBytes / 1024 / 1024
            throw APIError(.contentTooLarge, "The request body is larger than \(limit) MB.")
        }
        guard !bytes.isEmpty else { return nil }
        do {
            return try JSONValue(parsing: bytes)
        } catch {
            throw APIError.invalid("The request body is not valid JSON: \(error).")
        }
    }
}
