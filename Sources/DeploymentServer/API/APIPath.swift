import ServerDomain

/// A request path in one form, whatever prefix the client used (rest-api.md 1).
struct APIPath: Equatable, Sendable {
    /// Collections that belong to the server, not to a space.
    private static let system: Set<String> = [
        "spaces", "users", "configuration", "teams", "userroles", "scopeduserroles", "serverstatus", "events",
        "featuresconfiguration", "octopusservernodes",
    ]

    enum Scope: Equatable, Sendable {
        case system
        case space(String)
    }

    var scope: Scope
    /// Below the scope; empty for its root document.
    var segments: [String]

    /// Nil when the path is not below `/api`.
    init?(_ path: String, defaultSpaceID: String) {
        var segments = path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        guard let first = segments.first, first.equalsIgnoringASCIICase("api") else { return nil }
        segments.removeFirst()
        // /api/spaces/Spaces-1/x is /api/Spaces-1/x; /api/spaces/Spaces-1 is the space itself.
        if segments.count > 2, segments[0].equalsIgnoringASCIICase("spaces"), Self.isSpaceID(segments[1]),
            segments[2] != "logo"
        {
            segments.removeFirst()
        }
        guard let head = segments.first else {
            (scope, self.segments) = (.system, [])
            return
        }
        if Self.isSpaceID(head) {
            (scope, self.segments) = (.space(head), Array(segments.dropFirst()))
        } else if Self.system.contains(head.lowercased()) {
            (scope, self.segments) = (.system, segments)
        } else {
            (scope, self.segments) = (.space(defaultSpaceID), segments)
        }
    }

    static func isSpaceID(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return parts.count == 2 && parts[0].equalsIgnoringASCIICase("spaces") && !parts[1].isEmpty
            && parts[1].allSatisfy { $0.isASCII && $0.isNumber }
    }
}
