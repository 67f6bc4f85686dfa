package import FoundationEssentials

/// Bytes that came with a call and are complete: a spool file, or memory.
package enum StagedStream: Sendable, Equatable {
    case file(path: String, length: Int64)
    case bytes([UInt8])

    package var length: Int64 {
        switch self {
        case .file(_, let length): length
        case .bytes(let bytes): Int64(bytes.count)
        }
    }
}

/// Whether a script shares its mutex (tentacle-services.md 10).
package enum ScriptIsolation: Sendable, Hashable {
    case none
    case full
}

/// All that starting a script needs; the adapters make it from the V1 and V2 commands.
package struct ScriptStart: Sendable {
    package struct File: Sendable {
        package var name: String
        package var contents: StagedStream
        package var encryptionPassword: String?

        package init(name: String, contents: StagedStream, encryptionPassword: String? = nil) {
            self.name = name
            self.contents = contents
            self.encryptionPassword = encryptionPassword
        }
    }

    /// `Scripts["Bash"]` when that key is present, else `ScriptBody` (tentacle-services.md 6).
    package var body: String
    /// The server's task; only shown in mutex texts.
    ///
    /// V1 may have none.
    package var taskID: String?
    /// How long `start` waits for the script to end; nil, zero or less: not at all.
    package var wait: Duration?
    package var isolation: ScriptIsolation
    /// nil is `RunningScript`.
    package var mutexName: String?
    /// Zero, or more than the wire's maximum of 2147483647 ms, is no limit.
    package var mutexTimeout: Duration
    package var files: [File]
    /// As sent: joined by spaces and split again before they reach bash (tentacle-services.md 7).
    package var arguments: [String]

    package init(
        body: String,
        taskID: String?,
        wait: Duration? = nil,
        isolation: ScriptIsolation = .none,
        mutexName: String? = nil,
        mutexTimeout: Duration = .zero,
        files: [File] = [],
        arguments: [String] = []
    ) {
        self.body = body
        self.taskID = taskID
        self.wait = wait
        self.isolation = isolation
        self.mutexName = mutexName
        self.mutexTimeout = mutexTimeout
        self.files = files
        self.arguments = arguments
    }
}

/// One entry of a script's log; raw values are the wire's ordinals.
package struct ScriptLogEntry: Sendable, Equatable {
    package enum Source: Int, Sendable { case standardOutput, standardError, debug }

    package var source: Source
    package var occurred: Date
    package var text: String

    package init(source: Source, occurred: Date, text: String) {
        self.source = source
        self.occurred = occurred
        self.text = text
    }
}

/// What a status call answers, for both services.
package struct ScriptStatus: Sendable, Equatable {
    /// Raw values are the wire's ordinals.
    package enum State: Int, Sendable { case pending, running, complete }

    /// As the caller wrote it.
    package var ticket: String
    package var logs: [ScriptLogEntry]
    package var nextLogSequence: Int64
    package var state: State
    package var exitCode: Int32
}

/// Which of the two services asks: unknown tickets differ (tentacle-services.md 5.5).
package enum ScriptServiceGeneration: Int64, Sendable {
    case v1 = 1
    case v2 = 2
}

/// Exit codes that are not the script's own (tentacle-services.md 3.2).
package enum ScriptExitCode {
    package static let fatal: Int32 = -41
    package static let couldNotStart: Int32 = -42
    package static let cancelledBeforeStart: Int32 = -43
    package static let mutexTimeout: Int32 = -44
    package static let unknownScript: Int32 = -45
    package static let unknownResult: Int32 = -46
    /// A script that was running when it was cancelled (tentacle-services.md 9).
    package static let cancelled: Int32 = -1
}

/// The agent refuses or cannot do what was asked; the text is for the server's user.
package struct ScriptExecutionError: Error, Equatable, CustomStringConvertible {
    package struct Code: Equatable, Sendable {
        private enum Kind { case invalidTicket, invalidFileName, diskFull, noHome, file, launcher }
        private let kind: Kind
        private init(_ kind: Kind) { self.kind = kind }

        package static let invalidTicket = Code(.invalidTicket)
        package static let invalidFileName = Code(.invalidFileName)
        package static let diskFull = Code(.diskFull)
        package static let noHomeDirectory = Code(.noHome)
        package static let file = Code(.file)
        package static let launcher = Code(.launcher)
    }

    package var code: Code
    package var description: String

    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
