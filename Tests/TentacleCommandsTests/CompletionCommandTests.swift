import Foundation
import ProcessTesting
import TentacleCommands
import Testing

/// The scripts of `tentacle completion`, run by the shells they are for.
@Suite struct CompletionCommandTests {
    private static func isInstalled(_ shell: String) -> Bool {
        FileManager.default.isExecutableFile(atPath: "/usr/bin/\(shell)")
    }

    /// A folder with the script and with a `tentacle` that knows two instances.
    private static func with(
        _ shell: String,
        _ body: (_ script: String, _ path: String) async throws -> Void
    ) async throws {
        try await TestWorld.with { world in
            let outcome = world.run("completion", shell)
            #expect(outcome.exitCode == 0)
            #expect(outcome.errors == "")
            try world.write(outcome.output, "script")
            try world.write(
                """
                #!/bin/sh
                # Stands in for tentacle in tests.
                echo "Instance 'Tentacle' uses configuration '/etc/octopus/x.config'."
                echo "Instance 'My Web' uses configuration '/etc/octopus/y.config'."

                """,
                "bin/tentacle"
            )
            chmod(world.path + "/bin/tentacle", 0o755)
            try await body(world.path + "/script", world.path + "/bin:/usr/bin:/bin")
        }
    }

    @Test(
        "bash",
        arguments: [
            (["reg"], ["register", "register-with", "register-worker"]),
            (["list"], ["list-instances"]),
            (["zzz"], []),
            (["server-comms", "--st"], ["--style="]),
            (["server-comms", "--style", "="], ["TentaclePassive", "TentacleActive"]),
            (["server-comms", "--style", "=", "TentacleA"], ["TentacleActive"]),
            (["server-comms", "--style", "TentacleP"], ["TentaclePassive"]),
            (["status", "--format", ""], ["text", "json"]),
            (["configure", "--noListen", "=", "t"], ["true"]),
            (["service", "--unit", "=", ""], ["project", "stock"]),
            // There it is the name of a unit.
            (["import-stock", "--unit", "=", ""], []),
            (["new-certificate", "--pfx-encryption", "=", ""], ["aes256", "3des"]),
            (["configure", "--secret-format", "=", "M"], ["MachineKeyV1"]),
            (["configure", "--sandbox", ""], ["none", "standard", "strict"]),
            (
                ["register-with", "--tenanted-deployment-participation", "=", "T"],
                ["TenantedOrUntenanted", "Tenanted"]
            ),
            (["sandbox", "--format", "=", "j"], ["json"]),
            (["configure", "--instance", "M"], [#"My\ Web"#]),
            (["configure", "--instance", "=", ""], ["Tentacle", #"My\ Web"#]),
            (["logs", "--fo"], ["--follow", "--format="]),
            (["sandbox", "ex"], ["explain"]),
            (["help", "doc"], ["doctor"]),
            (["completion", ""], ["bash", "zsh", "fish"]),
            (["register", "--environment", "x"], []),
        ] as [([String], [String])]
    )
    func bash(words: [String], offered: [String]) async throws {
        try await Self.with("bash") { script, path in
            // A shell calls it with these variables; compopt exists for the completing shell only.
            let driver = """
                compopt() { :; }
                source "$1"; shift
                COMP_WORDS=(tentacle "$@"); COMP_CWORD=$#
                _tentacle
                ((${#COMPREPLY[@]} == 0)) || printf '%s\\n' "${COMPREPLY[@]}"
                """
            let outcome = try await RunningProgram(
                "/bin/bash",
                ["--norc", "-c", driver, "bash", script] + words,
                environment: ["PATH": path]
            ).outcome()
            #expect(outcome.errors == "")
            #expect(outcome.output.split(separator: "\n").map(String.init) == offered)
        }
    }

    @Test(
        "fish",
        .enabled(if: isInstalled("fish"), "fish is not installed"),
        arguments: [
            ("tentacle list-", "list-instances"), ("tentacle sandbox ex", "explain"),
            ("tentacle server-comms --style=TentacleA", "--style=TentacleActive"),
            ("tentacle configure --instance M", "My Web"), ("Tentacle status --for", "--format"),
        ]
    )
    func fish(line: String, offered: String) async throws {
        try await Self.with("fish") { script, path in
            let outcome = try await RunningProgram(
                "/usr/bin/fish",
                ["--no-config", "-c", "source $argv[1]; complete -C $argv[2]", script, line],
                environment: ["PATH": path]
            ).outcome()
            #expect(outcome.errors == "")
            let words = outcome.output.split(separator: "\n").map { $0.prefix { $0 != "\t" } }
            #expect(words.map(String.init) == [offered])
        }
    }

    @Test("zsh loads it for both names", .enabled(if: isInstalled("zsh"), "zsh is not installed"))
    func zsh() async throws {
        try await Self.with("zsh") { script, path in
            let outcome = try await RunningProgram(
                "/usr/bin/zsh",
                [
                    "-fc",
                    "autoload -Uz compinit; compinit -u -D; source $1; print $_comps[tentacle] $_comps[Tentacle]; whence -w _tentacle",
                    "zsh", script,
                ],
                environment: ["PATH": path]
            ).outcome()
            #expect(outcome.errors == "")
            #expect(outcome.output == "_tentacle _tentacle\n_tentacle: function\n")
        }
    }

    @Test("a shell that has none, or no shell at all")
    func refused() async throws {
        try await TestWorld.with { world in
            #expect(
                world.run("completion", "csh")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "There is no completion for the shell 'csh'; there is one for bash, zsh, fish.\n"
                    )
            )
            #expect(world.run("completion").errors == "Say for which shell: one of bash, zsh, fish.\n")
            #expect(world.run("completion", "bash", "--x").exitCode == 1)
        }
    }

    @Test("every command has its manual page, and one that groff takes without a warning")
    func manual() async throws {
        try await TestWorld.with { world in
            let names = CommandTable.visible.map(\.name)
            let general = world.run("help", "--format=man")
            #expect(general.exitCode == 0)
            var pages = ["tentacle.1"]
            try world.write(general.output, "tentacle.1")
            for name in names {
                #expect(general.output.contains(".BR tentacle\\-\(name.replacing("-", with: "\\-")) (1)"))
                let page = world.run("help", name, "--format=man")
                #expect(page.output.contains(".SH NAME\ntentacle\\-\(name.replacing("-", with: "\\-")) \\- "))
                #expect(page == world.run(name, "--help", "--format=man"))
                try world.write(page.output, "tentacle-\(name).1")
                pages.append("tentacle-\(name).1")
            }
            guard Self.isInstalled("groff") else { return }
            let outcome = try await RunningProgram(
                "/usr/bin/groff",
                ["-man", "-Tutf8", "-ww", "-z"] + pages.map { world.path + "/" + $0 }
            ).outcome()
            #expect(outcome.status == 0)
            #expect(outcome.errors == "")
        }
    }
}
