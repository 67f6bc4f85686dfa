import AgentConfiguration
import OctopusClient

/// What a server knows of this agent, as `show-configuration` adds it to its page (spec tentacle-cli.md 14.3).
struct ServerSideConfiguration {
    /// Members below `Tentacle`.
    var members: [OrderedJSON.Member] = []
    /// Below `Tentacle.Communication`; the whole address, whatever the name says.
    var publicHostName: String?

    /// Asks the server; nil when it does not know this agent.
    static func read(
        _ session: OctopusSession,
        thumbprint: String,
        space name: String?
    ) throws -> ServerSideConfiguration? {
        let space = try session.space(name)
        let machines = try session.machines(withThumbprint: thumbprint, workers: false, in: space)
        let workers = try session.machines(withThumbprint: thumbprint, workers: true, in: space)
        guard machines.count + workers.count < 2 else {
            throw CommandError(
                "This Tentacle is registered multiple times with the server. Unable to display configuration."
            )
        }
        guard let machine = machines.first ?? workers.first else { return nil }
        return try ServerSideConfiguration(machine, isWorker: machines.isEmpty, session, space)
    }

    private init(
        _ machine: JSONValue,
        isWorker: Bool,
        _ session: OctopusSession,
        _ space: OctopusSpace
    ) throws {
        func references(_ member: String, _ collection: String) throws -> OrderedJSON {
            let ids = machine.texts(member)
            return .array(try session.documents(collection, withIDs: ids, in: space).map(Self.reference))
        }
        if isWorker {
            self.members.append(.init("WorkerPools", try references("WorkerPoolIds", "WorkerPools")))
        } else {
            self.members += [
                .init("Environments", try references("EnvironmentIds", "Environments")),
                .init("Roles", .array(machine.texts("Roles").map(OrderedJSON.string))),
                .init("TenantTags", .array(machine.texts("TenantTags").map(OrderedJSON.string))),
                .init("Tenants", try references("TenantIds", "Tenants")),
            ]
        }
        if let policy = machine.text("MachinePolicyId") {
            let document = try session.document("MachinePolicies", withID: policy, in: space)
            self.members.append(.init("MachinePolicy", Self.reference(document)))
        }
        self.members.append(.init("DisplayName", .string(orNull: machine.text("Name"))))
        let endpoint = machine["Endpoint"]
        if endpoint?.text("CommunicationStyle") == CommunicationStyle.listening.wireName {
            self.publicHostName = endpoint?.text("Uri")
        }
    }

    private static func reference(_ document: JSONValue) -> OrderedJSON {
        .object([
            .init("Id", .string(orNull: document.text("Id"))), .init("Name", .string(orNull: document.text("Name"))),
        ])
    }
}

extension JSONValue {
    /// The texts of a list.
    fileprivate func texts(_ name: String) -> [String] { (self[name]?.items ?? []).compactMap(\.string) }
}
