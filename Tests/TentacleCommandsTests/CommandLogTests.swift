import AgentConfiguration
import FoundationEssentials
import Glibc
import TentacleCommands
import TentacleLog
import Testing

/// What the command line writes into its log file, and what it never writes (spec tentacle-cli.md 1.1, 1.4, 9.2, 9.3).
@Suite struct CommandLogTests {
    private static let home = "home/Logs/OctopusTentacle.txt"
    private static let start = "logs/OctopusTentacle.txt"

    /// A world whose program keeps its log, as the real one does.
    private static func with(_ body: (TestWorld) async throws -> Void) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            world.context.keepsLog = true
            world.context.host.environment["DefaultLogDirectory"] = world.path + "/logs"
            world.logDirectories = ["\(world.path)/home/Logs", "\(world.path)/logs"]
            try await body(world)
        }
    }

    /// The texts of the lines.
    private static func texts(_ world: TestWorld, _ name: String) throws -> [String] {
        try world.text(name).split(separator: "\n").map { line in
            let parts = line.firstMatch(of: #/^[-\d]{10} [:.\d]{13}  [ \d]{5,}  [ \d]{5} ([ A-Z]{5})  (.*)$/#)
            return parts.map { "\($0.1)|\($0.2)" } ?? "\(line)"
        }
    }

    @Test("a run, from the start-up folder to the instance's, in order")
    func lines() async throws {
        try await Self.with { world in
            let outcome = world.run("configure", "--port=10955", "--nologo")
            #expect(outcome.exitCode == 0 && outcome.errors == "")
            #expect(!outcome.output.contains("====") && !outcome.output.contains("Environment"))
            let version = ProductVersion.text
            let (from, to) = ("\(world.path)/logs", "\(world.path)/home/Logs")
            let first = try Self.texts(world, Self.start)
            #expect(first.first == " INFO|Tentacle version \(version) (\(version)) instance Default")
            #expect(first.last == " INFO|Changing log folder from \(from) to \(to)")
            let second = try Self.texts(world, Self.home)
            #expect(
                second.filter { $0.contains("|") } == [
                    " INFO|\(String(repeating: "=", count: 80))",
                    " INFO|Changed log folder from \(from) to \(to)",
                    " INFO|Tentacle version \(version) (\(version)) instance Tentacle",
                    " INFO|Environment Information:",
                    " INFO|==== ConfigureCommand ====",
                    " INFO|CommandLine: /opt/octopus/tentacle/Tentacle configure --port=10955 --nologo",
                    " INFO|Services listen port: 10955",
                    " WARN|These changes require a restart of the Tentacle.",
                ]
            )
        }
    }

    @Test(
        "the stock agent's names of the commands",
        arguments: [
            ("version", "VersionCommand"), ("help", "HelpCommand"), ("list-instances", "ListInstancesCommand"),
            ("run", "RunAgentCommand"), ("polling-proxy", "PollingProxyConfigurationCommand"),
            ("proxy", "ProxyConfigurationCommand"), ("register-with", "RegisterMachineCommand"),
            ("register", "RegisterCommand"), ("poll-server", "PollCommand"),
            ("deregister-from", "DeregisterMachineCommand"), ("deregister-worker", "DeregisterWorkerCommand"),
        ]
    )
    func classes(word: String, name: String) async throws {
        try await Self.with { world in
            _ = world.run(word)
            let texts = try Self.texts(world, Self.home)
            #expect(texts.contains(" INFO|==== \(name) ===="))
        }
    }

    @Test("a command that cannot be understood leaves its failure, and says where")
    func failure() async throws {
        try await Self.with { world in
            let outcome = world.run("configure", "--port=abc")
            #expect(outcome.exitCode == 100)
            #expect(outcome.errors == "The value 'abc' of --port is not a whole number.\n")
            let texts = try Self.texts(world, Self.home)
            #expect(texts.last == "FATAL|The value 'abc' of --port is not a whole number.")
            // A refusal says all there is to say.
            let refused = world.run("configure", "word")
            #expect(refused == .init(exitCode: 1, output: "", errors: "Unrecognized command line arguments: word\n"))
            #expect(try Self.texts(world, Self.home).last == "ERROR|Unrecognized command line arguments: word")
        }
    }

    @Test("the closing lines, exactly")
    func closing() {
        let rule = String(repeating: "-", count: 79)
        #expect(
            FailureReport.lines(exitCode: 100, logDirectories: ["/b", "/a"]) == [
                rule, "Terminating process with exit code 100",
                "Full error details are available in the log files at:", "/a", "/b",
                "If you need help, please send these log files to https://octopus.com/support", rule,
            ]
        )
        for code in [0, 1, 2] as [Int32] { #expect(FailureReport.lines(exitCode: code, logDirectories: ["/a"]) == []) }
    }

    @Test("an unknown command and an instance that is not there stay in the start-up folder")
    func noInstance() async throws {
        try await Self.with { world in
            #expect(world.run("regster", "--instance=nope").exitCode == 2)
            #expect(world.run("show-thumbprint", "--instance=nope").exitCode == 1)
            #expect(((try? world.text(Self.home)) ?? "").contains("nope") == false)
            let texts = try Self.texts(world, Self.start)
            #expect(texts.contains("ERROR|Command 'regster' is not supported"))
            #expect(texts.last?.hasPrefix("ERROR|Instance nope of Tentacle has not been configured") == true)
        }
    }

    @Test("a folder that cannot be written is one line, and the command goes on")
    func unwritable() async throws {
        try await Self.with { world in
            try world.write("in the way", "logs")
            #expect(world.run("version").errors == "")
            try FileManager.default.removeItem(atPath: world.path + "/home/Logs")
            try world.write("in the way", "home/Logs")
            let outcome = world.run("configure", "--port=10956")
            #expect(outcome.exitCode == 0)
            let file = "\(world.path)/home/Logs/OctopusTentacle.txt"
            #expect(outcome.errors.hasPrefix("The log file '\(file)' cannot be written: "))
            #expect(outcome.errors.split(separator: "\n").count == 1)
            #expect(try world.configuration().integer(.port) == 10956)
        }
    }

    @Test("a folder that cannot be made: whole sentences")
    func unmakeable() async throws {
        try await TestWorld.with { world in
            world.context.keepsLog = true
            // Nobody makes folders there, not even root.
            world.context.host.environment["DefaultLogDirectory"] = "/sys/tentacle"
            let errors = world.run("version").errors
            #expect(errors.hasPrefix("The log file '/sys/tentacle/OctopusTentacle.txt' cannot be written: "))
            #expect(errors.hasSuffix(" Going on without it.\n") && !errors.contains(".."))
        }
    }

    @Test(
        "the level of the environment is that of the console and the file",
        arguments: zip(["Info", "Warn", "Error", "Fatal", "Off"], [2, 1, 0, 0, 0])
    )
    func level(name: String, messages: Int) async throws {
        try await Self.with { world in
            world.context.host.environment["OCTOPUS__TENTACLE__LOGLEVEL"] = name
            #expect(world.run("configure", "--port=10955").output.split(separator: "\n").count == messages)
            let refused = world.run("configure", "word")
            #expect(refused.exitCode == 1)
            #expect(refused.errors.isEmpty == ["Fatal", "Off"].contains(name))
            let count = (try? Self.texts(world, Self.home))?.filter { $0.contains("|") }.count ?? 0
            #expect(count < 4 || name == "Info")
            // A result is no message.
            #expect(world.run("version").output == ProductVersion.text)
        }
    }

    @Test(
        "values of sensitive options are on no line, however they are given",
        arguments: [
            (["proxy", "--proxyPassword=hunter2secret"], "proxy --proxyPassword=********"),
            (["proxy", "/PROXYPASSWORD", "hunter2secret"], "proxy /PROXYPASSWORD ********"),
            (
                ["register-with", "--apiKey:hunter2secret", "-phunter2secret"],
                "register-with --apiKey:******** -p********"
            ),
            (["register-with", "-p", "hunter2secret"], "register-with -p ********"),
            (["register-with", "--bearerToken", "hunter2secret"], "register-with --bearerToken ********"),
            (["import-certificate", "--pw=hunter2secret"], "import-certificate --pw=********"),
            (["import-certificate", "-b", "hunter2secret"], "import-certificate -b ********"),
            (["new-certificate", "-b", "--pfx-password=hunter2secret"], "new-certificate -b --pfx-password=********"),
        ]
    )
    func sensitive(arguments: [String], printed: String) async throws {
        try await Self.with { world in
            let outcome = world.run(arguments)
            #expect(!(outcome.output + outcome.errors).contains("hunter2"))
            let log = try world.text(Self.home) + world.text(Self.start)
            #expect(!log.contains("hunter2"))
            #expect(log.contains("CommandLine: /opt/octopus/tentacle/Tentacle \(printed)\n"))
        }
    }

    @Test(
        "what follows an option that reads like a sensitive one is not shown, other words are",
        arguments: [
            (["--apiky=SECRET"], "--apiky=********"), (["--api_key:SECRET"], "--api_key:********"),
            (["--paswsord", "SECRET"], "--paswsord ********"), (["-apikee", "SECRET"], "-apikee ********"),
            (["/passwd=SECRET"], "/passwd=********"), (["--token", "SECRET", "--foo"], "--token ******** --foo"),
            (["--tokn", "--bar", "--apiKey=SECRET"], "--tokn ********"),
            (["--", "--apiky", "SECRET"], "-- --apiky ********"),
            (["--rolle", "web"], "--rolle web"), (["word", "/etc/x"], "word /etc/x"),
        ]
    )
    func mistyped(arguments: [String], shown: String) async throws {
        try await Self.with { world in
            let outcome = world.run(["register-with"] + arguments)
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.hasPrefix("Unrecognized command line arguments: \(shown)\n"))
            let log = try world.text(Self.home) + world.text(Self.start)
            #expect(!(log + outcome.errors + outcome.output).contains("SECRET"))
        }
    }

    @Test("a key that is given to the wrong command, or to none, is not shown either")
    func misplaced() async throws {
        try await Self.with { world in
            for word in ["version", "regster"] {
                let outcome = world.run(word, "--apiKey=API-HUNTER2")
                #expect(!(outcome.output + outcome.errors).contains("HUNTER2"))
            }
            #expect(
                world.run("version", "--apiKey=API-HUNTER2").errors
                    == "Unrecognized command line arguments: --apiKey=********\n"
            )
            let log = try world.text(Self.home) + world.text(Self.start)
            #expect(!log.contains("HUNTER2"))
        }
    }

    @Test("secrets of files, standard input, the environment and the configuration are masked as well")
    func otherSources() async throws {
        try await Self.with { world in
            try TentacleConfiguration.update(world.path + "/home/x.config", host: world.context.host) {
                try $0.setSecret(.pollingProxyPassword, "of/config")
            }
            try world.write("of-file\n", "cwd/password")
            world.context.host.environment["OCTOPUS_API_KEY"] = "API-OFENV"
            // Each of them turns up in a text of its own.
            for secret in ["of/config", "of%2fconfig", "API-OFENV"] {
                let outcome = world.run("configure", secret)
                #expect(outcome.errors == "Unrecognized command line arguments: ********\n")
            }
            let outcome = world.run(
                "proxy",
                "--proxyPassword-file=password",
                "--proxyHost=of-file",
                "--proxyEnable=true"
            )
            #expect(outcome.exitCode == 0 && outcome.output.contains("Using custom proxy at: ********\n"))
            let log = try world.text(Self.home)
            #expect(!log.contains("of/config") && !log.contains("API-OFENV"))
            #expect(log.contains("Using custom proxy at: ********"))
        }
    }

    @Test("a password from the environment is a warning in the file only")
    func environmentPassword() async throws {
        try await Self.with { world in
            world.context.host.environment["OCTOPUS_CONTRIBUTE_ENV_SETTINGS"] = "true"
            world.context.host.environment["OCTOPUS_PROXY_PASSWORD"] = "hunter2"
            #expect(world.run("version") == .init(exitCode: 0, output: ProductVersion.text, errors: ""))
            let warning = try Self.texts(world, Self.home).first { $0.hasPrefix(" WARN|") }
            #expect(warning?.contains("OCTOPUS_PROXY_PASSWORD") == true && warning?.contains("hunter2") == false)
        }
    }

    @Test("rootless: nothing is written below /etc/octopus")
    func rootless() async throws {
        try await TestWorld.with { world in
            world.context.keepsLog = true
            world.context.host.userDirectory = world.path + "/me"
            #expect(world.run("create-instance").exitCode == 0)
            #expect(world.run("new-certificate").exitCode == 0)
            #expect(world.run("configure", "--port=10955").exitCode == 0)
            #expect(world.names(in: "etc") == ["machine-id"])
            #expect(world.names(in: "me/.local/share/Octopus/Logs") == ["OctopusTentacle.txt"])
            #expect(world.names(in: "cwd") == ["Logs", "Tentacle.config"])
        }
    }
}

/// Values of the environment in front of the file, as commands see them (spec tentacle-cli.md 10).
@Suite struct EnvironmentOverrideTests {
    @Test("commands read them, and write the file without them")
    func overrides() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(TrustedServer(thumbprint: "FILE", communicationStyle: .listening))
            world.context.host.environment.merge([
                "OCTOPUS_CONTRIBUTE_ENV_SETTINGS": "true", "TENTACLE_SERVICE_PORT": "2222",
                "TENTACLE_CERTIFICATE_THUMBPRINT": "ENVPRINT",
                "TENTACLE_TRUSTED_SERVERS": #"[{"Thumbprint":"ENV","CommunicationStyle":1}]"#,
            ]) { $1 }
            #expect(world.run("show-thumbprint").output == "ENVPRINT")
            let shown = world.run("show-configuration").output
            #expect(shown.contains("\"PortNumber\": 2222") && shown.contains("\"Thumbprint\": \"ENV\""))
            #expect(world.run("configure", "--trust=MORE").exitCode == 0)
            #expect(try world.trustedServers().map(\.thumbprint) == ["FILE", "MORE"])
            let text = try world.text("home/x.config")
            #expect(!text.contains("ENV") && !text.contains("2222"))
        }
    }

    @Test("a bad line of .env, exit code 100")
    func badLine() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.write("TENTACLE_SERVICE_PORT\n", "opt/.env")
            world.context.host.programDirectory = world.path + "/opt"
            #expect(world.run("show-thumbprint").exitCode == 0)
            world.context.host.environment["OCTOPUS_CONTRIBUTE_ENV_SETTINGS"] = "true"
            let outcome = world.run("show-thumbprint")
            #expect(outcome.exitCode == 100)
            #expect(outcome.errors.hasPrefix("Line 1 is not formatted correctly"))
        }
    }
}
