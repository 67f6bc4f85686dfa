import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

/// Channels (rest-api.md 12).
extension ProjectAPI {
    func registerChannels(in routes: inout APIRoutes) {
        routes.space(.get, "channels") { call in
            let spaceID = call.spaceID
            let all = call.filtered(try await services.store.read { try $0.all(Channel.self, in: spaceID) })
            return .json(
                APIPage.json(
                    all.map(Self.json),
                    of: "Channel",
                    call: call,
                    template: "{/id}{?skip,take,ids,partialName}"
                )
            )
        }
        routes.space(.get, "channels/all") { call in
            let spaceID = call.spaceID
            return .json(
                .array(
                    call.filtered(try await services.store.read { try $0.all(Channel.self, in: spaceID) }).map(
                        Self.json
                    )
                )
            )
        }
        routes.space(.get, "channels/:id") { call in
            let (id, spaceID) = (call.parameter("id"), call.spaceID)
            let found = try await services.store.read { try $0.find(Channel.self, id: id) }
            guard let found, found.spaceID == spaceID else { throw APIError.notFound(id) }
            return .json(Self.json(found))
        }
        routes.space(.get, "projects/:id/channels") { call in
            let channels = call.filtered(try await channels(of: call))
            return .json(
                APIPage.json(
                    channels.map(Self.json),
                    of: "Channel",
                    call: call,
                    template: "{/id}{?skip,take,partialName}"
                )
            )
        }
        routes.space(.get, "projects/:id/channels/:channel") { call in
            let text = call.parameter("channel")
            let found = try await channels(of: call).first { channel in
                [channel.id, channel.slug, channel.name].contains { $0.equalsIgnoringASCIICase(text) }
            }
            guard let found else { throw APIError.notFound(text) }
            return .json(Self.json(found))
        }
    }

    private func channels(of call: APICall) async throws -> [Channel] {
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        return try await services.store.read { tx in
            let project = try tx.get(Project.self, id, in: spaceID)
            return try tx.all(Channel.self, where: [("projectId", .text(project.id))])
        }
    }

    static func json(_ channel: Channel) -> JSONValue {
        let space = "/api/\(channel.spaceID)"
        let project = "\(space)/projects/\(channel.projectID)"
        let fixed: JSONObject = [
            "Id": .string(channel.id), "SpaceId": .string(channel.spaceID), "ProjectId": .string(channel.projectID),
            "Name": .string(channel.name), "Slug": .string(channel.slug), "Description": "",
            "LifecycleId": JSONValue(orNull: channel.lifecycleID), "IsDefault": .bool(channel.isDefault),
            "Type": "Lifecycle", "Rules": [], "TenantTags": [], "GitReferenceRules": [], "GitResourceRules": [],
            "CustomFieldDefinitions": [], "ParentEnvironmentId": nil, "EphemeralEnvironmentNameTemplate": nil,
            "AutomaticEphemeralEnvironmentDeployments": false,
            "Links": [
                "Self": "\(space)/channels/\(channel.id)", "Project": .string(project), "Projects": .string(project),
                "Releases": "\(project)/channels/\(channel.id)/releases{?skip,take,searchByVersion}",
            ],
        ]
        return .object(fixed.merging(channel.echoed))
    }
}
