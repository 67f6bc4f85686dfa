// swift-tools-version: 6.3
import PackageDescription

/// Settings of every target of ours (shared STYLE.md F1): Swift 6 mode, every upcoming feature, warnings as errors.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
    .treatAllWarnings(as: .error),
    .treatWarning("DeprecatedDeclaration", as: .warning),
]

/// Settings of a target that calls C: every `unsafe` expression is marked in the source.
let settingsCallingC = settings + [.strictMemorySafety()]

func library(_ name: String, _ dependencies: [Target.Dependency] = [], callsC: Bool = false) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: callsC ? settingsCallingC : settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency], callsC: Bool = false) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: callsC ? settingsCallingC : settings)
}

func tests(
    _ name: String,
    _ dependencies: [Target.Dependency],
    exclude: [String] = [],
    resources: [Resource] = []
) -> Target {
    .testTarget(
        name: name,
        dependencies: dependencies,
        exclude: exclude,
        resources: resources,
        swiftSettings: settings
    )
}

func systemLibrary(_ name: String, pkgConfig: String, apt: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([apt])])
}

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let serviceLifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let mustache = Target.Dependency.product(name: "Mustache", package: "swift-mustache")

let package = Package(
    name: "tentacle",
    products: [
        .library(name: "Halibut", targets: ["Halibut"]),
        .executable(name: "tentacle", targets: ["tentacle"]),
        .executable(name: "tentacle-agent", targets: ["tentacle-agent"]),
        .executable(name: "tentacle-launcher", targets: ["tentacle-launcher"]),
        .executable(name: "tentacle-server", targets: ["tentacle-server"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.14.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0", traits: []),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0", traits: []),
        .package(url: "https://github.com/hummingbird-project/swift-mustache.git", from: "2.1.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
    ],
    targets: [
        // The distribution's own C libraries, and the kernel.
        systemLibrary("COpenSSL", pkgConfig: "openssl", apt: "libssl-dev"),
        systemLibrary("CSystemd", pkgConfig: "libsystemd", apt: "libsystemd-dev"),
        systemLibrary("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
        systemLibrary("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
        systemLibrary("CArchive", pkgConfig: "libarchive", apt: "libarchive-dev"),
        systemLibrary("CSeccomp", pkgConfig: "libseccomp", apt: "libseccomp-dev"),
        .target(name: "CLinux"),

        // The wire.
        library("SecureTransport", ["COpenSSL", nioCore], callsC: true),
        library("BSON"),
        library("HalibutProtocol", ["BSON", "CZlib", nioCore], callsC: true),
        library("Halibut", ["BSON", "CLinux", "HalibutProtocol", "SecureTransport", nioCore, nioPosix, logging]),
        library(
            "HalibutTesting",
            ["BSON", "Halibut", "HalibutProtocol", "SecureTransport", nioCore, nioPosix, logging]
        ),
        library("TentacleContracts", ["BSON"]),
        library("ProcessTesting", ["CLinux"], callsC: true),

        // Scripts.
        library("LauncherProtocol", callsC: true),
        library("Sandbox", ["CLinux", "CSeccomp"], callsC: true),
        program("tentacle-launcher", ["LauncherProtocol", "Sandbox", "CLinux"], callsC: true),
        library("ScriptExecution", ["LauncherProtocol", "CLinux", logging], callsC: true),

        // The agent and its command line.
        library("AgentConfiguration", ["SecureTransport"]),
        library("TentacleLog", ["AgentConfiguration", "LauncherProtocol"]),
        library("HostIntegration", ["CSystemd", logging], callsC: true),
        library("OctopusClient", ["CCurl"], callsC: true),
        library("Packages", ["CArchive", "CLinux"], callsC: true),
        library(
            "TentacleAgent",
            [
                "AgentConfiguration", "BSON", "Halibut", "HalibutProtocol", "HostIntegration", "ScriptExecution",
                "SecureTransport", "TentacleContracts", "TentacleLog", logging, nioCore, nioPosix,
                serviceLifecycle, unixSignals,
            ]
        ),
        library(
            "TentacleCommands",
            [
                "AgentConfiguration", "LauncherProtocol", "OctopusClient", "Packages", "SecureTransport", "TentacleLog",
            ]
        ),
        program("tentacle", ["TentacleCommands"]),
        program("tentacle-agent", ["TentacleAgent"]),

        // The companion server.
        library("ServerDomain"),
        library("ServerStore", ["ServerDomain", grdb]),
        library(
            "DeploymentServer",
            [
                "BSON", "Halibut", "HalibutProtocol", "SecureTransport", "ServerDomain", "ServerStore",
                "TentacleContracts", httpTypes, hummingbird, hummingbirdCore,
                logging, mustache, nioCore, nioPosix, serviceLifecycle,
            ]
        ),
        program(
            "tentacle-server",
            ["DeploymentServer", argumentParser, logging, serviceLifecycle, unixSignals]
        ),

        // Not packages of their own: they measure through `package` access, and the release build is already there.
        .target(name: "CBenchmark", path: "Benchmarks/CBenchmark"),
        .target(
            name: "BenchmarkSupport",
            dependencies: ["SecureTransport", nioCore, nioPosix],
            path: "Benchmarks/BenchmarkSupport",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "tentacle-bench",
            dependencies: [
                "BenchmarkSupport", "BSON", "Halibut", "SecureTransport", "TentacleContracts", logging, nioCore,
                nioPosix,
            ],
            path: "Benchmarks/TentacleBench",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "halibut-bench",
            dependencies: [
                "BenchmarkSupport", "CBenchmark", "BSON", "Halibut", "HalibutProtocol", "SecureTransport", logging,
                nioCore, nioPosix,
            ],
            path: "Benchmarks/HalibutBench",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "script-bench",
            dependencies: ["BenchmarkSupport", "LauncherProtocol", "ScriptExecution", logging],
            path: "Benchmarks/ScriptBench",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "sandbox-bench",
            dependencies: ["CLinux", "Sandbox"],
            path: "Benchmarks/SandboxBench",
            swiftSettings: settings
        ),

        // Tests.
        tests("BSONTests", ["BSON"]),
        tests("TentacleContractsTests", ["BSON", "TentacleContracts"]),
        tests("SecureTransportTests", ["ProcessTesting", "SecureTransport", nioCore, nioPosix]),
        tests("HalibutProtocolTests", ["BSON", "HalibutProtocol", nioCore]),
        tests(
            "HalibutTests",
            [
                "ProcessTesting", "BSON", "Halibut", "HalibutProtocol", "HalibutTesting", "SecureTransport", logging,
                nioCore, nioPosix,
            ]
        ),
        tests("LauncherProtocolTests", ["LauncherProtocol"]),
        tests("SandboxTests", ["Sandbox"]),
        // The script service as a program that a test can kill.
        .executableTarget(
            name: "script-service-host",
            dependencies: ["ScriptExecution", logging],
            path: "Tests/ScriptServiceHost",
            swiftSettings: settings
        ),
        // Fails the system call that a test chooses.
        .executableTarget(name: "fault-injector", path: "Tests/FaultInjector"),
        // What scripts try in order to get out of their sandbox.
        .executableTarget(name: "escape-attempts", path: "Tests/EscapeAttempts"),
        tests(
            "EscapeTests",
            ["ProcessTesting", "LauncherProtocol", "escape-attempts", "tentacle-launcher"],
            exclude: ["README.md"]
        ),
        tests(
            "ScriptExecutionTests",
            [
                "ProcessTesting", "CLinux", "LauncherProtocol", "ScriptExecution", "SecureTransport",
                "fault-injector", "script-service-host", "tentacle-launcher", logging,
            ]
        ),
        tests("AgentConfigurationTests", ["AgentConfiguration", "SecureTransport"]),
        // Writes a log file, so that several of it can write into one.
        .executableTarget(
            name: "log-writer",
            dependencies: ["TentacleLog"],
            path: "Tests/LogWriter",
            swiftSettings: settings
        ),
        tests(
            "TentacleLogTests",
            ["AgentConfiguration", "ProcessTesting", "TentacleLog", "log-writer"]
        ),
        tests("HostIntegrationTests", ["HostIntegration", "ProcessTesting", logging]),
        tests("OctopusClientTests", ["OctopusClient"]),
        tests("PackagesTests", ["Packages", "ProcessTesting"]),
        tests(
            "TentacleCommandsTests",
            [
                "AgentConfiguration", "LauncherProtocol", "OctopusClient", "ProcessTesting", "SecureTransport",
                "TentacleCommands", "TentacleLog", "fault-injector", "tentacle", "tentacle-launcher",
            ]
        ),
        tests(
            "TentacleAgentTests",
            [
                "ProcessTesting",
                "AgentConfiguration", "BSON", "Halibut", "HalibutProtocol", "ScriptExecution", "SecureTransport",
                "TentacleAgent", "TentacleContracts", "TentacleLog", "fault-injector", "tentacle-agent",
                "tentacle-launcher", logging,
            ]
        ),
        tests("ServerDomainTests", ["ServerDomain"]),
        tests("ServerStoreTests", ["ServerDomain", "ServerStore", grdb]),
        tests(
            "DeploymentServerTests",
            [
                "BSON", "DeploymentServer", "Halibut", "SecureTransport", "ServerDomain", "ServerStore",
                "TentacleContracts", httpTypes, hummingbird, logging, nioCore,
            ]
        ),
        tests("ArchitectureTests", ["ProcessTesting"]),
        tests("IntegrationTests", ["HalibutTesting", "ProcessTesting", "SecureTransport"]),
    ]
)

// Fuzz targets exist only for `make fuzz`: each has libFuzzer's entry instead of a main, so an ordinary build cannot link
// them. Not a package of its own: they reach for `package` access.
if Context.environment["TENTACLE_FUZZ"] != nil {
    func fuzzer(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
        .executableTarget(
            name: name,
            dependencies: ["FuzzSupport"] + dependencies,
            path: "Fuzz/\(name)",
            swiftSettings: settings
        )
    }
    package.targets += [
        .target(name: "FuzzSupport", path: "Fuzz/FuzzSupport", swiftSettings: settings),
        fuzzer("FuzzLines", ["HalibutProtocol", nioCore]),
        fuzzer("FuzzBSON", ["BSON", "HalibutProtocol"]),
        fuzzer("FuzzContracts", ["BSON", "HalibutProtocol", "TentacleContracts", nioCore]),
        fuzzer("FuzzFrames", ["BSON", "HalibutProtocol", nioCore]),
        fuzzer("FuzzMachines", ["HalibutProtocol", nioCore]),
        fuzzer("FuzzQueue", ["HalibutProtocol"]),
        fuzzer("FuzzProxy", ["HalibutProtocol", nioCore]),
        fuzzer("FuzzCertificates", ["SecureTransport"]),
        fuzzer("FuzzConfiguration", ["AgentConfiguration", "SecureTransport"]),
        fuzzer("FuzzEnvFile", ["AgentConfiguration"]),
        fuzzer("FuzzIndexFiles", ["AgentConfiguration"]),
        fuzzer("FuzzLauncherFiles", ["LauncherProtocol"]),
        fuzzer("FuzzPolicyFile", ["Sandbox"]),
    ]
}

// While several people work on one small machine: TENTACLE_ONLY="HalibutTests,BSONTests" keeps only these targets and
// what they need, so that `swift build` and `swift test` do not build the rest.
if let names = Context.environment["TENTACLE_ONLY"] {
    var wanted = Set<String>()
    var queue = names.split(separator: ",").map(String.init)
    var packages = Set<String>()
    while let name = queue.popLast() {
        guard let target = package.targets.first(where: { $0.name == name }), wanted.insert(name).inserted else {
            continue
        }
        for dependency in target.dependencies {
            switch dependency {
            case .byNameItem(let name, _), .targetItem(let name, _): queue.append(name)
            case .productItem(_, let package, _, _): if let package { packages.insert(package.lowercased()) }
            @unknown default: break
            }
        }
    }
    package.targets.removeAll { !wanted.contains($0.name) }
    package.products.removeAll { !wanted.contains($0.name) }
    package.dependencies.removeAll { dependency in
        if case .sourceControl(_, let location, _) = dependency.kind {
            return !packages.contains { location.lowercased().hasSuffix("/\($0).git") }
        }
        return false
    }
}
