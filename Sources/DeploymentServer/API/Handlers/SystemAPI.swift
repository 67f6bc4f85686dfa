import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

/// The root documents, spaces, users, and the server's certificate (rest-api.md 6, 7).
struct SystemAPI: Sendable {
    /// Chooses what clients expect of the server (rest-api.md 7).
    static let version = "2025.4.10680"

    let services: ServerServices

    func register(in routes: inout APIRoutes) {
        routes.system(.get, "/") { _ in .json(root()) }
        routes.space(.get, "/") { call in .json(try await spaceRoot(call.spaceID)) }
        routes.system(.get, "spaces") { call in
            .json(
                APIPage.json(
                    try await spaces(call),
                    of: "Space",
                    call: call,
                    template: "{/id}{?name,skip,ids,take,partialName}"
                )
            )
        }
        routes.system(.get, "spaces/all") { call in .json(.array(try await spaces(call))) }
        routes.system(.get, "spaces/:id") { call in .json(try await space(call.parameter("id"))) }
        routes.system(.get, "users/me") { call in .json(Self.json(try call.user())) }
        routes.system(.get, "users/:id") { call in .json(Self.json(try await user(call.parameter("id")))) }
        routes.system(.get, "users/:id/spaces") { call in .json(.array(try await spaces(call))) }
        routes.system(.get, "users/:id/apikeys") { call in .json(try await keys(call)) }
        routes.system(.post, "users/:id/apikeys") { call in try await makeKey(call) }
        routes.system(.delete, "users/:id/apikeys/:key") { call in try await deleteKey(call) }
        routes.system(.get, "configuration/certificates/certificate-global") { _ in .json(certificate) }
        routes.system(.get, "configuration/certificates") { call in
            .json(
                APIPage.json(
                    [certificate],
                    of: "Certificate",
                    call: call,
                    template: "{/id}{?skip,take,ids,partialName}"
                )
            )
        }
        routes.system(.get, "configuration/feature-toggles") { call in .json(Self.toggles(call.query["Name"])) }
        routes.system(.get, "serverstatus") { _ in .json(["IsInMaintenanceMode": false, "Links": [:]]) }
    }

    // MARK: Roots

    private var product: JSONObject {
        [
            "Application": "Octopus Deploy", "Version": .string(Self.version), "ApiVersion": "3.0.0",
            "InstallationId": .string(services.installationID), "IsEarlyAccessProgram": false,
            "HasLongTermSupport": true,
        ]
    }

    private func root() -> JSONValue {
        var result = product
        var links: JSONObject = ["Self": "/api"]
        links = links.merging(Self.systemLinks).merging(Self.spaceLinks(APIResponder.defaultSpaceID))
        result["Links"] = .object(links)
        return .object(result)
    }

    private func spaceRoot(_ id: String) async throws -> JSONValue {
        guard let space = try await services.store.read({ try $0.find(Space.self, id: id) }) else {
            throw APIError.notFound(id)
        }
        var result: JSONObject = ["Id": .string(space.id), "Name": .string(space.name), "Slug": .string(space.slug)]
        result = result.merging(product)
        var links: JSONObject = ["Self": "/api/\(space.id)"]
        links = links.merging(Self.systemLinks).merging(Self.spaceLinks(space.id))
        result["Links"] = .object(links)
        return .object(result)
    }

    // MARK: Spaces and users

    private func spaces(_ call: APICall) async throws -> [JSONValue] {
        let ids = call.query.list("ids")
        let partial = call.query["partialName"]?.lowercased()
        let name = call.query["name"]
        let spaces = try await services.store.read { try $0.all(Space.self) }
        return spaces.filter { space in
            (ids?.contains { $0.equalsIgnoringASCIICase(space.id) } ?? true)
                && (partial.map { space.name.lowercased().contains($0) } ?? true)
                && (name.map { space.name.equalsIgnoringASCIICase($0) } ?? true)
        }
        .map(Self.json)
    }

    private func space(_ text: String) async throws -> JSONValue {
        let found = try await services.store.read { tx in
            try tx.find(Space.self, id: text) ?? tx.all(Space.self, where: [("slug", .text(text.lowercased()))]).first
        }
        guard let found else { throw APIError.notFound(text) }
        return Self.json(found)
    }

    private func user(_ id: String) async throws -> User {
        guard let user = try await services.store.read({ try $0.find(User.self, id: id) }) else {
            throw APIError.notFound(id)
        }
        return user
    }

    static func json(_ space: Space) -> JSONValue {
        [
            "Id": .string(space.id), "Name": .string(space.name), "Slug": .string(space.slug), "Description": nil,
            "IsDefault": .bool(space.isDefault), "IsPrivate": false, "TaskQueueStopped": false,
            "SpaceManagersTeams": ["teams-administrators"], "SpaceManagersTeamMembers": [], "Icon": nil,
            "LastModifiedOn": nil, "LastModifiedBy": nil,
            "Links": [
                "Self": "/api/spaces/\(space.id)", "SpaceHome": "/api/\(space.id)", "Web": "/app#/\(space.id)",
                "Logo": "/api/spaces/\(space.id)/logo",
            ],
        ]
    }

    static func json(_ user: User) -> JSONValue {
        let path = "/api/users/\(user.id)"
        return [
            "Id": .string(user.id), "Username": .string(user.username), "DisplayName": .string(user.displayName),
            "IsActive": true, "IsService": false, "EmailAddress": nil, "CanPasswordBeEdited": true, "IsRequestor": true,
            "Identities": [],
            "Links": [
                "Self": .string(path), "Spaces": "\(path)/spaces", "Teams": "\(path)/teams",
                "Permissions": "\(path)/permissions", "PermissionsConfiguration": "\(path)/permissions/configuration",
                "ApiKeys": "\(path)/apikeys{/id}{?skip,take}", "Avatar": "", "AccessToken": "/api/users/access-token",
            ],
        ]
    }

    // MARK: API keys

    private func keys(_ call: APICall) async throws -> JSONValue {
        let user = try await user(call.parameter("id"))
        let keys = try await services.store.read { try $0.all(APIKey.self, where: [("userId", .text(user.id))]) }
        let items = keys.map { Self.json($0, text: nil) }
        return APIPage.json(items, of: "ApiKey", call: call, template: "{/id}{?skip,take}")
    }

    private func makeKey(_ call: APICall) async throws -> APIAnswer {
        let user = try await user(call.parameter("id"))
        let purpose = try call.body().filled("Purpose") ?? "API key"
        let made = try await services.store.write { try Authentication.makeKey(for: user.id, purpose: purpose, in: $0) }
        return .json(Self.json(made.key, text: made.text), .created)
    }

    private func deleteKey(_ call: APICall) async throws -> APIAnswer {
        let (userID, keyID) = (call.parameter("id"), call.parameter("key"))
        try await services.store.write { tx in
            guard let key = try tx.find(APIKey.self, id: keyID), key.userID.equalsIgnoringASCIICase(userID) else {
                throw APIError.notFound(keyID)
            }
            try tx.delete(APIKey.self, id: key.id)
        }
        return .empty
    }

    private static func json(_ key: APIKey, text: String?) -> JSONValue {
        let hidden: JSONValue = ["HasValue": true, "NewValue": nil, "Hint": .string(key.hint)]
        return [
            "Id": .string(key.id), "Purpose": .string(key.purpose), "UserId": .string(key.userID),
            "ApiKey": text.map(JSONValue.string) ?? hidden, "Created": WireTime.json(key.created),
            "Expires": WireTime.json(key.expires), "Links": ["Self": "/api/users/\(key.userID)/apikeys/\(key.id)"],
        ]
    }

    // MARK: Configuration

    private var certificate: JSONValue {
        let path = "/api/configuration/certificates/certificate-global"
        return [
            "Id": "certificate-global", "Name": "Octopus Server", "Thumbprint": .string(services.identity.thumbprint),
            "SignatureAlgorithm": .string(services.identity.signatureAlgorithm),
            "Links": ["Self": .string(path), "PublicCer": "\(path)/public-cer"],
        ]
    }

    /// A toggle that is not listed counts as disabled; a 404 would make Terraform enable them all (rest-api.md 7).
    private static func toggles(_ name: String?) -> JSONValue {
        guard let name else { return ["FeatureToggles": []] }
        return ["FeatureToggles": [["Name": .string(name), "IsEnabled": false]]]
    }
}
