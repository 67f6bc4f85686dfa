import AgentConfiguration
import Foundation
import ProcessTesting
import SecureTransport
import TentacleCommands
import Testing

@Suite struct InstanceCommandTests {
    @Test("create-instance makes file, index entry and home; again it repoints")
    func create() async throws {
        try await TestWorld.with { world in
            let config = world.path + "/etc/octopus/default/tentacle-default.config"
            let outcome = world.run("create-instance", "--config", config)
            #expect(
                outcome
                    == .init(
                        exitCode: 0,
                        output: """
                            Creating empty configuration file: \(config)
                            Saving instance: Tentacle
                            Setting home directory to: \(world.path)/etc/octopus/default

                            """,
                        errors: ""
                    )
            )
            let created = try world.configuration("etc/octopus/default/tentacle-default.config")
            #expect(created.homeDirectory == world.path + "/etc/octopus/default")
            let again = world.run(
                "create-instance",
                "--instance=tentacle",
                "--config=other.config",
                "--home",
                world.path + "/h"
            )
            #expect(again.output.contains("Creating empty configuration file: \(world.path)/h/other.config\n"))
            #expect(
                world.run("list-instances").output
                    == "Instance 'Tentacle' uses configuration '\(world.path)/h/other.config'.\n"
            )
        }
    }

    @Test("rootless: nothing is registered, later commands find the file in the current directory")
    func rootless() async throws {
        try await TestWorld.with { world in
            let outcome = world.run("create-instance")
            #expect(outcome.exitCode == 0)
            #expect(!outcome.output.contains("Saving instance"))
            #expect(outcome.output.hasSuffix("Setting home directory to: .\n"))
            #expect(world.names(in: "etc") == ["machine-id"])
            #expect(world.names(in: "cwd") == ["Tentacle.config"])
            #expect(
                world.run("configure", "--port=1234").output.hasSuffix(
                    "These changes require a restart of the service.\n"
                )
            )
            let configuration = try world.configuration("cwd/Tentacle.config")
            #expect(configuration.homeDirectory == world.path + "/cwd")
            #expect(world.run("delete-instance") == .init(exitCode: 0, output: "", errors: ""))
            #expect(
                world.run("create-instance").output.hasPrefix(
                    "Configuration file at \(world.path)/cwd/Tentacle.config already exists.\n"
                )
            )
        }
    }

    @Test("list-instances, both formats")
    func list() async throws {
        try await TestWorld.with { world in
            #expect(world.run("list-instances").output == "No instances installed")
            #expect(world.run("list-instances", "--format=JSON").output == "[]")
            _ = world.run("create-instance", "--instance", "B", "--config", world.path + "/b/b.config")
            _ = world.run("create-instance", "--instance", "A", "--config", world.path + "/a/a.config")
            try world.write("broken", "etc/octopus/Tentacle/Instances/c.config")
            let outcome = world.run("list-instances", "--format=json")
            #expect(
                outcome.output == """
                    [
                      {
                        "InstanceName": "A",
                        "ConfigurationFilePath": "\(world.path)/a/a.config"
                      },
                      {
                        "InstanceName": "B",
                        "ConfigurationFilePath": "\(world.path)/b/b.config"
                      }
                    ]
                    """
            )
            #expect(outcome.errors.contains("c.config"))
        }
    }

    @Test(
        "a name that no index file can have is refused before anything is made",
        arguments: [
            ("a/b", "The instance name 'a/b' must not contain '/'.\n"),
            ("..", "'..' cannot be the name of an instance.\n"),
            ("a\nb", "The instance name must not contain line feeds or other control characters.\n"),
            (
                String(repeating: "n", count: 230),
                "The instance name '\(String(repeating: "n", count: 32))…' is too long for a file name.\n"
            ),
        ]
    )
    func badName(name: String, errors: String) async throws {
        try await TestWorld.with { world in
            let outcome = world.run("create-instance", "--instance", name, "--config", "\(world.path)/new/x.config")
            #expect(outcome == .init(exitCode: 1, output: "", errors: errors))
            #expect(world.names(in: "new") == [])
        }
    }

    @Test("an instance that an ordinary user may not delete stays")
    func deleteWithoutPermission() async throws {
        let tentacle = try ConfigurationFaultTests.program("tentacle")
        try await TestWorld.with { world in
            try world.makeInstance("A")
            let folder = InstanceRegistry(host: world.context.host).directory
            chmod(folder, 0o555)
            defer { chmod(folder, 0o755) }
            // Root may delete it all the same, and where nobody may go it does not find the program.
            let copy = world.path + "/tentacle"
            try FileManager.default.copyItem(atPath: tentacle, toPath: copy)
            let command = ["delete-instance", "--instance=A", "--noconsolelogging"]
            let outcome = try await RunningProgram(
                geteuid() == 0 ? "/usr/bin/setpriv" : copy,
                geteuid() == 0 ? ["--reuid=65534", "--regid=65534", "--clear-groups", copy] + command : command,
                environment: [
                    "DefaultLogDirectory": "/dev/null", "OCTOPUS__TENTACLE__LOGLEVEL": "Error",
                    "TentacleMachineConfigurationHomeDirectory": world.context.host.machineConfigurationHome,
                ]
            ).outcome()
            #expect(outcome.status == 1)
            let user = try #require(getpwuid(geteuid() == 0 ? 65534 : geteuid())?.pointee.pw_name)
            #expect(
                outcome.errors.split(separator: "\n").last.map(String.init)
                    == "Unable to delete file '\(folder)/a.config' as user '\(String(cString: user))'. "
                    + "Please check file permissions."
            )
            #expect(world.run("list-instances").output.hasPrefix("Instance 'A' uses"))
        }
    }

    @Test("delete-instance removes the index file only, also when the configuration is lost")
    func delete() async throws {
        try await TestWorld.with { world in
            try world.makeInstance("A")
            #expect(
                world.run("delete-instance", "--instance", "a")
                    == .init(exitCode: 0, output: "Deleted instance: A\n", errors: "")
            )
            #expect(world.names(in: "home") == ["x.config"])
            try world.makeInstance("A")
            try FileManager.default.removeItem(atPath: world.path + "/home/x.config")
            #expect(world.run("show-thumbprint").exitCode == 1)
            #expect(world.run("delete-instance", "--instance=A").exitCode == 0)
            #expect(world.run("list-instances").output == "No instances installed")
        }
    }

    @Test("an unknown instance names the known ones, and prints nothing else")
    func unknownInstance() async throws {
        try await TestWorld.with { world in
            try world.makeInstance("A")
            let outcome = world.run("show-thumbprint", "--instance=invalidinstance")
            #expect(
                outcome
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors:
                            "Instance invalidinstance of Tentacle has not been configured on this machine. Available instances: A.\n"
                    )
            )
        }
    }
}

@Suite struct CertificateCommandTests {
    @Test("new-certificate stores one, --if-blank keeps it, show-thumbprint tells it")
    func newCertificate() async throws {
        try await TestWorld.with { world in
            _ = world.run("create-instance", "--config", world.path + "/home/x.config")
            #expect(world.run("show-thumbprint") == .init(exitCode: 0, output: "", errors: ""))
            #expect(world.run("show-thumbprint", "--format=json").output == #"{"Thumbprint":null}"#)
            let outcome = world.run("new-certificate", "-b")
            let thumbprint = try #require(try world.configuration().identity()).thumbprint.description
            #expect(
                outcome.output == """
                    A new certificate has been generated and installed. Thumbprint:
                    \(thumbprint)
                    These changes require a restart of the Tentacle.

                    """
            )
            #expect(world.run("show-thumbprint", "--thumbprint-only").output == thumbprint)
            #expect(world.run("show-thumbprint", "--format=json").output == #"{"Thumbprint":"\#(thumbprint)"}"#)
            #expect(world.run("show-thumbprint", "-e", "tp.txt").output == "")
            #expect(try world.text("cwd/tp.txt") == thumbprint)
            let before = try world.text("home/x.config")
            #expect(
                world.run("new-certificate", "--if-blank").output
                    == "A certificate already exists, no changes will be applied.\n"
            )
            #expect(try world.text("home/x.config") == before)
        }
    }

    @Test("exports do not touch the configuration")
    func export() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let before = try world.text("home/x.config")
            let outcome = world.run("new-certificate", "--export-file=c.txt")
            #expect(
                outcome.output.hasPrefix("A new certificate has been generated and written to c.txt. Thumbprint:\n")
            )
            let text = try world.text("cwd/c.txt")
            #expect(text.first == "\u{FEFF}" && Data(base64Encoded: String(text.dropFirst()))?.first == 0x30)
            #expect(world.run("new-certificate", "--export-pfx=c.pfx", "--pfx-password=x").exitCode == 0)
            #expect(world.names(in: "cwd") == ["c.pfx", "c.txt"])
            #expect(try world.text("home/x.config") == before)
        }
    }

    @Test(
        "the encryption of an exported archive",
        arguments: [
            ([], [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x05, 0x0D]),
            (["--pfx-encryption=AES256"], [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x05, 0x0D]),
            (["--pfx-encryption=3des"], [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x0C, 0x01, 0x03]),
        ] as [([String], [UInt8])]
    )
    func encryption(options: [String], identifier: [UInt8]) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            #expect(world.run(["new-certificate", "--export-pfx=c.pfx", "--pfx-password=x"] + options).exitCode == 0)
            let bytes = try DurableFile.read(world.path + "/cwd/c.pfx")
            #expect(bytes.firstRange(of: identifier) != nil)
            #expect(world.run("import-certificate", "--from-file=c.pfx", "--pw=x").exitCode == 0)
        }
    }

    @Test(
        "combinations that exclude each other",
        arguments: [
            (["-b", "-e", "f"], "Invalid command: --if-blank and --export-file cannot be specified together"),
            (["-b", "--export-pfx", "f"], "Invalid command: --if-blank and --export-pfx cannot be specified together"),
            (
                ["-e", "f", "--export-pfx", "g"],
                "Invalid command: --export-file and --export-pfx cannot be specified together"
            ),
            (
                ["--export-pfx", "f", "--pfx-encryption=rc4"],
                "The pfx encryption 'rc4' is not supported. Try aes256 or 3des."
            ),
            (
                ["--pfx-encryption=3des"],
                "Invalid command: --pfx-encryption can only be specified with --export-pfx"
            ),
        ]
    )
    func combinations(options: [String], message: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            #expect(world.run(["new-certificate"] + options) == .init(exitCode: 1, output: "", errors: message + "\n"))
        }
    }
}

@Suite struct ConfigureCommandTests {
    @Test("trust is changed first and in the same order always, and twice is once")
    func trust() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            _ = world.run("configure", "--trust=ABC", "--trust", "DEF")
            for _ in 1...2 {
                let outcome = world.run("configure", "--trust=GHI", "--remove-trust=ABC")
                #expect(outcome.exitCode == 0)
                #expect(
                    outcome.output.hasPrefix("Removing 1 trusted Octopus Servers\nAdding 1 trusted Octopus Servers\n")
                )
                #expect(try world.configuration().trustedServers().map(\.thumbprint) == ["DEF", "GHI"])
            }
            #expect(
                world.run("configure", "--trust=XYZ", "--reset-trust").output.hasPrefix(
                    "Removing all trusted Octopus Servers...\nAdding 1 trusted Octopus Servers\n"
                )
            )
            #expect(
                try world.configuration().trustedServers() == [
                    TrustedServer(thumbprint: "XYZ", communicationStyle: .listening)
                ]
            )
        }
    }

    @Test("every value and its message")
    func values() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let outcome = world.run(
                "configure",
                "--port",
                "10940",
                "--noListen=True",
                "--app",
                "apps",
                "--home=../h",
                "--listenIpAddress=127.0.0.1",
                "--pollingConnectionCount=3"
            )
            #expect(
                outcome.output == """
                    Services listen port: 10940
                    Tentacle will not listen on a port
                    Application directory set to: \(world.path)/cwd/apps
                    Home directory set to: \(world.path)/h
                    Listen on IP address: 127.0.0.1
                    Polling connection count set to: 3
                    These changes require a restart of the Tentacle.

                    """
            )
            let settings = try world.configuration().settings(of: TentacleInstance(name: nil, configurationPath: ""))
            #expect(settings.port == 10940 && settings.noListen && settings.listenAddress == "127.0.0.1")
            #expect(
                settings.homeDirectory == world.path + "/h" && settings.applicationDirectory == world.path + "/cwd/apps"
            )
            #expect(settings.pollingConnectionCount == 3)
            #expect(world.names(in: "cwd") == ["apps"])
            #expect(world.run("configure", "--listenIpAddress=Any").output.hasPrefix("Listen on any IP address\n"))
            #expect(try world.configuration().text(.listenAddress) == nil)
        }
    }

    @Test("secrets are rewritten in the form that is asked for")
    func secretFormat() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let identity = try world.configuration().identity()
            let before = try world.text("home/x.config")
            for (name, prefix) in [("machinekeyv1", "$OctopusMachineKeyV1$"), ("legacy", "")] {
                let outcome = world.run("configure", "--secret-format=\(name)")
                #expect(outcome.exitCode == 0 && outcome.output.hasPrefix("Secrets are stored as: "))
                let configuration = try world.configuration()
                #expect(configuration.text(.certificate)?.hasPrefix(prefix) == true)
                #expect(try configuration.identity() == identity)
            }
            #expect(try world.text("home/x.config") == before)
            #expect(
                world.run("configure", "--secret-format=rot13")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "The secret format 'rot13' is not supported. Try legacy or MachineKeyV1.\n"
                    )
            )
        }
    }

    @Test("listening again")
    func listenAgain() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            #expect(world.run("configure", "--noListen=true").exitCode == 0)
            let outcome = world.run("configure", "--noListen", "False")
            #expect(outcome.output.hasPrefix("Tentacle will listen on a TCP port\n"))
            #expect(try world.configuration().boolean(.noListen) == false)
        }
    }

    @Test("nothing given, nothing done")
    func nothing() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let before = try world.text("home/x.config")
            #expect(world.run("configure") == .init(exitCode: 0, output: "", errors: ""))
            #expect(try world.text("home/x.config") == before)
        }
    }

    @Test(
        "bad values change nothing at all",
        arguments: [
            (["--trust=A", "--port=0"], 1, "The port 0 is not valid. Give a port from 1 to 65535, e.g. --port=10933"),
            (
                ["--home=h", "--app=a", "--port=65536"], 1,
                "The port 65536 is not valid. Give a port from 1 to 65535, e.g. --port=10933"
            ),
            (
                ["--home=h", "--sandbox=No Such"], 1,
                "'No Such' is no name of a sandbox policy: a name has a-z, 0-9 and -, does not begin with -, and has at most "
                    + "64 characters."
            ),
            (
                ["--home=h", "--noListen=maybe"], 100,
                "The value 'maybe' of --noListen is not a valid boolean; use true or false."
            ),
            (
                ["--home=h", "--listenIpAddress=localhost"], 100,
                "The value 'localhost' of --listenIpAddress is not an IP address; give one or 'any'."
            ),
            (["--trust=A", "--port=abc"], 100, "The value 'abc' of --port is not a whole number."),
            (["--port=1", "--trust="], 100, "A valid thumbprint must be supplied"),
            (
                ["--port=1", "--pollingConnectionCount=0"], 1,
                "The polling connection count must be greater than 0, but was 0."
            ),
            (
                ["--port=1", "--pollingConnectionCount=x"], 1,
                "The polling connection count 'x' is not a valid whole number. Specify a positive integer, e.g. --pollingConnectionCount=5"
            ),
            (
                ["--port=1", "--pollingConnectionCount="], 1,
                "Please specify the number of polling connections, e.g. --pollingConnectionCount=5"
            ),
            (
                ["--port=1", "--app=/proc/nowhere/x"], 100,
                "Could not create the directory '/proc/nowhere': No such file or directory."
            ),
        ]
    )
    func badValues(options: [String], code: Int, message: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let before = try world.text("home/x.config")
            #expect(
                world.run(["configure"] + options) == .init(exitCode: Int32(code), output: "", errors: message + "\n")
            )
            #expect(try world.text("home/x.config") == before)
            #expect(world.names(in: "cwd") == [])
        }
    }

    @Test("show-configuration shows everything but secrets and proxies")
    func showConfiguration() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            _ = world.run("configure", "--trust=ABC")
            let thumbprint = try #require(try world.configuration().thumbprint)
            let outcome = world.run("show-configuration")
            #expect(
                outcome.output == """
                    {
                      "Octopus": {
                        "Home": "\(world.path)/home",
                        "Watchdog": {
                          "Enabled": false,
                          "Instances": "*",
                          "Interval": 0
                        }
                      },
                      "Tentacle": {
                        "CertificateThumbprint": "\(thumbprint)",
                        "Communication": {
                          "PollingConnectionCount": null,
                          "TrustedOctopusServers": [
                            {
                              "Thumbprint": "ABC",
                              "CommunicationStyle": 1,
                              "Address": null,
                              "Squid": null,
                              "SubscriptionId": null
                            }
                          ]
                        },
                        "Deployment": {
                          "ApplicationDirectory": "/home/Octopus/Applications"
                        },
                        "Services": {
                          "ListenIP": null,
                          "NoListen": false,
                          "PortNumber": 10933
                        }
                      }
                    }

                    """
            )
            #expect(world.run("show-configuration", "--file=out/c.json").output == "")
            #expect(try world.text("cwd/out/c.json") + "\n" == outcome.output)
        }
    }
}

@Suite struct AgentCommandTests {
    @Test("agent becomes the daemon beside it", arguments: ["agent", "run"])
    func agent(word: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance("A")
            let outcome = world.run(word, "--instance=a", "--noninteractive", "--wait=30")
            #expect(
                world.executed == [
                    ["/opt/octopus/tentacle/tentacle-agent", "--instance", "A", "--noninteractive"]
                ]
            )
            #expect(outcome.output == "Sleeping for 30ms...\n")
            #expect(world.pauses == [.milliseconds(30)])
            // The double cannot replace this process, and says so like a missing file.
            #expect(outcome.exitCode == 100)
            #expect(
                outcome.errors.hasPrefix(
                    "Could not start '/opt/octopus/tentacle/tentacle-agent': No such file or directory."
                )
            )
        }
    }

    @Test("an agent that is to be quiet is told so")
    func quiet() async throws {
        try await TestWorld.with { world in
            try world.makeInstance("A")
            _ = world.run("agent", "--noconsolelogging", "--noninteractive")
            #expect(world.executed.first?.dropFirst(3) == ["--noninteractive", "--noconsolelogging"])
        }
    }

    @Test("an agent known by its file only")
    func configurationFile() async throws {
        try await TestWorld.with { world in
            try world.makeInstance("A")
            _ = world.run("agent", "--config", "../home/x.config", "--console", "--wait=3")
            #expect(
                world.executed == [
                    ["/opt/octopus/tentacle/tentacle-agent", "--config", "\(world.path)/home/x.config", "--console"]
                ]
            )
            #expect(world.pauses == [])
            #expect(world.run("agent", "--config=/no/file").exitCode == 1)
            #expect(world.executed.count == 1)
        }
    }
}
