import FoundationEssentials
import GRDB

/// Why the store refused something.
package struct StoreError: Error, CustomStringConvertible {
    package enum Code: Sendable {
        /// The file cannot be opened, read or written.
        case unavailable
        /// A name, slug or version that is already taken.
        case duplicate
        /// Something else refers to it, or it refers to something that is not there.
        case reference
        case notFound
    }

    package var code: Code
    package var description: String

    package init(_ code: Code, _ description: String) { (self.code, self.description) = (code, description) }

    /// Maps an error of SQLite to one of ours.
    static func wrapping(_ error: any Error) -> any Error {
        guard let error = error as? DatabaseError else { return error }
        switch error.extendedResultCode {
        case .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_PRIMARYKEY:
            return StoreError(.duplicate, "The name is already in use. Please choose a different name.")
        case .SQLITE_CONSTRAINT_FOREIGNKEY, .SQLITE_CONSTRAINT_TRIGGER:
            return StoreError(
                .reference,
                "Another resource refers to this one, or it refers to one that does not exist."
            )
        default:
            return StoreError(
                .unavailable,
                "The database failed: \(error.message ?? "code \(error.resultCode.rawValue)")."
            )
        }
    }
}

/// The server's only database: SQLite in WAL mode, one pool for the file.
package final class Store: Sendable {
    private let pool: DatabasePool

    /// Opens the file, and brings an older schema up to date.
    package init(path: String) throws {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { db in
            // A task's outcome must survive a power cut, not only a crash of this process.
            try db.execute(sql: "PRAGMA synchronous = NORMAL")
        }
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
            try Migrations.migrator.migrate(pool)
        } catch {
            throw StoreError(.unavailable, "Cannot open the database \(path): \(Self.reason(error)).")
        }
    }

    private static func reason(_ error: any Error) -> String {
        guard let error = error as? DatabaseError else { return "\(error)" }
        return error.message ?? "SQLite error \(error.resultCode.rawValue)"
    }

    /// Runs `body` in one transaction: all of it is stored, or none.
    package func write<T: Sendable>(_ body: @Sendable (StoreTransaction) throws -> T) async throws -> T {
        try await withoutActuallyEscaping(body) { body in
            do { return try await pool.write { try body(StoreTransaction(db: $0)) } } catch {
                throw StoreError.wrapping(error)
            }
        }
    }

    /// Runs `body` on one consistent state of the database.
    package func read<T: Sendable>(_ body: @Sendable (StoreTransaction) throws -> T) async throws -> T {
        try await withoutActuallyEscaping(body) { body in
            do { return try await pool.read { try body(StoreTransaction(db: $0)) } } catch {
                throw StoreError.wrapping(error)
            }
        }
    }

    package func close() throws { try pool.close() }
}
