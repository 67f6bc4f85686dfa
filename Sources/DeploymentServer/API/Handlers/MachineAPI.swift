import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

/// Deployment targets (rest-api.md 19).
struct MachineAPI: Sendable {
    private static let template =
        "{/id}{?skip,take,name,ids,partialName,roles,isDisabled,healthStatuses,commStyles,environmentIds,thumbprint}"

    let services: ServerServices

    func register(in routes: inout APIRoutes) {
        routes.space(.get, "machines") { call in
            .json(
                APIPage.json(
                    try await machines(call).map(Self.json),
                    of: "DeploymentTarget",
                    call: call,
                    template: Self.template
                )
            )
        }
        routes.space(.get, "machines/all") { call in .json(.array(try await machines(call).map(Self.json))) }
        routes.space(.get, "machines/discover") { call in .json(try await discover(call)) }
        routes.space(.get, "machines/:id") { call in .json(Self.json(try await machine(call))) }
        routes.space(.post, "machines") { call in .json(Self.json(try await create(call)), .created) }
        routes.space(.put, "machines/:id") { call in .json(Self.json(try await update(call))) }
        routes.space(.delete, "machines/:id") { call in try await delete(call) }
        routes.space(.get, "machines/:id/connection") { call in .json(Self.connection(try await machine(call))) }
        routes.space(.get, "machines/:id/tasks") { call in .json(try await tasks(call)) }
        routes.space(.get, "environments/:environment/machines") { call in
            let (id, spaceID) = (call.parameter("environment"), call.spaceID)
            let environment = try await services.store.read { try $0.get(DeploymentEnvironment.self, id, in: spaceID) }
            let items = try await machines(call).filter { $0.environmentIDs.contains(environment.id) }
            return .json(
                APIPage.json(items.map(Self.json), of: "DeploymentTarget", call: call, template: "{?skip,take}")
            )
        }
        routes.space(.get, "machineroles/all") { call in
            let spaceID = call.spaceID
            let all = try await services.store.read { try $0.all(DeploymentTarget.self, in: spaceID) }
            return .json(JSONValue(Set(all.flatMap(\.roles)).sorted()))
        }
    }

    private func machine(_ call: APICall) async throws -> DeploymentTarget {
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        return try await services.store.read { try $0.get(DeploymentTarget.self, id, in: spaceID) }
    }

    private func machines(_ call: APICall) async throws -> [DeploymentTarget] {
        let (spaceID, query) = (call.spaceID, call.query)
        let all = call.filtered(try await services.store.read { try $0.all(DeploymentTarget.self, in: spaceID) })
        func allows(_ filter: String, _ values: [String]) -> Bool {
            guard let wanted = query.list(filter) else { return true }
            return wanted.contains { text in values.contains { $0.equalsIgnoringASCIICase(text) } }
        }
        return all.filter { machine in
            allows("roles", machine.roles) && allows("environmentIds", machine.environmentIDs)
                && allows("thumbprint", [machine.endpoint.thumbprint])
                && allows("commStyles", [machine.endpoint.style.rawValue])
                && allows("deploymentTargetTypes", [machine.endpoint.style.rawValue])
                && allows("healthStatuses", [machine.health.rawValue])
                && allows("isDisabled", [String(machine.isDisabled)])
        }
        .sorted { $0.name.lowercased() < $1.name.lowercased() }
    }

    /// A machine that is not stored, with the certificate that answers at an address (rest-api.md 19.4).
    private func discover(_ call: APICall) async throws -> JSONValue {
        let type = call.query["type"] ?? AgentEndpoint.Style.listening.rawValue
        guard type == AgentEndpoint.Style.listening.rawValue else {
            throw APIError.invalid("Only TentaclePassive machines can be discovered, not '\(type)'.")
        }
        guard let host = call.query["host"] else { throw APIError.invalid("Please specify a host.") }
        guard let port = Int(call.query["port"] ?? "10933"), (1...65_535).contains(port) else {
            throw APIError.invalid("The port must be a number from 1 to 65535.")
        }
        let thumbprint: String
        do { thumbprint = try await services.agents.discover(host: host, port: port) } catch {
            throw APIError.invalid("No agent could be discovered at \(host):\(port): \(error)")
        }
        let endpoint = AgentEndpoint(style: .listening, uri: "https://\(host):\(port)/", thumbprint: thumbprint)
        let machine = DeploymentTarget(
            id: "",
            spaceID: call.spaceID,
            name: host,
            slug: "",
            environmentIDs: [],
            roles: [],
            endpoint: endpoint
        )
        var json = Self.json(machine).members ?? [:]
        json["Id"] = .null
        json["Links"] = [:]
        return .object(json)
    }

    // MARK: Writing

    private func create(_ call: APICall) async throws -> DeploymentTarget {
        let body = try call.body()
        let spaceID = call.spaceID
        let machine = try await services.store.write { tx -> DeploymentTarget in
            let name = body.text("Name") ?? ""
            let machine = DeploymentTarget(
                id: try tx.nextID(DeploymentTarget.self),
                spaceID: spaceID,
                name: name,
                slug: try tx.slug(DeploymentTarget.self, wanted: body.text("Slug"), name: name, in: spaceID),
                environmentIDs: try Self.unique(body.list("EnvironmentIds")),
                roles: try Self.unique(body.list("Roles")),
                endpoint: try Self.endpoint(body),
                isDisabled: body.flag("IsDisabled"),
                echoed: body.only(Self.echoedNames)
            )
            try Self.check(machine, tx)
            try tx.insert(machine)
            if !body.flag("SkipInitialHealthCheck") {
                _ = try ServerTask.queue(
                    .health,
                    "Check the health of \(machine.name)",
                    arguments: ["MachineIds": JSONValue([machine.id])],
                    spaceID: spaceID,
                    tx
                )
            }
            return machine
        }
        // Trusted before the answer is out: a polling agent connects as soon as it has registered.
        try await announce()
        services.runner.wake()
        return machine
    }

    private func update(_ call: APICall) async throws -> DeploymentTarget {
        let body = try call.body()
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        let machine = try await services.store.write { tx -> DeploymentTarget in
            var machine = try tx.get(DeploymentTarget.self, id, in: spaceID)
            machine.name = body.text("Name") ?? machine.name
            let slug = body.filled("Slug") ?? machine.slug
            machine.slug = try tx.slug(
                DeploymentTarget.self,
                wanted: slug,
                name: machine.name,
                in: spaceID,
                except: machine.id
            )
            if body["EnvironmentIds"] != nil { machine.environmentIDs = Self.unique(try body.list("EnvironmentIds")) }
            if body["Roles"] != nil { machine.roles = Self.unique(try body.list("Roles")) }
            if body["Endpoint"] != nil { machine.endpoint = try Self.endpoint(body) }
            machine.isDisabled = body["IsDisabled"]?.truth ?? machine.isDisabled
            machine.echoed = machine.echoed.merging(body.only(Self.echoedNames))
            try Self.check(machine, tx)
            try tx.update(machine)
            return machine
        }
        try await announce()
        return machine
    }

    private func delete(_ call: APICall) async throws -> APIAnswer {
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        try await services.store.write { tx in
            try tx.delete(DeploymentTarget.self, id: try tx.get(DeploymentTarget.self, id, in: spaceID).id)
        }
        try await announce()
        return .empty
    }

    /// The listener for polling agents trusts exactly the machines in the store.
    private func announce() async throws {
        await services.agents.machinesChanged(to: try await services.store.read { try $0.all(DeploymentTarget.self) })
    }

    private static func check(_ machine: DeploymentTarget, _ tx: StoreTransaction) throws {
        let problems = machine.problems
        guard problems.isEmpty else { throw APIError.invalid(problems) }
        let taken = try tx.exists(
            DeploymentTarget.self,
            where: [("spaceId", .text(machine.spaceID)), ("name", .text(machine.name))],
            except: machine.id
        )
        if taken { throw APIError.invalid("A machine with this name already exists. Please choose a different name.") }
        for id in machine.environmentIDs {
            _ = try tx.require(DeploymentEnvironment.self, id: id, in: machine.spaceID, as: "environment")
        }
        try checkSubscription(machine, tx)
    }

    /// A subscription belongs to one certificate: two could not be told apart (halibut.md 2.3).
    private static func checkSubscription(_ machine: DeploymentTarget, _ tx: StoreTransaction) throws {
        guard machine.endpoint.style == .polling else { return }
        let others = try tx.all(DeploymentTarget.self, where: [("uri", .text(machine.endpoint.normalisedURI))])
        let other = others.first { $0.id != machine.id && $0.endpoint.thumbprint != machine.endpoint.thumbprint }
        guard let other else { return }
        throw APIError.invalid(
            "The subscription \(machine.endpoint.uri) belongs to the machine '\(other.name)' with another certificate."
        )
    }

    private static func unique(_ texts: [String]) -> [String] {
        var seen = Set<String>()
        return texts.filter { seen.insert($0.lowercased()).inserted }
    }

    private static func endpoint(_ body: JSONObject) throws -> AgentEndpoint {
        guard let endpoint = body["Endpoint"]?.members else { throw APIError.invalid("Please specify an Endpoint.") }
        let styleText = endpoint.text("CommunicationStyle") ?? ""
        guard let style = AgentEndpoint.Style(rawValue: styleText) else {
            throw APIError.invalid(
                "The communication style '\(styleText)' is not supported; use TentaclePassive or TentacleActive."
            )
        }
        if endpoint.filled("ProxyId") != nil { throw APIError.invalid("Proxies are not supported by this server.") }
        return AgentEndpoint(
            style: style,
            uri: endpoint.filled("Uri") ?? body.text("Uri") ?? "",
            thumbprint: (endpoint.filled("Thumbprint") ?? body.text("Thumbprint") ?? "").uppercased()
        )
    }

    // MARK: JSON

    private static let echoedNames = ["TenantedDeploymentParticipation", "TenantIds", "TenantTags", "MachinePolicyId"]

    private func tasks(_ call: APICall) async throws -> JSONValue {
        let machine = try await machine(call)
        let (tasks, deployments) = try await services.store.read {
            (try $0.all(ServerTask.self, newestFirst: true), try $0.all(Deployment.self))
        }
        let own = Set(deployments.filter { $0.deployedToMachineIDs.contains(machine.id) }.map(\.taskID))
        let items = tasks.filter { $0.machineIDs.contains(machine.id) || own.contains($0.id) }
        return APIPage.json(items.map(TaskAPI.json), of: "Task", call: call, template: "{?skip,take,type}")
    }

    private static func connection(_ machine: DeploymentTarget) -> JSONValue {
        [
            "MachineId": .string(machine.id), "Status": .string(machine.health.legacyStatus),
            "CurrentTentacleVersion": JSONValue(orNull: machine.facts.agentVersion),
            "LastChecked": WireTime.json(machine.lastChecked ?? Date(timeIntervalSince1970: 0)),
            "Logs": [
                [
                    "Category": "Info",
                    "OccurredAt": WireTime.json(machine.lastChecked ?? Date(timeIntervalSince1970: 0)),
                    "MessageText": .string(machine.healthSummary), "Detail": nil,
                ]
            ], "Links": ["Self": "/api/\(machine.spaceID)/machines/\(machine.id)/connection"],
        ]
    }

    static func json(_ machine: DeploymentTarget) -> JSONValue {
        let path = "/api/\(machine.spaceID)/machines/\(machine.id)"
        let facts = machine.facts
        let fixed: JSONObject = [
            "Id": .string(machine.id), "SpaceId": .string(machine.spaceID), "Name": .string(machine.name),
            "Slug": .string(machine.slug), "EnvironmentIds": JSONValue(machine.environmentIDs),
            "Roles": JSONValue(machine.roles), "TenantedDeploymentParticipation": "Untenanted", "TenantIds": [],
            "TenantTags": [], "Thumbprint": .string(machine.endpoint.thumbprint), "Uri": .string(machine.endpoint.uri),
            "IsDisabled": .bool(machine.isDisabled), "MachinePolicyId": .string(machine.machinePolicyID),
            "Status": .string(machine.isDisabled ? "Disabled" : machine.health.legacyStatus),
            "HealthStatus": .string(machine.health.rawValue), "HasLatestCalamari": true,
            "StatusSummary": .string(machine.healthSummary), "IsInProcess": false, "SkipInitialHealthCheck": false,
            "Endpoint": endpoint(machine), "OperatingSystem": .string(facts.operatingSystem ?? "Unknown"),
            "OperatingSystemVersion": nil, "ShellName": .string(facts.shellName ?? "Unknown"),
            "ShellVersion": .string(facts.shellVersion ?? "Unknown"),
            "Architecture": JSONValue(orNull: facts.architecture),
            "Links": [
                "Self": .string(path), "Connection": "\(path)/connection",
                "TasksTemplate": "\(path)/tasks{?skip,take,type}",
            ],
        ]
        return .object(fixed.merging(machine.echoed.withoutNulls(in: echoedNames)))
    }

    private static func endpoint(_ machine: DeploymentTarget) -> JSONValue {
        [
            "Id": nil, "CommunicationStyle": .string(machine.endpoint.style.rawValue),
            "Uri": .string(machine.endpoint.uri),
            "Thumbprint": .string(machine.endpoint.thumbprint), "ProxyId": nil, "CertificateSignatureAlgorithm": nil,
            "TentacleVersionDetails": [
                "UpgradeLocked": false, "Version": JSONValue(orNull: machine.facts.agentVersion),
                "UpgradeSuggested": false, "UpgradeRequired": false, "UpgradeAvailable": false,
            ], "Links": [:],
        ]
    }
}
