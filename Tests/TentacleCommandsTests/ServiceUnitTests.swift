import AgentConfiguration
import Glibc
import TentacleCommands
import Testing

/// Which unit `service --install` writes, whom it gives what, and what it tells the launcher.
@Suite struct ServiceUnitTests {
    private static let unit = "etc/systemd/system/Tentacle.service"

    @Test("the hardened unit, where this project's units are installed")
    func project() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try service.installUnits()
            try world.makeServiceInstance()
            let outcome = world.run("service", "--install", "--start", "--dependOn=postgresql")
            #expect(
                outcome
                    == .init(
                        exitCode: 0,
                        output: "Service installed: Tentacle\nService started: Tentacle\n",
                        errors: ""
                    )
            )
            let text = try world.text(Self.unit)
            let template = try world.text("usr/lib/systemd/system/tentacle@.service")
            #expect(text.contains("\nDescription=Octopus Deploy: Tentacle deployment agent (Tentacle)\n"))
            #expect(
                text.contains(
                    "\nExecStart=/opt/octopus/tentacle/tentacle-agent --instance=Tentacle --noninteractive\n"
                )
            )
            #expect(
                text.contains(
                    "\nAfter=network-online.target tentacle-launcher.socket postgresql.service\n"
                        + "Conflicts=tentacle.service tentacle@Tentacle.service\n"
                )
            )
            // Every restriction of the template is in there, and home and applications need no more.
            for line in template.split(separator: "\n") where !line.contains("%I") && !line.hasPrefix("#") {
                #expect(text.contains(line), "\(line)")
            }
            #expect(!text.contains("%I") && text.hasSuffix("WantedBy=multi-user.target\n"))
            #expect(text.split(separator: "\n").filter { $0.hasPrefix("ReadWritePaths=") }.count == 1)
            #expect(world.names(in: "etc/systemd/system") == ["Tentacle.service"])
            // The launcher takes scripts from the instance's home.
            let settings = try world.text("etc/tentacle/launcher.toml")
            #expect(settings.contains("\nwork = [\"\(world.path)/etc/octopus/default/Work\"]\n"))
            #expect(world.run("service", "--reconfigure").exitCode == 0)
            #expect(try world.text("etc/tentacle/launcher.toml") == settings)
        }
    }

    @Test("a directory that the unit closes is opened", .enabled(if: geteuid() == 0))
    func otherHome() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try service.installUnits()
            try world.makeServiceInstance("My Tentacle", folder: "srv/my agent")
            #expect(world.run("service", "--instance=My Tentacle", "--install").exitCode == 0)
            let text = try world.text("etc/systemd/system/My-Tentacle.service")
            #expect(text.contains("\nReadWritePaths=\"-\(world.path)/srv/my agent\"\n"))
            #expect(text.contains("tentacle-agent \"--instance=My Tentacle\" --noninteractive\n"))
            #expect(text.contains("Conflicts=tentacle@My\\x20Tentacle.service\n"))
            let paths = service.given.map(\.path)
            #expect(paths.contains("\(world.path)/srv/my agent/tentacle.config"))
            #expect(paths.contains("\(world.path)/srv/my agent"))
            #expect(paths.contains("\(world.path)/home/Octopus/Applications"))
            for change in service.given {
                #expect(change.before.user == 0 && change.after.user == 990 && change.after.group == 990)
            }
        }
    }

    @Test(
        "what the agent keeps in its home is given, links and other users' files are not",
        .enabled(if: geteuid() == 0)
    )
    func homeContents() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try service.installUnits()
            try world.makeServiceInstance()
            let home = "etc/octopus/default"
            try world.write("log", "\(home)/Logs/OctopusTentacle.txt")
            try world.write("theirs", "\(home)/Work/theirs")
            try world.write("mine", "\(home)/notes")
            #expect(chown("\(world.path)/\(home)/Work/theirs", 4711, 4711) == 0)
            #expect(symlink("/etc/passwd", "\(world.path)/\(home)/Logs/link") == 0)
            #expect(link("\(world.path)/\(home)/notes", "\(world.path)/\(home)/Logs/second") == 0)
            #expect(world.run("service", "--install").exitCode == 0)
            let prefix = world.path + "/" + home
            let names = service.given.map { $0.path.dropFirst(prefix.count) }
            #expect(names.contains("/Logs/OctopusTentacle.txt") && names.contains("/Work"))
            for name in ["/Work/theirs", "/notes", "/Logs/link", "/Logs/second"] {
                #expect(!names.contains(Substring(name)), "\(name)")
            }
        }
    }

    @Test(
        "a host's own directory is never given away: the service runs as root, and says why",
        .enabled(if: geteuid() == 0)
    )
    func sharedHome() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try service.installUnits()
            try world.makeServiceInstance(folder: "etc/octopus")
            let outcome = world.run("service", "--install")
            #expect(outcome.exitCode == 0)
            #expect(
                outcome.output.hasPrefix(
                    "The service runs as root, not as 'tentacle': the home directory '\(world.path)/etc/octopus' is a "
                        + "directory of the host's.\n"
                )
            )
            #expect(try world.text(Self.unit) == SystemdUnitTests.stockUnit)
            #expect(service.given.isEmpty)
            let explicit = world.run("service", "--install", "--unit=project")
            #expect(explicit.exitCode == 1)
            #expect(explicit.errors.hasPrefix("The service cannot run as 'tentacle': the home directory"))
        }
    }

    @Test(
        "a home that the agent would not see",
        .enabled(if: geteuid() == 0),
        arguments: [("tmp/agent", "is where the service has files of its own"), ("closed/agent", "is closed")]
    )
    func unreachable(folder: String, reason: String) async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try service.installUnits()
            try world.makeServiceInstance(folder: folder)
            if folder.hasPrefix("closed") { #expect(chmod(world.path + "/closed", 0o700) == 0) }
            let outcome = world.run("service", "--install", "--unit=project")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.contains(reason), "\(outcome)")
        }
    }

    @Test("--username and the environment choose the stock unit, and the user gets the files")
    func username() async throws {
        for isOption in [true, false] {
            try await TestWorld.with { world in
                let service = try ServiceWorld(world)
                try service.installUnits()
                try world.makeServiceInstance()
                if !isOption { world.context.host.environment["OCTOPUS_SERVICE_USERNAME"] = "deploy" }
                let outcome = world.run(
                    ["service", "--install", "--password=x"] + (isOption ? ["--user=deploy"] : [])
                )
                #expect(outcome == .init(exitCode: 0, output: "Service installed: Tentacle\n", errors: ""))
                #expect(try world.text(Self.unit).contains("\nUser=deploy\n"))
                if geteuid() == 0 {
                    let changes = service.given
                    #expect(changes.contains { $0.path.hasSuffix("/default/tentacle.config") && $0.after.user == 1001 })
                    #expect(changes.allSatisfy { $0.after.mode & 0o600 == 0o600 })
                }
            }
        }
    }

    @Test(
        "the machine key is made readable where it is what the certificate is read with",
        .enabled(if: geteuid() == 0)
    )
    func machineKey() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try service.installUnits()
            try world.write("short\n", "etc/machine-id")
            try world.makeServiceInstance()
            #expect(world.names(in: "etc/octopus").contains("machinekey"))
            #expect(world.run("service", "--install").exitCode == 0)
            let change = try #require(
                service.given.first { $0.path.hasSuffix("/etc/octopus/machinekey") }
            )
            #expect(change.after == .init(user: 0, group: 990, mode: 0o640))
        }
    }

    @Test("a unit of the package that runs the same instance is disabled, then stopped, and is told of")
    func packagedUnit() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(
                world,
                answers: [
                    "systemctl is-enabled --quiet tentacle.service": ProgramEnd(status: 0),
                    "systemctl is-active --quiet tentacle.service": ProgramEnd(status: 0),
                ]
            )
            try service.installUnits()
            try world.makeServiceInstance()
            // While there is no other unit, it is the one that is meant.
            #expect(world.run("service", "--restart").output.hasPrefix("Restarting service: tentacle.service\n"))
            _ = service.taken()
            let outcome = world.run("service", "--install", "--start")
            #expect(
                outcome.output == """
                    The unit tentacle.service runs the same instance. It is disabled: Tentacle takes its place.
                    Service installed: Tentacle
                    The unit tentacle.service runs the same instance. It is stopped: Tentacle takes its place.
                    Service started: Tentacle

                    """
            )
            #expect(
                service.taken() == [
                    "systemctl daemon-reload", "systemctl disable tentacle.service", "systemctl enable Tentacle",
                    "systemctl stop tentacle.service", "systemctl start Tentacle",
                ]
            )
        }
    }

    @Test("the template of somebody else is not filled in")
    func foreignTemplate() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try service.installUnits()
            try world.write("[Service]\nExecStart=/bin/true\n", "usr/lib/systemd/system/tentacle@.service")
            try world.makeServiceInstance()
            let outcome = world.run("service", "--install")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.contains("is not the one of this project. Install the package again"))
        }
    }

    @Test(
        "the launcher's list of work directories is changed in place",
        arguments: [
            ("", "work = [\"NEW\"]\n"),
            (
                "# a\n#work = [\"/x\"]\n#policy\n[[rule]]\nwork = \"/y\"\n",
                "# a\n#work = [\"/x\"]\nwork = [\"NEW\"]\n#policy\n[[rule]]\nwork = \"/y\"\n"
            ),
            ("policy = \"x\"", "policy = \"x\"\nwork = [\"NEW\"]\n"),
            ("work = [] # none\n", "work = [\"NEW\"] # none\n"),
            ("work=['/a', \"/b]\"]\n", "work=[\"NEW\", '/a', \"/b]\"]\n"),
            ("work = [\n  \"/a\", # first\n]\n", "work = [\"NEW\", \n  \"/a\", # first\n]\n"),
        ]
    )
    func workList(before: String, after: String) async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try service.installUnits()
            try world.makeServiceInstance()
            try world.write(before, "etc/tentacle/launcher.toml")
            #expect(world.run("service", "--install").exitCode == 0)
            let new = "\(world.path)/etc/octopus/default/Work"
            #expect(try world.text("etc/tentacle/launcher.toml") == after.replacing("NEW", with: new))
        }
    }

    @Test(
        "a list that is not understood is left to its author",
        arguments: ["work = [1]\n", "work = \"/a\"\n", "work = [\"/a\n"]
    )
    func unclearWorkList(text: String) async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try service.installUnits()
            try world.makeServiceInstance()
            try world.write(text, "etc/tentacle/launcher.toml")
            let outcome = world.run("service", "--install")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.hasPrefix("The list 'work' in /etc/tentacle/launcher.toml is not understood."))
            #expect(world.names(in: "etc/systemd/system").isEmpty)
        }
    }
}
