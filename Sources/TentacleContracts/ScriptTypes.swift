import BSON
package import FoundationEssentials

/// Whether a script has the agent to itself.
package enum ScriptIsolationLevel: Int32, WireEnumeration {
    case noIsolation = 0
    case fullIsolation = 1

    package var wireName: String {
        switch self {
        case .noIsolation: "NoIsolation"
        case .fullIsolation: "FullIsolation"
        }
    }
}

/// What a script has come to.
package enum ProcessState: Int32, WireEnumeration {
    case pending = 0
    case running = 1
    case complete = 2

    package var wireName: String {
        switch self {
        case .pending: "Pending"
        case .running: "Running"
        case .complete: "Complete"
        }
    }
}

/// Where a line of output came from.
package enum ProcessOutputSource: Int32, WireEnumeration {
    case stdOut = 0
    case stdErr = 1
    case debug = 2

    package var wireName: String {
        switch self {
        case .stdOut: "StdOut"
        case .stdErr: "StdErr"
        case .debug: "Debug"
        }
    }
}

/// The shell a script is written for; on the wire only a key of ``ScriptBodies``.
package enum ScriptType: Int32, WireEnumeration {
    case powerShell = 0
    case bash = 1

    package var wireName: String {
        switch self {
        case .powerShell: "PowerShell"
        case .bash: "Bash"
        }
    }
}

/// The bodies of a script by shell: a dictionary on the wire, keyed by enum name, written in ordinal order.
package struct ScriptBodies: Hashable, Sendable, Codable, ExpressibleByDictionaryLiteral {
    package var powerShell: String?
    package var bash: String?

    package init(powerShell: String? = nil, bash: String? = nil) {
        self.powerShell = powerShell
        self.bash = bash
    }

    package init(dictionaryLiteral elements: (ScriptType, String)...) {
        for (type, body) in elements { self[type] = body }
    }

    package subscript(type: ScriptType) -> String? {
        get {
            switch type {
            case .powerShell: self.powerShell
            case .bash: self.bash
            }
        }
        set {
            switch type {
            case .powerShell: self.powerShell = newValue
            case .bash: self.bash = newValue
            }
        }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: BodyKey.self)
        for key in container.allKeys where key.stringValue != "$type" {
            guard let type = ScriptType(wireText: key.stringValue) else {
                throw DecodingError.dataCorruptedError(
                    forKey: key,
                    in: container,
                    debugDescription: "\(key.stringValue) is not a script type."
                )
            }
            self[type] = try container.decodeIfPresent(String.self, forKey: key)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: BodyKey.self)
        for type in ScriptType.allCases {
            guard let body = self[type] else { continue }
            try container.encode(body, forKey: BodyKey(stringValue: type.wireName))
        }
    }

    private struct BodyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}

/// A data stream announced in a parameter or result; its bytes follow the message (halibut.md 6.6).
package struct DataStreamReference: WireContract, Hashable {
    package static let wireTypeName = "Halibut.DataStream, Halibut"

    package var id: UUID
    package var length: Int64

    package init(id: UUID = UUID(), length: Int64) {
        self.id = id
        self.length = length
    }

    private enum CodingKeys: String, CodingKey {
        case id
        case length
    }
}

/// A file to put beside a script before it starts.
package struct ScriptFile: WireContract, Hashable {
    package static let wireTypeName = "Octopus.Shared.Contracts.ScriptFile, Octopus.Shared"

    package var name: String
    package var contents: DataStreamReference
    /// When set, the file is stored encrypted with this password; never log it.
    package var encryptionPassword: String?

    package init(name: String, contents: DataStreamReference, encryptionPassword: String? = nil) {
        self.name = name
        self.contents = contents
        self.encryptionPassword = encryptionPassword
    }

    private enum CodingKeys: String, CodingKey {
        case name = "Name"
        case contents = "Contents"
        case encryptionPassword = "EncryptionPassword"
    }
}

/// One line of a script's output.
package struct ProcessOutput: Hashable, Sendable, Codable {
    package var source: ProcessOutputSource
    /// To the millisecond on the wire.
    package var occurred: Date
    package var text: String

    package init(source: ProcessOutputSource, occurred: Date, text: String) {
        self.source = source
        self.occurred = occurred
        self.text = text
    }

    private enum CodingKeys: String, CodingKey {
        case source = "Source"
        case occurred = "Occurred"
        case text = "Text"
    }
}

/// What holds for scripts whose command does not say otherwise.
package enum ScriptIsolationDefault {
    /// The name of the mutex when a command has none.
    package static let mutexName = "RunningScript"
    /// How long a server lets a script wait for the mutex: `int.MaxValue` milliseconds.
    package static let mutexTimeout = Duration.milliseconds(Int32.max)
}
