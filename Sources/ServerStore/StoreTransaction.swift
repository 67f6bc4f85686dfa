import FoundationEssentials
import GRDB
package import ServerDomain

/// What can be done inside one transaction, and only there.
package struct StoreTransaction {
    let db: Database

    // MARK: Documents

    /// The next id of a kind.
    ///
    /// Numbers are never used twice, not even after a deletion.
    package func nextID<D: StoredDocument>(_ type: D.Type) throws -> String {
        "\(D.idPrefix)-\(try nextNumber(D.idPrefix))"
    }

    func nextNumber(_ prefix: String) throws -> Int64 {
        let sql = """
            INSERT INTO counter(prefix, last) VALUES (?, 1) ON CONFLICT(prefix) DO UPDATE SET last = last + 1 RETURNING last
            """
        return try Int64.fetchOne(db, sql: sql, arguments: [prefix]) ?? 1
    }

    package func insert<D: StoredDocument>(_ document: D) throws {
        let keys = document.keys
        let columns = (["id", "number", "body"] + keys.map(\.column)).map { "\"\($0)\"" }.joined(separator: ", ")
        let marks = Array(repeating: "?", count: keys.count + 3).joined(separator: ", ")
        let fixed: [(any DatabaseValueConvertible)?] = [
            document.id, try nextNumber("#\(D.tableName)"), try Self.body(document),
        ]
        try db.execute(
            sql: "INSERT INTO \"\(D.tableName)\" (\(columns)) VALUES (\(marks))",
            arguments: StatementArguments(fixed + keys.map(\.value.databaseValue))
        )
        try afterWriting(document)
    }

    package func update<D: StoredDocument>(_ document: D) throws {
        let keys = document.keys
        let assignments = (["body"] + keys.map(\.column)).map { "\"\($0)\" = ?" }.joined(separator: ", ")
        let values: [(any DatabaseValueConvertible)?] =
            [try Self.body(document)] + keys.map(\.value.databaseValue) + [document.id]
        try db.execute(
            sql: "UPDATE \"\(D.tableName)\" SET \(assignments) WHERE id = ?",
            arguments: StatementArguments(values)
        )
        guard db.changesCount == 1 else { throw StoreError(.notFound, "The resource '\(document.id)' was not found.") }
        try afterWriting(document)
    }

    package func delete<D: StoredDocument>(_ type: D.Type, id: String) throws {
        try db.execute(sql: "DELETE FROM \"\(D.tableName)\" WHERE id = ?", arguments: [id])
    }

    package func find<D: StoredDocument>(_ type: D.Type, id: String) throws -> D? {
        try all(type, where: [("id", .text(id))]).first
    }

    /// The documents whose key columns have these values, in order of creation.
    package func all<D: StoredDocument>(
        _ type: D.Type,
        where conditions: [(column: String, value: StoreValue)] = [],
        newestFirst: Bool = false,
        limit: Int? = nil
    ) throws -> [D] {
        let filter = conditions.map { "\"\($0.column)\" IS ?" }.joined(separator: " AND ")
        var sql = "SELECT body FROM \"\(D.tableName)\""
        if !filter.isEmpty { sql += " WHERE \(filter)" }
        sql += " ORDER BY number \(newestFirst ? "DESC" : "ASC")"
        if let limit { sql += " LIMIT \(limit)" }
        let bodies = try String.fetchAll(
            db,
            sql: sql,
            arguments: StatementArguments(conditions.map(\.value.databaseValue))
        )
        return try bodies.map { try Self.decode(D.self, $0) }
    }

    package func exists<D: StoredDocument>(
        _ type: D.Type,
        where conditions: [(column: String, value: StoreValue)],
        except id: String? = nil
    ) throws -> Bool {
        let filter = conditions.map { "\"\($0.column)\" IS ?" }.joined(separator: " AND ")
        let values: [(any DatabaseValueConvertible)?] = conditions.map(\.value.databaseValue) + [id ?? ""]
        return try Bool.fetchOne(
            db,
            sql: "SELECT EXISTS (SELECT 1 FROM \"\(D.tableName)\" WHERE \(filter) AND id IS NOT ?)",
            arguments: StatementArguments(values)
        ) ?? false
    }

    /// Environments of machines and pools of workers are rows of their own, so that the schema keeps one in use from
    /// being deleted.
    private func afterWriting(_ document: some StoredDocument) throws {
        switch document {
        case let machine as DeploymentTarget:
            try replaceRows(of: machine.id, "machineId", in: "machineEnvironment", by: machine.environmentIDs)
        case let worker as Worker:
            try replaceRows(of: worker.id, "workerId", in: "workerPoolMember", by: worker.poolIDs)
        default: break
        }
    }

    private func replaceRows(of owner: String, _ column: String, in table: String, by ids: [String]) throws {
        try db.execute(sql: "DELETE FROM \(table) WHERE \(column) = ?", arguments: [owner])
        for id in Set(ids) { try db.execute(sql: "INSERT INTO \(table) VALUES (?, ?)", arguments: [owner, id]) }
    }

    // MARK: Settings

    package func setting(_ name: String) throws -> String? {
        try String.fetchOne(db, sql: "SELECT value FROM setting WHERE name = ?", arguments: [name])
    }

    package func set(_ name: String, to value: String) throws {
        try db.execute(
            sql: "INSERT INTO setting VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
            arguments: [name, value]
        )
    }

    // MARK: Task log

    package func insert(_ nodes: [ActivityNode]) throws {
        for node in nodes {
            let number = try nextNumber("#activityNode")
            try db.execute(
                sql: "INSERT INTO activityNode (id, taskId, number, body) VALUES (?, ?, ?, ?)",
                arguments: [node.id, node.taskID, number, try Self.body(node)]
            )
        }
    }

    package func update(_ node: ActivityNode) throws {
        try db.execute(sql: "UPDATE activityNode SET body = ? WHERE id = ?", arguments: [try Self.body(node), node.id])
    }

    package func nodes(taskID: String) throws -> [ActivityNode] {
        try String.fetchAll(
            db,
            sql: "SELECT body FROM activityNode WHERE taskId = ? ORDER BY number",
            arguments: [taskID]
        )
        .map { try Self.decode(ActivityNode.self, $0) }
    }

    /// Adds lines at the end of a task's log; gives the sequence number of the last.
    @discardableResult
    package func append(_ entries: [TaskLogEntry], taskID: String) throws -> Int64 {
        var last = try lastSequence(taskID: taskID)
        let statement = try db.cachedStatement(sql: "INSERT INTO taskLog VALUES (?, ?, ?, ?, ?, ?)")
        for entry in entries {
            last += 1
            try statement.execute(arguments: [
                taskID, last, entry.nodeID, entry.category.rawValue, entry.occurredAt.timeIntervalSince1970, entry.text,
            ])
        }
        return last
    }

    /// The lines after `sequence`, at most `limit`.
    package func log(taskID: String, after sequence: Int64, limit: Int) throws -> [TaskLogEntry] {
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT sequence, nodeId, category, occurredAt, text FROM taskLog
                WHERE taskId = ? AND sequence > ? ORDER BY sequence LIMIT ?
                """,
            arguments: [taskID, sequence, limit]
        )
        return rows.map { row in
            TaskLogEntry(
                nodeID: row[1],
                category: TaskLogEntry.Category(rawValue: row[2]) ?? .info,
                occurredAt: Date(timeIntervalSince1970: row[3]),
                text: row[4],
                sequence: row[0]
            )
        }
    }

    package func lastSequence(taskID: String) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT max(sequence) FROM taskLog WHERE taskId = ?", arguments: [taskID]) ?? 0
    }

    package func logSize(taskID: String) throws -> Int {
        try Int.fetchOne(
            db,
            sql: "SELECT sum(length(CAST(text AS BLOB))) FROM taskLog WHERE taskId = ?",
            arguments: [taskID]
        ) ?? 0
    }

    // MARK: Bodies

    private static func body(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }

    private static func decode<T: Decodable>(_ type: T.Type, _ body: String) throws -> T {
        try JSONDecoder().decode(type, from: Data(body.utf8))
    }
}

extension StoreValue {
    fileprivate var databaseValue: (any DatabaseValueConvertible)? {
        switch self {
        case .text(let text): text
        case .integer(let value): value
        case .null: nil
        }
    }
}
