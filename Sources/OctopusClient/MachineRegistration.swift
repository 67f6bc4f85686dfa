/// What a command wants to register.
package struct MachineRegistration: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case target(
            environments: [String],
            roles: [String],
            tenants: [String],
            tenantTags: [String],
            participation: String
        )
        case worker(pools: [String])
    }

    package var kind: Kind
    package var name: String
    package var force: Bool
    package var policy: String?
    /// Server-side proxy through which a listening agent is reached, by name.
    package var proxy: String?
    package var space: String?
    /// `TentaclePassive` or `TentacleActive`.
    package var communicationStyle: String
    /// `https://host:port/` or `poll://…/`.
    package var uri: String
    package var thumbprint: String

    package init(
        kind: Kind,
        name: String,
        force: Bool = false,
        policy: String? = nil,
        proxy: String? = nil,
        space: String? = nil,
        communicationStyle: String,
        uri: String,
        thumbprint: String
    ) {
        self.kind = kind
        self.name = name
        self.force = force
        self.policy = policy
        self.proxy = proxy
        self.space = space
        self.communicationStyle = communicationStyle
        self.uri = uri
        self.thumbprint = thumbprint
    }

    var collection: String { self.isWorker ? "Workers" : "Machines" }

    var isWorker: Bool {
        if case .worker = self.kind { return true }
        return false
    }
}

/// A registration of which everything is known and checked; nothing has been changed yet.
package struct PreparedRegistration: Sendable {
    package var method: String
    package var link: String
    package var body: JSONValue
    package var serverThumbprint: String
    package var spaceName: String?
    package var replacesExisting: Bool
}

extension OctopusSession {
    /// Asks the server for all that the registration needs, in the order of spec 13.3, rows 1 to 17.
    package func prepare(
        _ registration: MachineRegistration,
        agentMajorVersion: Int
    ) throws(OctopusError) -> PreparedRegistration {
        let space = try self.space(registration.space)
        try self.checkVersion(agentMajorVersion: agentMajorVersion)
        let serverThumbprint = try self.serverThumbprint()
        let existing = try self.machine(named: registration.name, in: space.link(registration.collection))
        if existing != nil, !registration.force { throw Self.alreadyExists(registration) }
        var proxyID: String?
        if let proxy = registration.proxy {
            proxyID = try self.identifier(named: proxy, of: "proxy name", in: space.link("Proxies"))
        }
        var members: [String: JSONValue] = [:]
        if let policy = registration.policy {
            members["MachinePolicyId"] = .string(
                try self.identifier(named: policy, of: "machine policy", in: space.link("MachinePolicies"))
            )
        } else if existing == nil {
            members["MachinePolicyId"] = .null
        }
        members.merge(try self.scope(of: registration.kind, in: space)) { $1 }
        members["Name"] = .string(registration.name)
        members["Endpoint"] = Self.endpoint(of: registration, proxyID: proxyID, existing: existing?["Endpoint"])
        if let id = space.id { members["SpaceId"] = .string(id) }
        let target = existing?.link("Self")
        if existing == nil { members["SkipInitialHealthCheck"] = .bool(false) }
        return PreparedRegistration(
            method: target == nil ? "POST" : "PUT",
            link: target ?? space.link(registration.collection),
            body: (existing ?? .object([:])).replacing(members),
            serverThumbprint: serverThumbprint,
            spaceName: space.name,
            replacesExisting: existing != nil
        )
    }

    /// Registers, rows 18 and 19; the answer is the machine as the server has it now.
    package func commit(_ registration: PreparedRegistration) throws(OctopusError) -> JSONValue {
        let answer = try self.send(registration.method, registration.link, body: registration.body)
        guard let link = answer.link("Self") else { return answer }
        // The machine is registered by now: a lost answer to this question changes nothing.
        return (try? self.get(link)) ?? answer
    }

    private func checkVersion(agentMajorVersion: Int) throws(OctopusError) {
        guard let version = try self.root().text("Version"), let major = version.split(separator: ".").first else {
            throw OctopusError(.refused, "Unable to determine the Octopus Server version.")
        }
        guard major != "1", major != "2" else {
            throw OctopusError(
                .refused,
                "You cannot register a \(agentMajorVersion).* Octopus Tentacle with a \(major).* Octopus Server."
            )
        }
    }

    private func machine(named name: String, in link: String) throws(OctopusError) -> JSONValue? {
        try self.items(link, ["name": name]).first { $0.text("Name")?.comparable == name.comparable }
    }

    private static func alreadyExists(_ registration: MachineRegistration) -> OctopusError {
        let kind = registration.isWorker ? "worker" : "machine"
        return OctopusError(
            .refused,
            "A \(kind) named '\(registration.name)' already exists in the environment. "
                + "Use the 'force' parameter if you intended to update the existing \(kind)."
        )
    }

    private static func endpoint(
        of registration: MachineRegistration,
        proxyID: String?,
        existing: JSONValue?
    ) -> JSONValue {
        var members: [String: JSONValue] = [
            "CommunicationStyle": .string(registration.communicationStyle),
            "Uri": .string(registration.uri),
            "Thumbprint": .string(registration.thumbprint),
        ]
        if registration.communicationStyle == "TentaclePassive" { members["ProxyId"] = .string(orNull: proxyID) }
        // The endpoint is replaced, except for what only the server knows of it.
        if let id = existing?["Id"] { members["Id"] = id }
        return .object(members)
    }

    // MARK: Names to ids

    private func scope(
        of kind: MachineRegistration.Kind,
        in space: OctopusSpace
    ) throws(OctopusError) -> [String: JSONValue] {
        switch kind {
        case .worker(let pools):
            let ids = try self.identifiers(pools, of: "worker pool", in: space.link("WorkerPools"))
            return ["WorkerPoolIds": .strings(ids)]
        case .target(let environments, let roles, let tenants, let tenantTags, let participation):
            let tags = tenantTags.isEmpty ? [] : try self.canonicalTags(tenantTags, in: space.link("TagSets"))
            let environmentIDs = try self.environmentIdentifiers(environments, in: space)
            let tenantIDs =
                tenants.isEmpty ? [] : try self.identifiers(tenants, of: "tenant", in: space.link("Tenants"))
            return [
                "EnvironmentIds": .strings(environmentIDs), "Roles": .strings(roles), "TenantIds": .strings(tenantIDs),
                "TenantTags": .strings(tags), "TenantedDeploymentParticipation": .string(participation),
            ]
        }
    }

    private func environmentIdentifiers(_ names: [String], in space: OctopusSpace) throws(OctopusError) -> [String] {
        if let id = space.id {
            do throws(OctopusError) {
                let items = try self.items("~/api/\(id)/environments/v2?skip=0&take=2147483647")
                return try Self.identifiers(names, among: items, type: "environment")
            } catch {
                // Servers before dynamic environments do not know the route.
                guard error.code == .notFound else { throw error }
            }
        }
        return try self.identifiers(names, of: "environment", in: space.link("Environments"))
    }

    private func identifiers(_ names: [String], of type: String, in link: String) throws(OctopusError) -> [String] {
        var items = try self.items(link)
        let unknown = names.filter { Self.identifier($0, among: items) == nil }
        if !unknown.isEmpty {
            // An id of something that the list leaves out.
            items += try self.items(link, ["ids": unknown.joined(separator: ",")])
        }
        return try Self.identifiers(names, among: items, type: type)
    }

    private static func identifiers(
        _ names: [String],
        among items: [JSONValue],
        type: String
    ) throws(OctopusError) -> [String] {
        let unknown = names.filter { Self.identifier($0, among: items) == nil }
        guard unknown.isEmpty else {
            throw OctopusError(
                .refused,
                unknown.count == 1
                    ? "Could not find the \(type) with name, slug or Id \(unknown[0]) on the Octopus Server. "
                        + "Ensure the \(type) exists and you have permission to access it."
                    : "Could not find the \(type)s with names, slugs or Ids: \(unknown.joined(separator: ", ")) on the "
                        + "Octopus Server. Ensure the \(type)s exist and you have permission to access them."
            )
        }
        var ids: [String] = []
        for id in names.compactMap({ Self.identifier($0, among: items) }) where !ids.contains(id) { ids.append(id) }
        return ids
    }

    /// By name, then by slug, then by id.
    private static func identifier(_ name: String, among items: [JSONValue]) -> String? {
        for member in ["Name", "Slug", "Id"] {
            if let item = items.first(where: { $0.text(member)?.comparable == name.comparable }) {
                return item.text("Id")
            }
        }
        return nil
    }

    private func identifier(named name: String, of type: String, in link: String) throws(OctopusError) -> String {
        let item = try self.items(link).first { $0.text("Name")?.comparable == name.comparable }
        guard let id = item?.text("Id") else { throw Self.notFound(type, name) }
        return id
    }

    private func canonicalTags(_ tags: [String], in link: String) throws(OctopusError) -> [String] {
        let known = try self.items(link).flatMap { $0["Tags"]?.items ?? [] }.compactMap { $0.text("CanonicalTagName") }
        return try tags.map { tag throws(OctopusError) in
            guard let canonical = known.first(where: { $0.comparable == tag.comparable }) else {
                throw Self.notFound("tag", tag)
            }
            return canonical
        }
    }

    private static func notFound(_ type: String, _ name: String) -> OctopusError {
        let thing = type == "proxy name" ? "proxy" : type
        return OctopusError(
            .refused,
            "Could not find the \(type) named \(name) on the Octopus Server. "
                + "Ensure the \(thing) exists and you have permission to access it."
        )
    }
}
