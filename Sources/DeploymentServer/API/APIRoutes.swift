import Foundation
import HTTPTypes
import ServerDomain

typealias APIHandler = @Sendable (APICall) async throws -> APIAnswer

/// The table of routes; a pattern's `:name` takes one segment, literal segments win over it.
struct APIRoutes: Sendable {
    private struct Route: Sendable {
        var isSystem: Bool
        var method: HTTPRequest.Method
        var pattern: [String]
        var handler: APIHandler
    }

    enum Match {
        case route(APIHandler, parameters: [String: String])
        case wrongMethod(allowed: [HTTPRequest.Method])
        case none
    }

    private var routes: [Route] = []

    mutating func system(_ method: HTTPRequest.Method, _ pattern: String, _ handler: @escaping APIHandler) {
        add(true, method, pattern, handler)
    }

    mutating func space(_ method: HTTPRequest.Method, _ pattern: String, _ handler: @escaping APIHandler) {
        add(false, method, pattern, handler)
    }

    private mutating func add(
        _ isSystem: Bool,
        _ method: HTTPRequest.Method,
        _ pattern: String,
        _ handler: @escaping APIHandler
    ) {
        let segments = pattern.split(separator: "/").map(String.init)
        routes.append(Route(isSystem: isSystem, method: method, pattern: segments, handler: handler))
    }

    func match(_ path: APIPath, method: HTTPRequest.Method) -> Match {
        let candidates = routes.compactMap { route -> (route: Route, parameters: [String: String])? in
            guard route.isSystem == (path.scope == .system) else { return nil }
            return Self.parameters(route.pattern, path.segments).map { (route, $0) }
        }
        // The fewest parameters: `environments/all` before `environments/:id`.
        let best = candidates.filter { $0.route.method == method }.min { $0.parameters.count < $1.parameters.count }
        if let best { return .route(best.route.handler, parameters: best.parameters) }
        return candidates.isEmpty ? .none : .wrongMethod(allowed: candidates.map(\.route.method))
    }

    private static func parameters(_ pattern: [String], _ segments: [String]) -> [String: String]? {
        guard pattern.count == segments.count else { return nil }
        var parameters: [String: String] = [:]
        for (expected, actual) in zip(pattern, segments) {
            if expected.hasPrefix(":") {
                parameters[String(expected.dropFirst())] = actual.removingPercentEncoding ?? actual
            } else if !expected.equalsIgnoringASCIICase(actual) {
                return nil
            }
        }
        return parameters
    }
}
