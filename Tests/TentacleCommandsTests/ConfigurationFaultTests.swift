import AgentConfiguration
import Foundation
import Glibc
import ProcessTesting
import SecureTransport
import TentacleLog
import Testing

/// Every file-changing call of the command line fails once: either the old files are there or the new ones, and whole.
@Suite(.timeLimit(.minutes(10)))
struct ConfigurationFaultTests {
    /// A command that changes files, and how to see that it has.
    enum Change: String, CaseIterable, CustomTestStringConvertible {
        case createInstance = "create-instance"
        case newCertificate = "new-certificate"
        case importCertificate = "import-certificate"
        case serverComms = "server-comms"
        case configure
        case export

        var testDescription: String { rawValue }

        /// Takes its time.
        var makesKeys: Bool { self == .newCertificate || self == .export }

        func arguments(_ home: String) -> [String] {
            switch self {
            case .createInstance:
                [rawValue, "--instance=Tentacle", "--config=\(home)/instance/t.config", "--home=\(home)/instance"]
            case .newCertificate: [rawValue, "--instance=Tentacle"]
            case .importCertificate: [rawValue, "--instance=Tentacle", "--from-file=\(home)/in.pfx"]
            case .serverComms: [rawValue, "--instance=Tentacle", "--style=TentacleActive", "--host=octo"]
            case .configure:
                [rawValue, "--instance=Tentacle", "--port=10955", "--app=\(home)/apps/deep", "--trust=\(thumbprint)"]
            case .export:
                ["new-certificate", "--instance=Tentacle", "--export-pfx=\(home)/out.pfx", "--pfx-password=p"]
            }
        }

        private var thumbprint: String { String(repeating: "AB", count: 20) }

        func isDone(_ home: String, _ host: HostFiles) throws -> Bool {
            if self == .export {
                let archive = FileManager.default.contents(atPath: home + "/out.pfx")
                return try archive.map { _ = try TLSIdentity(pkcs12: Array($0), password: "p") } != nil
            }
            let instances = InstanceRegistry(host: host).list()
            #expect(instances.warnings == [])
            let path = home + "/instance/t.config"
            guard instances.instances.contains(where: { $0.configurationPath == path }) else { return false }
            let configuration = try TentacleConfiguration.load(from: path, host: host)
            switch self {
            case .createInstance: return configuration.homeDirectory == home + "/instance"
            case .newCertificate: return try configuration.identity() != nil
            case .importCertificate: return try configuration.identity() == TestIdentity.shared.get()
            case .serverComms:
                let servers = try configuration.trustedServers()
                // Of an address and its subscription there is never one alone.
                #expect(servers.allSatisfy { ($0.address == nil) == ($0.subscriptionID == nil) })
                return servers.contains { $0.hasAddress("https://octo:10943") }
            case .configure:
                let servers = try configuration.trustedServers().map(\.thumbprint)
                // All of it or nothing.
                #expect(try (configuration.integer(.port) == 10955) == servers.contains(thumbprint))
                return servers.contains(thumbprint)
            case .export: return false
            }
        }
    }

    /// A host of its own: where instances are listed, an instance, and a folder for temporary files.
    private struct Home {
        let path: String
        /// In front of `/etc`, which the command sees in its place.
        let root: String

        var environment: [String: String] {
            [
                "TentacleMachineConfigurationHomeDirectory": path + "/machine", "TMPDIR": path + "/tmp",
                "DefaultLogDirectory": path + "/logs",
            ]
        }

        var host: HostFiles { HostFiles(root: root, environment: environment) }

        static func with(_ name: String, hasOwnEtc: Bool = false, _ body: (Home) async throws -> Void) async throws {
            let path = FileManager.default.temporaryDirectory.appending(path: "\(name)-\(UUID().uuidString)").path
            defer { try? FileManager.default.removeItem(atPath: path) }
            for folder in ["tmp", "etc"] { try DurableFile.makeDirectory(path + "/" + folder) }
            try await body(Home(path: path, root: hasOwnEtc ? path : ""))
        }

        /// What `create-instance` leaves.
        func createInstance() throws {
            let file = path + "/instance/t.config"
            try DurableFile.makeDirectory(path + "/instance")
            let text = "<?xml version='1.0' encoding='UTF-8' ?><octopus-settings></octopus-settings>"
            try DurableFile.write(Array(text.utf8), to: file, mode: TentacleConfiguration.fileMode)
            try InstanceRegistry(host: host).register(name: "Tentacle", configurationPath: file)
            try TentacleConfiguration.update(file, host: host) {
                $0.set(.home, path + "/instance")
                $0.setTrustedServers([TrustedServer(thumbprint: "AB", communicationStyle: .listening)])
            }
            try DurableFile.write(TestIdentity.shared.get().pkcs12(), to: path + "/in.pfx", mode: 0o600)
        }

        /// Every file, with its contents.
        ///
        /// But for the logs, which get a line of every attempt.
        func files() throws -> [String: Data] {
            let names = try FileManager.default.subpathsOfDirectory(atPath: path).filter {
                !["logs", "instance/Logs"].contains($0) && !$0.hasPrefix("logs/") && !$0.hasPrefix("instance/Logs/")
            }
            return names.reduce(into: [:]) { $0[$1] = FileManager.default.contents(atPath: path + "/" + $1) }
        }
    }

    static func program(_ name: String) throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let folders = [CommandLine.arguments[0], own].map { URL(filePath: $0).deletingLastPathComponent().path }
        let paths = (folders + [FileManager.default.currentDirectoryPath + "/.build/debug"]).map { $0 + "/" + name }
        return try #require(paths.first { FileManager.default.isExecutableFile(atPath: $0) })
    }

    @Test("a command fails with one line or is done, and can be repeated", arguments: Change.allCases)
    func walk(change: Change) async throws {
        let tentacle = try Self.program("tentacle")
        let injector = try Self.program("fault-injector")
        let walked = try await Fault.walk(waysOfEach: change.makesKeys ? 1 : 2) { fault in
            var failed: String?
            try await Home.with(change.rawValue) { home in
                if change != .createInstance { try home.createInstance() }
                let faults = FaultInjector(injector, program: tentacle, below: home.path)
                let command = [tentacle] + change.arguments(home.path)
                failed = try await Self.check(change, fault, faults, command, home)
            }
            return failed
        }
        print("\(change.rawValue): \(walked) faults")
        #expect(walked > 6)
    }

    @Test(
        "killed at any call that changes a file, a command leaves the old file or the new one",
        arguments: Change.allCases
    )
    func powerCut(change: Change) async throws {
        let tentacle = try Self.program("tentacle")
        let injector = try Self.program("fault-injector")
        var cuts = 0
        for call in 1... {
            var failed: String?
            try await Home.with("cut-\(change.rawValue)") { home in
                if change != .createInstance { try home.createInstance() }
                let before = try home.files()
                let faults = FaultInjector(injector, program: tentacle, below: home.path)
                let fault = Fault(call: call, kind: .inputOutput, extent: .kill)
                let command = [tentacle] + change.arguments(home.path)
                let outcome = try await faults.run(fault, command, environment: home.environment)
                failed = outcome.failed
                let comment = Comment(rawValue: "\(fault): \(failed ?? "none") \(outcome.program)")
                #expect(outcome.program.status == (failed == nil ? 0 : 137), comment)
                let isDone = try change.isDone(home.path, home.host)
                let after = try home.files()
                for (name, contents) in before { #expect(after[name] == contents || isDone, comment) }
                // What is not finished stands under a name that nothing reads.
                let others = after.keys.filter { before[$0] == nil && !Self.expected($0) }
                #expect(others.allSatisfy { $0.hasSuffix(".new") || $0.hasPrefix("tmp/") }, comment)
            }
            guard failed != nil else { break }
            cuts += 1
        }
        print("\(change.rawValue): \(cuts) power cuts")
        #expect(cuts > 6)
    }

    @Test("edits of many processes at once all arrive")
    func concurrentEdits() async throws {
        let tentacle = try Self.program("tentacle")
        try await Home.with("edits") { home in
            try home.createInstance()
            let thumbprints = (10..<34).map { String(repeating: "\($0)", count: 20) }
            try await withThrowingTaskGroup(of: RunningProgram.Outcome.self) { group in
                for thumbprint in thumbprints {
                    group.addTask {
                        try await RunningProgram(
                            tentacle,
                            ["configure", "--instance=Tentacle", "--trust=\(thumbprint)"],
                            environment: home.environment
                        ).outcome()
                    }
                }
                for try await outcome in group {
                    #expect(outcome.status == 0 && outcome.errors == "", "\(outcome)")
                }
            }
            let path = home.path + "/instance/t.config"
            let trusted = try TentacleConfiguration.load(from: path, host: home.host).trustedServers()
            #expect(Set(trusted.map(\.thumbprint)) == Set(thumbprints + ["AB"]))
            #expect(trusted.count == thumbprints.count + 1)
            #expect(try home.files().keys.allSatisfy { !$0.hasSuffix(".new") })
            // The log has every run, whole.
            let log = try String(contentsOfFile: home.path + "/instance/Logs/OctopusTentacle.txt", encoding: .utf8)
            for thumbprint in thumbprints { #expect(log.contains("--trust=\(thumbprint)\n")) }
        }
    }

    @Test(
        "a machine key is made once and whole",
        .enabled(if: geteuid() == 0, "needs root for an /etc of its own")
    )
    func machineKey() async throws {
        let tentacle = try Self.program("tentacle")
        let injector = try Self.program("fault-injector")
        let walked = try await Fault.walk(waysOfEach: 1) { fault in
            var failed: String?
            try await Home.with("key", hasOwnEtc: true) { home in
                try home.createInstance()
                let command = ([tentacle] + Change.newCertificate.arguments(home.path)).joined(separator: " ")
                let shell = "mount --bind \(home.path)/etc /etc && exec \(command)"
                let faults = FaultInjector(injector, program: tentacle, below: "/etc")
                let arguments = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", shell]
                failed = try await Self.check(.newCertificate, fault, faults, arguments, home)
            }
            return failed
        }
        print("machine key: \(walked) faults")
        #expect(walked > 6)
    }

    private static func check(
        _ change: Change,
        _ fault: Fault,
        _ faults: FaultInjector,
        _ command: [String],
        _ home: Home
    ) async throws -> String? {
        let before = try home.files()
        let first = try await faults.run(fault, command, environment: home.environment)
        let after = try home.files()
        let comment = Comment(rawValue: "\(fault): \(first.failed ?? "none") \(first.program) \(after.keys.sorted())")
        let isDone = try change.isDone(home.path, home.host)
        var errors = first.program.errors.split(separator: "\n")
        // A log that cannot be written is one line, and no failure.
        let isOfLog = first.failed?.contains("/logs") == true || first.failed?.contains("/Logs") == true
        let warnings = errors.filter { $0.hasPrefix("The log file") }
        errors.removeAll { $0.hasPrefix("The log file") }
        #expect(warnings.count <= 1, comment)
        #expect(warnings.isEmpty || isOfLog || fault.extent != .once, comment)
        if first.program.status == 0 {
            #expect(isDone && errors.isEmpty, comment)
        } else {
            #expect([1, 100].contains(first.program.status), comment)
            #expect(errors.first?.contains("Could not") == true, comment)
            let closing = FailureReport.lines(exitCode: first.program.status, logDirectories: [])
            #expect(errors.count == 1 || errors.last.map(String.init) == closing.last, comment)
            for (name, contents) in after { #expect(before[name] ?? contents == contents || isDone, comment) }
        }
        // A temporary file whose removal failed as well may be there; nothing else can be in its place.
        let isKeptByFault = fault.extent != .once || first.failed?.hasPrefix("unlink") == true
        let temporary = after.keys.filter { before[$0] == nil && !expected($0) }
        #expect(temporary.isEmpty || isKeptByFault, comment)
        guard first.program.status != 0, !change.makesKeys || Fault.isEveryOne else {
            return first.failed
        }
        let none = Fault(call: 0, kind: .noSpace, extent: .once)
        let again = try await faults.run(none, command, environment: home.environment)
        #expect(again.program.status == 0, comment)
        #expect(try change.isDone(home.path, home.host), comment)
        // What an earlier failure has left is gone as well, where the command changes the file it belongs to.
        #expect(Set(try home.files().keys.filter { !expected($0) }).isSubset(of: temporary), comment)
        return first.failed
    }

    /// What there is after a success.
    private static func expected(_ name: String) -> Bool {
        let files = [
            "tmp", "etc", "etc/octopus", "etc/octopus/machinekey", "machine", "machine/machinekey", "machine/Tentacle",
            "machine/Tentacle/Instances", "machine/Tentacle/Instances/tentacle.config", "instance",
            "instance/t.config", "instance/machinekey.v1", "apps", "apps/deep", "in.pfx",
            "out.pfx",
        ]
        return files.contains(name)
    }
}
