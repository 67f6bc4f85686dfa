import HTTPTypes
import ServerDomain

/// Collections that clients ask for and that are empty in this version (rest-api.md 19.5).
struct StubAPI: Sendable {
    private static let empty = [
        "libraryvariablesets", "accounts", "certificates", "actiontemplates", "projecttriggers", "runbooks",
        "git-credentials", "subscriptions", "feeds", "artifacts", "interruptions",
    ]

    func register(in routes: inout APIRoutes) {
        for name in Self.empty {
            routes.space(.get, name) { call in
                .json(APIPage.json([], of: name, call: call, template: "{/id}{?skip,take,ids,partialName}"))
            }
            routes.space(.get, "\(name)/all") { _ in .json([]) }
        }
        routes.space(.get, "machines/operatingsystem/names/all") { _ in .json([]) }
        routes.space(.get, "machines/operatingsystem/shells/all") { _ in .json([]) }
        routes.space(.get, "variables/:id") { call in .json(Self.variables(call)) }
    }

    /// Every project has a variable set; in this version it is always empty.
    private static func variables(_ call: APICall) -> JSONValue {
        let id = call.parameter("id")
        return [
            "Id": .string(id), "SpaceId": .string(call.spaceID),
            "OwnerId": .string(String(id.dropFirst("variableset-".count))),
            "Version": 0, "Variables": [],
            "ScopeValues": [
                "Environments": [], "Machines": [], "Actions": [], "Roles": [], "Channels": [], "TenantTags": [],
            ],
            "Links": ["Self": .string(call.path)],
        ]
    }
}
