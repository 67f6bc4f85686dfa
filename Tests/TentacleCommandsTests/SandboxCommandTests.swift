import AgentConfiguration
import Foundation
import Glibc
import ProcessTesting
import TentacleCommands
import Testing

/// A shell script in the launcher's place: says what it was asked, and knows the built-in policies and `web`.
private func writeStandInLauncher(_ world: TestWorld) throws -> String {
    let path = world.path + "/stand-in-launcher"
    let text = """
        #!/bin/sh
        # Stands in for tentacle-launcher in tests.
        printf '%s\\n' "$*" >> '\(world.path)/asked'
        case "$*" in
            'sandbox run '*) exit 17 ;;
            'sandbox show none' | 'sandbox show standard' | 'sandbox show strict' | 'sandbox show web') exit 0 ;;
            'sandbox show '*)
                echo "tentacle-launcher: unknown policy $3; known are none, standard, strict and web" >&2
                exit 2 ;;
        esac

        """
    try DurableFile.write(Array(text.utf8), to: path, mode: 0o700)
    return path
}

@Suite struct SandboxCommandTests {
    @Test(
        "the same words reach the launcher, wherever options stand",
        arguments: [
            ("list", "sandbox list"), ("LIST --format=JSON", "sandbox list --format json"),
            ("show web", "sandbox show web"), ("check", "sandbox check"), ("check strict", "sandbox check strict"),
            ("--format text check", "sandbox check --format text"),
            ("explain web --format json", "sandbox explain web --format json"),
            ("run web -- id", "sandbox run web -- id"),
            ("run web -- /bin/ls --help --format x -- /y", "sandbox run web -- /bin/ls --help --format x -- /y"),
            ("--config /a.toml list --policies=/p", "--config /a.toml --policies /p sandbox list"),
        ]
    )
    func words(typed: String, expected: String) async throws {
        try await TestWorld.with { world in
            world.context.host.environment["TENTACLE_LAUNCHER"] = "/opt/l"
            _ = world.run(["sandbox"] + typed.split(separator: " ").map(String.init))
            #expect(world.executed == [["/opt/l"] + expected.split(separator: " ").map(String.init)])
        }
    }

    @Test(
        "what is wrong on the command line is said, with what is known",
        arguments: [
            ("", "Say what to do: sandbox list, show, check, explain and run. See the help of this command."),
            ("start", "The command sandbox does not know 'start'; it knows list, show, check, explain and run."),
            ("show", "Give the name of a policy: sandbox show <policy>. sandbox list names them."),
            (
                "run -- id",
                "Give the name of a policy: sandbox run <policy> -- <program> [<argument>...]. sandbox list names them."
            ),
            ("run web", "Give a program to run: sandbox run <policy> -- <program> [<argument>...]."),
            ("run web --", "Give a program to run: sandbox run <policy> -- <program> [<argument>...]."),
            ("run web id", "Unrecognized command line arguments: id The program to run comes after --."),
            ("list web", "Unrecognized command line arguments: web"),
            ("check web other", "Unrecognized command line arguments: other"),
            ("check web -- id", "Unrecognized command line arguments: -- id"),
            ("list --frmat=json", "Unrecognized command line arguments: --frmat=json\nDid you mean --format?"),
            ("show web --format json", "sandbox show has no --format; list, check and explain have."),
            ("list --format yaml", "The format 'yaml' is not supported. Try text or json."),
            (
                "show ../web",
                "'../web' is no name of a sandbox policy: a name has a-z, 0-9 and -, does not begin with -, and has at most 64 characters."
            ),
        ]
    )
    func mistakes(typed: String, message: String) async throws {
        try await TestWorld.with { world in
            world.context.host.environment["TENTACLE_LAUNCHER"] = "/opt/l"
            let outcome = world.run(["sandbox"] + typed.split(separator: " ").map(String.init))
            #expect(outcome == .init(exitCode: 1, output: "", errors: message + "\n"))
            #expect(world.executed == [])
        }
    }

    @Test("without a launcher, where it should be is said")
    func noLauncher() async throws {
        try await TestWorld.with { world in
            let outcome = world.run("sandbox", "list")
            #expect(outcome.exitCode == 100 && outcome.output == "" && world.executed == [])
            #expect(outcome.errors.contains("it is not beside '/opt/octopus/tentacle/Tentacle'"))
        }
    }

    @Test("an ordinary user is told of the service's launcher, which runs as root, where the answer depends on it")
    func ordinaryUser() async throws {
        try await TestWorld.with { world in
            world.context.host.environment["TENTACLE_LAUNCHER"] = "/opt/l"
            world.context.isRoot = false
            let note = "This is what holds for scripts that tester starts. The installed service starts them as root: "
            #expect(!world.run("sandbox", "check").errors.contains(note))
            try world.write("", "usr/lib/systemd/system/tentacle-launcher.socket")
            let errors = world.run("sandbox", "check", "strict").errors
            #expect(errors.hasPrefix(note + "'sudo Tentacle sandbox check' asks for those.\n"))
            for words in [["explain", "web"], ["run", "web", "--", "id"]] {
                #expect(world.run(["sandbox"] + words).errors.hasPrefix(note))
            }
            #expect(!world.run("sandbox", "list").errors.contains(note))
            #expect(!world.run("sandbox", "show", "web").errors.contains(note))
            world.context.isRoot = true
            #expect(!world.run("sandbox", "check").errors.contains(note))
        }
    }

    @Test("help names the words, what follows each, and the options")
    func help() async throws {
        try await TestWorld.with { world in
            let page = world.run("sandbox", "--help")
            #expect(page.exitCode == 0)
            #expect(
                page.output.hasPrefix(
                    """
                    Usage: Tentacle sandbox <word> [<options>]

                    Where <word> is one of: \n
                      list           
                       Every policy, built in or of a file, which is the default, and which are forbidden
                      show <policy>  
                       A policy as a file would say it, with every value
                    """
                )
            )
            #expect(page.output.contains("  run <policy> -- <program> [<argument>...]\n"))
            #expect(page.output.contains("      --format=VALUE"))
            let json = world.run("sandbox", "--help", "--format=json").output
            #expect(json.contains("\"Words\""))
            #expect(!world.run("why", "--help", "--format=json").output.contains("\"Words\""))
        }
    }

    @Test("the program becomes the launcher: its exit code is the command's")
    func realProgram() async throws {
        try await TestWorld.with { world in
            let launcher = try writeStandInLauncher(world)
            let tentacle = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
                .appending(path: "tentacle").path
            let outcome = try await RunningProgram(
                tentacle,
                ["sandbox", "run", "web", "--", "id", "--help", "-u"],
                environment: ["TENTACLE_LAUNCHER": launcher]
            ).outcome()
            #expect(outcome.status == 17)
            #expect(try world.text("asked") == "sandbox run web -- id --help -u\n")
        }
    }
}

@Suite struct ConfigureSandboxTests {
    private static func withLauncher(_ body: (TestWorld) async throws -> Void) async throws {
        try await TestWorld.with { world in
            world.context.host.environment["TENTACLE_LAUNCHER"] = try writeStandInLauncher(world)
            try world.makeInstance()
            try await body(world)
        }
    }

    @Test("a policy is kept, shown, and removed without a trace")
    func policy() async throws {
        try await Self.withLauncher { world in
            let before = try world.text("home/x.config")
            let shown = world.run("show-configuration").output
            let outcome = world.run("configure", "--sandbox", "web")
            #expect(outcome.output == "Sandbox policy: web\nThese changes require a restart of the Tentacle.\n")
            #expect(try world.text("home/x.config").contains("<set key=\"Tentacle.Sandbox.Policy\">web</set>"))
            let settings = try world.configuration().settings(of: TentacleInstance(name: nil, configurationPath: ""))
            #expect(settings.sandboxPolicy == "web")
            #expect(
                world.run("show-configuration").output.contains(
                    """
                        "Sandbox": {
                          "Policy": "web"
                        },
                        "Services": {
                    """
                )
            )
            #expect(
                world.run("configure", "--sandbox=").output
                    == "Sandbox policy: the machine's default\nThese changes require a restart of the Tentacle.\n"
            )
            #expect(try world.text("home/x.config") == before)
            #expect(world.run("show-configuration").output == shown)
        }
    }

    @Test(
        "a policy that scripts cannot have is refused, and nothing else is written, wherever it stands",
        arguments: [
            (
                "Web",
                "'Web' is no name of a sandbox policy: a name has a-z, 0-9 and -, does not begin with -, and has at most 64 characters."
            ),
            (
                "-web",
                "'-web' is no name of a sandbox policy: a name has a-z, 0-9 and -, does not begin with -, and has at most 64 characters."
            ),
            (
                "wbe",
                "The sandbox policy 'wbe' cannot be used: unknown policy wbe; known are none, standard, strict and web."
            ),
        ],
        [true, false]
    )
    func refused(policy: (name: String, message: String), comesFirst: Bool) async throws {
        try await Self.withLauncher { world in
            let before = try world.text("home/x.config")
            let others = ["--port=1234", "--app=apps", "--trust=ABC"]
            let sandbox = ["--sandbox=\(policy.name)"]
            let outcome = world.run(["configure"] + (comesFirst ? sandbox + others : others + sandbox))
            #expect(outcome == .init(exitCode: 1, output: "", errors: policy.message + "\n"))
            #expect(try world.text("home/x.config") == before)
            #expect(world.names(in: "cwd") == [])
        }
    }

    @Test("a bad value beside a good policy leaves it unset", arguments: [true, false])
    func badNeighbour(comesFirst: Bool) async throws {
        try await Self.withLauncher { world in
            let before = try world.text("home/x.config")
            let options = ["--sandbox=web", "--port=0"]
            #expect(world.run(["configure"] + (comesFirst ? options : options.reversed())).exitCode == 1)
            #expect(try world.text("home/x.config") == before)
        }
    }

    @Test("where no launcher is, the name's form is all that can be checked")
    func noLauncher() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            #expect(world.run("configure", "--sandbox=whatever-1").exitCode == 0)
            #expect(try world.configuration().text(.sandboxPolicy) == "whatever-1")
            world.context.host.environment["TENTACLE_LAUNCHER"] = world.path + "/absent"
            #expect(world.run("configure", "--sandbox=other").exitCode == 0)
        }
    }

    @Test(
        "names have 1 to 64 of a-z, 0-9 and -",
        arguments: [
            ("a", true), ("0-", true), (String(repeating: "a", count: 64), true),
            (String(repeating: "a", count: 65), false), ("", false), ("-a", false), ("a.b", false), ("a/b", false),
            ("A", false), ("ä", false), ("a\n", false),
        ]
    )
    func names(name: String, isValid: Bool) {
        #expect(SandboxPolicyName.isValid(name) == isValid)
    }
}

/// The built programs, `tentacle` and `tentacle-launcher`, which lie beside each other.
@Suite struct RealLauncherTests {
    private static let folder = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    private static let tentacle = folder.appending(path: "tentacle").path
    private static let launcher = folder.appending(path: "tentacle-launcher").path

    private static let knowsSandbox = ProgramEnd.run(launcher, ["sandbox", "show", "standard"])?.status == 0
    private static let reason = Comment(rawValue: "tentacle-launcher does not know the word sandbox")

    @Test(
        "says what the launcher beside it says, and ends with its exit code",
        .enabled(if: knowsSandbox, reason),
        arguments: [
            ["list"], ["list", "--format", "json"], ["show", "strict"], ["check", "none"],
            ["check", "strict", "--format", "json"], ["explain", "standard"], ["show", "no-such-policy"],
        ]
    )
    func same(words: [String]) async throws {
        let ours = try await RunningProgram(Self.tentacle, ["sandbox"] + words).outcome()
        let theirs = try await RunningProgram(Self.launcher, ["sandbox"] + words).outcome()
        #expect(ours.output == theirs.output)
        #expect(ours.status == theirs.status)
        #expect(ours.errors.hasSuffix(theirs.errors))
        #expect((words[1...] == ["no-such-policy"]) == ours.output.isEmpty)
    }

    @Test("runs a program and has its exit code and its output", .enabled(if: knowsSandbox, reason))
    func run() async throws {
        let arguments = ["sandbox", "run", "none", "--", "/bin/sh", "-c", "echo \"$0 $1\"; exit 7", "--help", "-x"]
        let outcome = try await RunningProgram(Self.tentacle, arguments).outcome()
        #expect(outcome.status == 7)
        #expect(outcome.output == "--help -x\n")
    }

    @Test(
        "configure refuses what the launcher does not know, and names what it does",
        .enabled(if: knowsSandbox, reason)
    )
    func configure() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            world.context.host.environment["TENTACLE_LAUNCHER"] = Self.launcher
            for name in ["none", "standard", "strict"] {
                #expect(world.run("configure", "--sandbox", name).exitCode == 0)
            }
            let outcome = world.run("configure", "--sandbox", "no-such-policy")
            #expect(outcome.exitCode == 1 && outcome.output == "")
            for name in ["no-such-policy", "none", "standard", "strict"] { #expect(outcome.errors.contains(name)) }
            #expect(try world.configuration().text(.sandboxPolicy) == "strict")
        }
    }
}
