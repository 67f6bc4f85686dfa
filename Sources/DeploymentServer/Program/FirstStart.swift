import Foundation
import ServerDomain
package import ServerStore

/// What a new database begins with (rest-api.md 8.2, 8.3, 19.3).
package enum FirstStart {
    package static let keyFile = "admin-api-key"
    static let adminName = "admin"
    private static let installationSetting = "installationId"

    /// Fills an empty database; `keep` has to store the administrator's key before the database does.
    package static func prepare(_ store: Store, keep: @escaping @Sendable (String) throws -> Void) async throws {
        try await store.write { tx in
            try prepareSpace(tx, keep)
            // Databases of the first version have no pool and no policy yet.
            try addInfrastructure(tx)
        }
    }

    private static func addInfrastructure(_ tx: StoreTransaction) throws {
        for space in try tx.all(Space.self) {
            if try tx.all(WorkerPool.self, in: space.id).isEmpty {
                try tx.insert(
                    WorkerPool(
                        id: try tx.nextID(WorkerPool.self),
                        spaceID: space.id,
                        name: "Default Worker Pool",
                        slug: "default-worker-pool",
                        isDefault: true
                    )
                )
            }
            if try tx.all(MachinePolicy.self, in: space.id).isEmpty {
                try tx.insert(
                    MachinePolicy(
                        id: try tx.nextID(MachinePolicy.self),
                        spaceID: space.id,
                        name: "Default Machine Policy",
                        slug: "default-machine-policy"
                    )
                )
            }
        }
    }

    private static func prepareSpace(_ tx: StoreTransaction, _ keep: (String) throws -> Void) throws {
        guard try tx.setting(installationSetting) == nil else { return }
        let space = Space(id: try tx.nextID(Space.self), name: "Default", slug: "default", isDefault: true)
        try tx.insert(space)
        try tx.insert(
            Lifecycle(
                id: try tx.nextID(Lifecycle.self),
                spaceID: space.id,
                name: "Default Lifecycle",
                slug: "default-lifecycle"
            )
        )
        try tx.insert(
            ProjectGroup(
                id: try tx.nextID(ProjectGroup.self),
                spaceID: space.id,
                name: "Default Project Group",
                slug: "default-project-group"
            )
        )
        let admin = User(id: try tx.nextID(User.self), username: adminName, displayName: "Administrator")
        try tx.insert(admin)
        let made = try Authentication.makeKey(
            for: admin.id,
            purpose: "Administrator, made at the first start",
            in: tx
        )
        try tx.set(installationSetting, to: UUID().uuidString.lowercased())
        // Written before the transaction ends: a key in the database that nobody knows would lock everybody out.
        try keep(made.text)
    }

    package static func installationID(_ store: Store) async throws -> String {
        try await store.read { try $0.setting(installationSetting) } ?? ""
    }
}
