import Foundation
import GRDB
import ServerDomain
import Testing

@testable import ServerStore

@Suite struct StoreTests {
    /// A store in a folder of its own, gone afterwards.
    static func with<T>(_ body: (_ path: String, _ store: Store) async throws -> T) async throws -> T {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("store-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("server.sqlite").path
        let store = try Store(path: path)
        let result = try await body(path, store)
        try store.close()
        return result
    }

    static let space = Space(id: "Spaces-1", name: "Default", slug: "default", isDefault: true)

    static func environment(_ id: String, _ name: String) -> DeploymentEnvironment {
        DeploymentEnvironment(id: id, spaceID: "Spaces-1", name: name, slug: name.lowercased(), sortOrder: 0)
    }

    static func machine(_ name: String) -> DeploymentTarget {
        DeploymentTarget(
            id: "Machines-\(name)",
            spaceID: "Spaces-1",
            name: name,
            slug: name,
            environmentIDs: ["Environments-1"],
            roles: ["web"],
            endpoint: AgentEndpoint(style: .polling, uri: "poll://ABC", thumbprint: "A")
        )
    }

    @Test("documents come back as they were, also after a restart")
    func roundTrip() async throws {
        try await Self.with { path, store in
            var environment = Self.environment("Environments-1", "Test")
            environment.echoed = ["Description": "ä\n", "ExtensionSettings": [["z": 1, "a": nil]]]
            let stored = environment
            try await store.write {
                try $0.insert(Self.space)
                try $0.insert(stored)
            }
            try store.close()
            let again = try Store(path: path)
            let found = try await again.read { try $0.find(DeploymentEnvironment.self, id: "environments-1") }
            #expect(found == environment)
            try again.close()
        }
    }

    @Test("numbers of ids are not used twice")
    func ids() async throws {
        try await Self.with { _, store in
            let first = try await store.write { try $0.nextID(DeploymentTarget.self) }
            let second = try await store.write { try $0.nextID(DeploymentTarget.self) }
            #expect([first, second] == ["Machines-1", "Machines-2"])
        }
    }

    @Test("the schema refuses a second name in any case")
    func uniqueNames() async throws {
        try await Self.with { _, store in
            try await store.write {
                try $0.insert(Self.space)
                try $0.insert(Self.environment("Environments-1", "Test"))
            }
            var other = Self.environment("Environments-2", "TEST")
            other.slug = "other"
            let stored = other
            let error = await #expect(throws: StoreError.self) { try await store.write { try $0.insert(stored) } }
            #expect(error?.code == .duplicate)
        }
    }

    @Test("an environment with machines cannot be deleted")
    func references() async throws {
        try await Self.with { _, store in
            try await store.write {
                try $0.insert(Self.space)
                try $0.insert(Self.environment("Environments-1", "Test"))
                try $0.insert(Self.machine("web01"))
            }
            let error = await #expect(throws: StoreError.self) {
                try await store.write { try $0.delete(DeploymentEnvironment.self, id: "Environments-1") }
            }
            #expect(error?.code == .reference)
            try await store.write {
                try $0.delete(DeploymentTarget.self, id: "Machines-web01")
                try $0.delete(DeploymentEnvironment.self, id: "Environments-1")
            }
        }
    }

    @Test("a machine in an unknown environment cannot be stored")
    func unknownEnvironment() async throws {
        try await Self.with { _, store in
            try await store.write { try $0.insert(Self.space) }
            await #expect(throws: StoreError.self) { try await store.write { try $0.insert(Self.machine("web01")) } }
            #expect(try await store.read { try $0.all(DeploymentTarget.self) }.isEmpty)
        }
    }

    @Test("a transaction that throws leaves nothing behind")
    func rollback() async throws {
        struct Stop: Error {}
        try await Self.with { _, store in
            await #expect(throws: Stop.self) {
                try await store.write { tx in
                    try tx.insert(Self.space)
                    throw Stop()
                }
            }
            let spaces = try await store.read { try $0.all(Space.self) }
            #expect(spaces.isEmpty)
        }
    }

    @Test("machines are found by their normalised subscription")
    func subscriptions() async throws {
        try await Self.with { _, store in
            try await store.write {
                try $0.insert(Self.space)
                try $0.insert(Self.environment("Environments-1", "Test"))
                try $0.insert(Self.machine("web01"))
            }
            let found = try await store.read {
                try $0.all(DeploymentTarget.self, where: [("uri", .text("poll://abc/"))])
            }
            #expect(found.map(\.name) == ["web01"])
        }
    }

    @Test("log lines are numbered in the order they come, and read from any of them")
    func taskLog() async throws {
        try await Self.with { _, store in
            let task = ServerTask(
                id: "ServerTasks-1",
                spaceID: "Spaces-1",
                kind: .deploy,
                description: "x",
                arguments: [:],
                queueTime: Date(),
                rootNodeID: "root"
            )
            try await store.write { tx in
                try tx.insert(task)
                try tx.insert([
                    ActivityNode(id: "root", taskID: task.id, parentID: nil, name: "x", showAtSummaryLevel: true)
                ])
            }
            for batch in [["a", "b"], ["c"]] {
                try await store.write { tx in
                    let entries = batch.map {
                        TaskLogEntry(nodeID: "root", category: .info, occurredAt: Date(), text: $0)
                    }
                    try tx.append(entries, taskID: task.id)
                }
            }
            let lines = try await store.read { try $0.log(taskID: task.id, after: 1, limit: 10) }
            #expect(lines.map(\.text) == ["b", "c"])
            #expect(lines.map(\.sequence) == [2, 3])
            #expect(try await store.read { try $0.logSize(taskID: task.id) } == 3)
        }
    }

    @Test("a path that cannot be opened is named")
    func unavailable() throws {
        let error = #expect(throws: StoreError.self) { _ = try Store(path: "/proc/nowhere/server.sqlite") }
        #expect(error?.code == .unavailable)
        #expect(error?.description.contains("/proc/nowhere/server.sqlite") == true)
    }

    @Test("machines of the first version keep what they said about tenants", arguments: ["Tenanted", "rubbish"])
    func migration(participation: String) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("store-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("server.sqlite").path
        let old = try DatabasePool(path: path)
        try Migrations.migrator.migrate(old, upTo: "2026-11 task log")
        // As the first version wrote it: what it did not read is a text with JSON.
        let body = #"""
            {"id":"Machines-1","spaceID":"Spaces-1","name":"web01","slug":"web01","environmentIDs":[],"roles":["web"],
            "endpoint":{"style":"TentacleActive","uri":"poll://abc/","thumbprint":"AA"},"isDisabled":false,
            "machinePolicyID":"MachinePolicies-1","health":"Healthy","healthSummary":"x","facts":{},
            "echoed":"{\"TenantedDeploymentParticipation\":\"\#(participation)\",\"TenantIds\":[]}"}
            """#
        try await old.write { db in
            try db.execute(
                sql: """
                    INSERT INTO space (id, number, body, name, slug)
                    VALUES ('Spaces-1', 1, '{"id":"Spaces-1","name":"D","slug":"d","isDefault":true}', 'D', 'd');
                    """
            )
            try db.execute(
                sql: """
                    INSERT INTO machine (id, number, body, spaceId, name, slug, thumbprint, uri)
                    VALUES ('Machines-1', 1, ?, 'Spaces-1', 'web01', 'web01', 'AA', 'poll://abc/')
                    """,
                arguments: [body]
            )
        }
        try old.close()
        let store = try Store(path: path)
        let machine = try await store.read { try $0.find(DeploymentTarget.self, id: "Machines-1") }
        #expect(machine?.participation == (participation == "Tenanted" ? .tenanted : .untenanted))
        #expect(machine?.tenantIDs == [] && machine?.health == .healthy)
        try store.close()
    }

    @Test("a worker's pool is kept by the schema, and rosters count up")
    func workers() async throws {
        try await Self.with { _, store in
            let pool = WorkerPool(id: "WorkerPools-1", spaceID: "Spaces-1", name: "P", slug: "p")
            let worker = Worker(
                id: "Workers-1",
                spaceID: "Spaces-1",
                name: "w",
                slug: "w",
                poolIDs: [pool.id],
                endpoint: AgentEndpoint(style: .polling, uri: "poll://abc/", thumbprint: "A")
            )
            let first = try await store.write { tx in
                try tx.insert(Self.space)
                try tx.insert(pool)
                try tx.insert(worker)
                return try tx.roster()
            }
            #expect(first.agents.map(\.id) == ["Workers-1"])
            let error = await #expect(throws: StoreError.self) {
                try await store.write { try $0.delete(WorkerPool.self, id: pool.id) }
            }
            #expect(error?.code == .reference)
            let second = try await store.write { tx in
                try tx.delete(Worker.self, id: worker.id)
                return try tx.roster()
            }
            #expect(second.agents.isEmpty && second.revision > first.revision)
        }
    }
}
