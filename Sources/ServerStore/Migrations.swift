import GRDB

/// The schema's history.
///
/// Append only: a migration that has shipped is never edited (STYLE.md C24).
enum Migrations {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("2026-11 documents") { try createDocuments(in: $0) }
        migrator.registerMigration("2026-11 task log") { try createTaskLog(in: $0) }
        migrator.registerMigration("2026-11 registration") { try createRegistration(in: $0) }
        return migrator
    }

    private static func createDocuments(in db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE setting (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
                CREATE TABLE counter (prefix TEXT PRIMARY KEY NOT NULL, last INTEGER NOT NULL) WITHOUT ROWID;
                """
        )
        try document("space", "name TEXT NOT NULL COLLATE NOCASE UNIQUE, slug TEXT NOT NULL UNIQUE", in: db)
        try document("user", "username TEXT NOT NULL COLLATE NOCASE UNIQUE", in: db)
        try document(
            "apiKey",
            "userId TEXT NOT NULL REFERENCES user ON DELETE CASCADE, digest TEXT NOT NULL UNIQUE",
            in: db
        )
        try named("environment", "sortOrder INTEGER NOT NULL", in: db)
        try named("lifecycle", in: db)
        try named("projectGroup", in: db)
        try named(
            "project",
            """
            lifecycleId TEXT NOT NULL REFERENCES lifecycle ON DELETE RESTRICT,
            projectGroupId TEXT NOT NULL REFERENCES projectGroup ON DELETE RESTRICT
            """,
            in: db
        )
        try named("machine", "thumbprint TEXT NOT NULL, uri TEXT NOT NULL", in: db)
        try db.execute(
            sql: """
                CREATE TABLE machineEnvironment (
                  machineId TEXT NOT NULL REFERENCES machine ON DELETE CASCADE,
                  environmentId TEXT NOT NULL REFERENCES environment ON DELETE RESTRICT,
                  PRIMARY KEY (machineId, environmentId)) WITHOUT ROWID;
                CREATE INDEX machineByThumbprint ON machine(thumbprint);
                """
        )
        try createProjectDocuments(in: db)
    }

    private static func createProjectDocuments(in db: Database) throws {
        let ofProject = "projectId TEXT NOT NULL REFERENCES project ON DELETE CASCADE"
        try document(
            "channel",
            """
            spaceId TEXT NOT NULL REFERENCES space ON DELETE RESTRICT, \(ofProject),
            name TEXT NOT NULL COLLATE NOCASE, slug TEXT NOT NULL,
            lifecycleId TEXT REFERENCES lifecycle ON DELETE RESTRICT,
            UNIQUE (projectId, name), UNIQUE (projectId, slug)
            """,
            in: db
        )
        try document("deploymentProcess", "\(ofProject), version INTEGER NOT NULL", in: db)
        try document(
            "serverTask",
            "spaceId TEXT NOT NULL, projectId TEXT, kind TEXT NOT NULL, state TEXT NOT NULL",
            in: db
        )
        try db.execute(sql: "CREATE INDEX serverTaskByState ON serverTask(state)")
        try document(
            "release",
            """
            \(ofProject), channelId TEXT NOT NULL REFERENCES channel ON DELETE RESTRICT,
            version TEXT NOT NULL COLLATE NOCASE,
            processSnapshotId TEXT NOT NULL REFERENCES deploymentProcess ON DELETE RESTRICT,
            UNIQUE (projectId, version)
            """,
            in: db
        )
        try document(
            "deployment",
            """
            \(ofProject), releaseId TEXT NOT NULL REFERENCES "release" ON DELETE CASCADE,
            environmentId TEXT NOT NULL REFERENCES environment ON DELETE RESTRICT,
            taskId TEXT NOT NULL REFERENCES serverTask ON DELETE CASCADE
            """,
            in: db
        )
    }

    private static func createTaskLog(in db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE activityNode (
                  id TEXT PRIMARY KEY NOT NULL,
                  taskId TEXT NOT NULL REFERENCES serverTask ON DELETE CASCADE,
                  number INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
                CREATE INDEX activityNodeByTask ON activityNode(taskId, number);
                CREATE TABLE taskLog (
                  taskId TEXT NOT NULL REFERENCES serverTask ON DELETE CASCADE,
                  sequence INTEGER NOT NULL, nodeId TEXT NOT NULL REFERENCES activityNode ON DELETE CASCADE,
                  category TEXT NOT NULL, occurredAt REAL NOT NULL, text TEXT NOT NULL,
                  PRIMARY KEY (taskId, sequence)) WITHOUT ROWID;
                """
        )
    }

    /// Workers and what agents of both kinds refer to; machines get the members that they have now.
    private static func createRegistration(in db: Database) throws {
        for name in ["workerPool", "machinePolicy", "proxy", "tenant", "tagSet"] { try named(name, in: db) }
        try named("worker", "thumbprint TEXT NOT NULL, uri TEXT NOT NULL", in: db)
        try db.execute(
            sql: """
                CREATE TABLE workerPoolMember (
                  workerId TEXT NOT NULL REFERENCES worker ON DELETE CASCADE,
                  workerPoolId TEXT NOT NULL REFERENCES workerPool ON DELETE RESTRICT,
                  PRIMARY KEY (workerId, workerPoolId)) WITHOUT ROWID;
                CREATE INDEX workerByThumbprint ON worker(thumbprint);
                UPDATE machine SET body = json_set(
                  body, '$.tenantIDs', json('[]'), '$.tenantTags', json('[]'), '$.participation',
                  CASE json_extract(json_extract(body, '$.echoed'), '$.TenantedDeploymentParticipation')
                    WHEN 'Tenanted' THEN 'Tenanted' WHEN 'TenantedOrUntenanted' THEN 'TenantedOrUntenanted'
                    ELSE 'Untenanted' END);
                """
        )
    }

    /// A document table: the id as clients write it in any case, the key columns, the JSON body, the order of creation.
    private static func document(_ name: String, _ columns: String, in db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE "\(name)" (
                  id TEXT PRIMARY KEY NOT NULL COLLATE NOCASE, number INTEGER NOT NULL, body TEXT NOT NULL, \(columns))
                """
        )
    }

    private static func named(_ name: String, _ columns: String? = nil, in db: Database) throws {
        let common = """
            spaceId TEXT NOT NULL REFERENCES space ON DELETE RESTRICT, name TEXT NOT NULL COLLATE NOCASE, slug TEXT NOT NULL
            """
        let unique = "UNIQUE (spaceId, name), UNIQUE (spaceId, slug)"
        try document(name, [common, columns, unique].compactMap(\.self).joined(separator: ", "), in: db)
    }
}
