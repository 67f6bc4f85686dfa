/// `script.json`: how to start one script, and what a restarted agent needs to let it wait again.
///
/// Mode 0600: the environment may hold a proxy password (tentacle-services.md 7).
package struct ScriptSpecification: Equatable, Sendable {
    package static let version: Int64 = 1
    package static let fileName = "script.json"
    package static let scriptFileName = "Bootstrap.sh"
    package static let logFileName = "Output.log"
    /// Twice what Linux lets a process have as arguments and environment.
    package static let maximumBytes = 4 << 20

    /// A few for each instance of a machine; each is a mount for the script.
    package static let maximumProtected = 1000

    package var ticket: String
    /// 1 or 2: which of the two script services was called.
    package var service: Int64
    package var taskID: String
    package var fullIsolation: Bool
    package var mutexName: String
    package var mutexTimeoutMilliseconds: Int64?
    /// What bash gets after the path of the script, already split.
    package var arguments: [String]
    package var environment: [String: String]
    /// The policy that was configured for the agent's instance; the machine has the last word.
    package var sandbox: String?
    /// Name of the agent's instance, which rules of the machine may ask for.
    package var instance: String?
    /// Files and directories of the agent's that no script shall read.
    package var protected: [String]

    package init(
        ticket: ScriptTicketName,
        service: Int64,
        taskID: String,
        fullIsolation: Bool,
        mutexName: String,
        mutexTimeoutMilliseconds: Int64?,
        arguments: [String],
        environment: [String: String],
        sandbox: String? = nil,
        instance: String? = nil,
        protected: [String] = []
    ) {
        self.ticket = ticket.description
        self.service = service
        self.taskID = taskID
        self.fullIsolation = fullIsolation
        self.mutexName = mutexName
        self.mutexTimeoutMilliseconds = mutexTimeoutMilliseconds
        self.arguments = arguments
        self.environment = environment
        self.sandbox = sandbox
        self.instance = instance
        self.protected = protected
    }

    package func encoded() -> [UInt8] {
        let variables = environment.sorted { $0.key < $1.key }.map { JSONText.Member($0.key, .string($0.value)) }
        var members: [JSONText.Member] = [
            .init("version", .integer(Self.version)), .init("ticket", .string(ticket)),
            .init("service", .integer(service)), .init("taskId", .string(taskID)),
            .init("fullIsolation", .bool(fullIsolation)), .init("mutexName", .string(mutexName)),
            .init("mutexTimeoutMilliseconds", .optional(mutexTimeoutMilliseconds)),
            .init("arguments", .array(arguments.map { .string($0) })), .init("environment", .object(variables)),
        ]
        for (name, value) in [("sandbox", sandbox), ("instance", instance)] {
            if let value { members.append(.init(name, .string(value))) }
        }
        if !protected.isEmpty { members.append(.init("protected", .array(protected.map { .string($0) }))) }
        return JSONText.object(members).encoded() + [0x0A]
    }

    package init(bytes: [UInt8]) throws(LauncherProtocolError) {
        let json = try JSONText(bytes: bytes)
        guard json["version"]?.integer == Self.version else {
            throw LauncherProtocolError("script.json is of a version this program does not know")
        }
        guard let ticket = json["ticket"]?.string, let service = json["service"]?.integer,
            let taskID = json["taskId"]?.string, let fullIsolation = json["fullIsolation"]?.bool,
            let mutexName = json["mutexName"]?.string, let arguments = json["arguments"]?.array,
            case .object(let variables)? = json["environment"]
        else { throw LauncherProtocolError("script.json lacks a member or has one of the wrong type") }
        self.ticket = ticket
        self.service = service
        self.taskID = taskID
        self.fullIsolation = fullIsolation
        self.mutexName = mutexName
        self.mutexTimeoutMilliseconds = json["mutexTimeoutMilliseconds"]?.integer
        self.arguments = arguments.compactMap(\.string)
        self.environment = [:]
        for variable in variables { environment[variable.name] = variable.value.string }
        guard self.arguments.count == arguments.count else {
            throw LauncherProtocolError("an argument in script.json is not a string")
        }
        // What is there and not understood must not pass for absent: less would be confined.
        let listed = json["protected"].map { $0 == .null ? [] : $0.array ?? [.null] } ?? []
        self.sandbox = json["sandbox"]?.string
        self.instance = json["instance"]?.string
        self.protected = listed.compactMap(\.string)
        guard self.protected.count == listed.count, (self.sandbox == nil) == ((json["sandbox"] ?? .null) == .null),
            (self.instance == nil) == ((json["instance"] ?? .null) == .null)
        else { throw LauncherProtocolError("sandbox, instance or protected in script.json is of the wrong type") }
        guard self.protected.count <= Self.maximumProtected, self.protected.allSatisfy({ $0.hasPrefix("/") }) else {
            throw LauncherProtocolError(
                "protected in script.json is a list of at most \(Self.maximumProtected) absolute paths"
            )
        }
    }
}
