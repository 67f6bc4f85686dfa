import AgentConfiguration
import TentacleCommands
import Testing

@Suite struct TentacleProgramTests {
    @Test("general help without a command, exit code 2", arguments: [[], ["--help"], ["--foo"], ["--nologo"], [""]])
    func noCommand(arguments: [String]) async throws {
        try await TestWorld.with { world in
            let outcome = world.run(arguments)
            #expect(outcome.exitCode == 2)
            #expect(outcome.errors == "")
            #expect(
                outcome.output.hasPrefix(
                    "Usage: Tentacle <command> [<options>]\n\nWhere <command> is one of: \n\n  agent          \n   Starts the"
                )
            )
            #expect(outcome.output.hasSuffix("\n\nOr use <command> --help for more details.\n"))
        }
    }

    @Test("help is a success", arguments: ["help", "HELP", "-h", "/?", "--help help"])
    func help(text: String) async throws {
        try await TestWorld.with { world in
            #expect(world.run(text.split(separator: " ").map(String.init)).exitCode == 0)
        }
    }

    @Test(
        "an unknown command, exit code 2; asked of help, 0",
        arguments: zip([["unknown-command"], ["help", "nope"]], [2, 0] as [Int32])
    )
    func unknown(arguments: [String], code: Int32) async throws {
        try await TestWorld.with { world in
            let outcome = world.run(arguments)
            #expect(
                outcome
                    == .init(
                        exitCode: code,
                        output: "See 'Tentacle help'\n",
                        errors: "Command '\(arguments.last ?? "")' is not supported\n"
                    )
            )
        }
    }

    @Test("every command has a page", arguments: CommandTable.all.map { $0.definition })
    func pages(command: CommandDefinition) async throws {
        try await TestWorld.with { world in
            let operand = command.operand.map { " <\($0)>" } ?? ""
            for word in [command.name] + command.aliases {
                let outcome = world.run(word, "--help")
                #expect(outcome.exitCode == 0 && outcome.errors == "")
                #expect(outcome.output.hasPrefix("Usage: Tentacle \(word)\(operand) [<options>]\n\n"))
                #expect(world.run("help", word).output == outcome.output)
                #expect(
                    world.run(word, "--help", "--format=json").output.hasPrefix("{\n  \"Name\": \"\(command.name)\",")
                )
            }
            // The rest of the command line must come back as unrecognised, whatever the command.
            if !command.ignoresUnrecognised {
                let outcome = world.run(command.name, "--no-such-option=1", "word")
                #expect(outcome.exitCode == 1)
                #expect(outcome.output == "")
                let rest = command.operand == nil ? " word" : ""
                #expect(outcome.errors == "Unrecognized command line arguments: --no-such-option=1\(rest)\n")
            }
        }
    }

    @Test("names and aliases are unique")
    func uniqueNames() {
        let names = CommandTable.all.flatMap { [$0.definition.name] + $0.definition.aliases }
        #expect(Set(names).count == names.count)
        for type in CommandTable.all {
            let options = type.definition.options.flatMap(\.names).map { $0.lowercased() }
            #expect(Set(options).count == options.count, "\(type.definition.name)")
        }
    }

    @Test("the page of version, exactly")
    func versionPage() async throws {
        try await TestWorld.with { world in
            #expect(
                world.run("version", "--help").output
                    == [
                        "Usage: Tentacle version [<options>]", "", "Where [<options>] is any of: ", "",
                        "      --format=VALUE         The format of the output (text,json). Defaults ",
                        "                               to text.", "", "Or one of the common options: ", "",
                        "      --help                 Show detailed help for this command", "",
                    ].joined(separator: "\n")
            )
        }
    }

    @Test("help as JSON")
    func jsonHelp() async throws {
        try await TestWorld.with { world in
            #expect(
                world.run("help", "version", "--format", "JSON").output == """
                    {
                      "Name": "version",
                      "Description": "Show the Tentacle version information",
                      "Aliases": [],
                      "Options": [
                        {
                          "Name": "format",
                          "Description": "The format of the output (text,json). Defaults to text."
                        }
                      ],
                      "CommonOptions": [
                        {
                          "Name": "help",
                          "Description": "Show detailed help for this command"
                        }
                      ]
                    }
                    """
            )
            #expect(
                world.run("help", "--format=json").output.hasPrefix(
                    "{\n  \"Commands\": [\n    {\n      \"Name\": \"agent\","
                )
            )
        }
    }

    @Test(
        "version in all its spellings",
        arguments: [
            ["version"], ["--version"], ["-version"], ["/VERSION"],
            ["version", "--nologo", "--noconsolelogging", "--console", "--noninteractive"],
        ]
    )
    func version(arguments: [String]) async throws {
        try await TestWorld.with { world in
            let outcome = world.run(arguments)
            #expect(outcome.exitCode == 0 && outcome.errors == "")
            #expect(outcome.output.wholeMatch(of: /[0-9]+\.[0-9]+\.[0-9]+/) != nil)
        }
    }

    @Test("formats that do not exist", arguments: ["version", "list-instances", "show-thumbprint", "status"])
    func format(command: String) async throws {
        try await TestWorld.with { world in
            let outcome = world.run(command, "--format=unsupported")
            #expect(
                outcome
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "The format 'unsupported' is not supported. Try text or json.\n"
                    )
            )
        }
    }

    @Test("a selector without value, even for a command that has none")
    func missingSelector() async throws {
        try await TestWorld.with { world in
            let outcome = world.run("version", "--instance")
            #expect(
                outcome == .init(exitCode: 100, output: "", errors: "Missing required value for option '--instance'.\n")
            )
        }
    }

    @Test("an instance that stands in for one that cannot be read is used with a warning")
    func brokenIndex() async throws {
        try await TestWorld.with { world in
            try world.makeInstance("Other")
            try world.write("{", "etc/octopus/Tentacle/Instances/tentacle.config")
            let path = "\(world.path)/etc/octopus/Tentacle/Instances/tentacle.config"
            let warning = "The instance file '\(path)' is not valid and is left out.\n"
            let outcome = world.run("show-thumbprint")
            #expect(outcome.exitCode == 0 && outcome.output.count == 40 && outcome.errors == warning)
            #expect(world.run("show-thumbprint", "--instance=Other").errors == "")
            #expect(
                world.run("show-thumbprint", "--instance=Tentacle").errors
                    == "Instance Tentacle of Tentacle has not been configured on this machine. "
                    + "Available instances: Other.\n\(warning)"
            )
        }
    }

    @Test("a temporary folder that cannot be written")
    func unwritableTemporaryFolder() async throws {
        try await TestWorld.with { world in
            world.context.host.environment["TMPDIR"] = "/proc"
            #expect(
                world.run("version")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Could not write to temp folder '/proc'. "
                            + "Ensure the user 'tester' can write to the temp folder.\n"
                    )
            )
        }
    }

    @Test("a temporary folder that is not there")
    func temporaryFolder() async throws {
        try await TestWorld.with { world in
            world.context.host.environment["TMPDIR"] = "/no/such/folder"
            let outcome = world.run("version")
            #expect(outcome.exitCode == 1)
            #expect(
                outcome.errors
                    == "The temp folder '/no/such/folder' does not exist. Ensure the user 'tester' has a valid temp folder.\n"
            )
        }
    }
}
