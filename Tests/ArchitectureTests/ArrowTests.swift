import Foundation
import Testing

/// The arrows of the shared STYLE.md D2: what a module may import, and nothing else.
@Suite struct ArrowTests {
    /// What each target may depend on.
    ///
    /// Products of other packages are written as they are imported.
    static let allowed: [String: Set<String>] = [
        "SecureTransport": ["COpenSSL", "NIOCore"],
        "BSON": [],
        "HalibutProtocol": ["BSON", "CZlib", "NIOCore"],
        "Halibut": ["BSON", "HalibutProtocol", "SecureTransport", "NIOCore", "NIOPosix", "Logging", "CLinux"],
        "HalibutTesting": [
            "BSON", "Halibut", "HalibutProtocol", "SecureTransport", "NIOCore", "NIOPosix", "Logging",
        ],
        "TentacleContracts": ["BSON"],
        "LauncherProtocol": [],
        "ProcessTesting": ["CLinux"],
        "Sandbox": ["CLinux", "CSeccomp"],
        "tentacle-launcher": ["LauncherProtocol", "Sandbox", "CLinux"],
        "ScriptExecution": ["TentacleContracts", "LauncherProtocol", "CLinux", "Logging"],
        "AgentConfiguration": ["SecureTransport"],
        "TentacleLog": ["AgentConfiguration", "LauncherProtocol"],
        "HostIntegration": ["CSystemd", "Logging"],
        "OctopusClient": ["CCurl"],
        "Packages": ["CArchive", "CLinux"],
        "TentacleAgent": [
            "AgentConfiguration", "BSON", "Halibut", "HalibutProtocol", "HostIntegration", "ScriptExecution",
            "SecureTransport", "TentacleContracts", "TentacleLog", "Logging", "NIOCore", "NIOPosix", "ServiceLifecycle",
            "UnixSignals",
        ],
        "TentacleCommands": [
            "AgentConfiguration", "HostIntegration", "LauncherProtocol", "OctopusClient", "Packages",
            "SecureTransport", "TentacleLog", "ArgumentParser", "Logging",
        ],
        "tentacle": ["TentacleCommands"],
        "tentacle-agent": ["TentacleAgent"],
        "ServerDomain": [],
        "ServerStore": ["ServerDomain", "GRDB"],
        "DeploymentServer": [
            "BSON", "Halibut", "HalibutProtocol", "SecureTransport", "ServerDomain", "ServerStore", "TentacleContracts",
            "HTTPTypes", "Hummingbird", "HummingbirdCore", "Logging", "Mustache", "NIOCore", "NIOPosix",
            "ServiceLifecycle",
        ],
        "tentacle-server": [
            "DeploymentServer", "HostIntegration", "ArgumentParser", "Logging", "ServiceLifecycle", "UnixSignals",
        ],
    ]

    @Test("every dependency in Package.swift is an arrow that the design allows")
    func arrows() async throws {
        // A scratch path of its own: `swift test` holds the lock on the usual one while it runs us.
        let scratch = FileManager.default.temporaryDirectory.appending(path: "arrows-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: scratch) }
        let dump = try await Repository.output(
            of: "swift",
            ["package", "--scratch-path", scratch.path, "dump-package"]
        )
        let manifest = try JSONDecoder().decode(Manifest.self, from: Data(dump.utf8))
        for target in manifest.targets where target.type == "regular" || target.type == "executable" {
            guard let allowed = Self.allowed[target.name] else {
                // Headers only, and programs that are not shipped.
                if ![
                    "CLinux", "CBenchmark", "BenchmarkSupport", "escape-attempts", "fault-injector",
                    "halibut-bench", "log-writer", "sandbox-bench", "script-bench", "script-service-host",
                    "tentacle-bench",
                ].contains(
                    target.name
                ) {
                    Issue.record("\(target.name) has no row in the table of arrows")
                }
                continue
            }
            for dependency in target.dependencies.map(\.name) {
                #expect(allowed.contains(dependency), "\(target.name) must not depend on \(dependency)")
            }
        }
    }

    @Test("agent programs import FoundationEssentials only: full Foundation costs 44 MB")
    func noFoundation() throws {
        let agentTargets = [
            "SecureTransport", "BSON", "HalibutProtocol", "Halibut", "TentacleContracts", "LauncherProtocol", "Sandbox",
            "tentacle-launcher", "ScriptExecution", "AgentConfiguration", "HostIntegration", "OctopusClient",
            "TentacleAgent", "TentacleCommands", "TentacleLog", "tentacle", "tentacle-agent",
        ]
        for target in agentTargets {
            for (path, text) in try Repository.swiftSources(in: "Sources/\(target)") {
                #expect(!text.contains(#/(?m)^\s*(\w+ )?import Foundation\s*$/#), "\(path) imports Foundation")
            }
        }
    }

    @Test("the launcher and its modules import no Foundation at all")
    func launcherIsBare() throws {
        for target in ["LauncherProtocol", "Sandbox", "tentacle-launcher"] {
            for (path, text) in try Repository.swiftSources(in: "Sources/\(target)") {
                #expect(!text.contains(#/(?m)^\s*(\w+ )?import Foundation/#), "\(path) imports Foundation")
            }
        }
    }

    private struct Manifest: Decodable {
        var targets: [Target]
    }

    private struct Target: Decodable {
        var name: String
        var type: String
        var dependencies: [Dependency]
    }

    /// `{"byName": ["BSON", null]}` or `{"product": ["NIOCore", "swift-nio", null, null]}`.
    private struct Dependency: Decodable {
        var name: String

        init(from decoder: any Decoder) throws {
            let forms = try decoder.singleValueContainer().decode([String: [Name?]].self)
            name = forms.values.first?.first??.text ?? "?"
        }
    }

    /// A name, or one of the objects that stand for conditions beside it.
    private struct Name: Decodable {
        var text: String?

        init(from decoder: any Decoder) throws {
            text = try? decoder.singleValueContainer().decode(String.self)
        }
    }
}
