import AgentConfiguration
import Glibc
import TentacleCommands
import Testing

@Suite struct ServiceCommandTests {
    private static let unit = "etc/systemd/system/Tentacle.service"

    @Test("install and start: the unit of the stock agent where this project's are not installed")
    func install() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try world.makeServiceInstance()
            let outcome = world.run("service", "--install", "--start")
            #expect(outcome.exitCode == 0)
            #expect(outcome.output == "Service installed: Tentacle\nService started: Tentacle\n")
            #expect(outcome.errors == "")
            #expect(try world.text(Self.unit) == SystemdUnitTests.stockUnit)
            #expect(
                service.taken() == [
                    "systemctl daemon-reload", "systemctl enable Tentacle", "systemctl start Tentacle",
                ]
            )
            var information = stat()
            #expect(stat(world.path + "/" + Self.unit, &information) == 0 && information.st_mode & 0o777 == 0o644)
            // Scripts outlive the agent, and do not go to a socket where they would be root's.
            let dropIn = try world.text(Self.unit + ".d/50-tentacle.conf")
            #expect(dropIn.contains("\nExecReload=/bin/kill -HUP $MAINPID\n"))
            #expect(dropIn.contains("\nKillMode=process\n") && dropIn.contains("TENTACLE_LAUNCHER_SOCKET=/nonexistent"))
            #expect(service.given.isEmpty)
        }
    }

    @Test("actions combine and are always done in the same order")
    func order() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try world.makeServiceInstance()
            let outcome = world.run(
                "service",
                "--start",
                "--reconfigure",
                "--install",
                "--uninstall",
                "--stop",
                "--restart",
                "--console"
            )
            #expect(outcome.exitCode == 0 && outcome.errors == "")
            #expect(
                outcome.output == """
                    Restarting service: Tentacle
                    Service has been restarted
                    Stopping service: Tentacle
                    Service stopped
                    Removing systemd service: Tentacle
                    Service uninstalled
                    Service installed: Tentacle
                    Attempting to remove old service: Tentacle
                    Service installed: Tentacle
                    Service started: Tentacle

                    """
            )
            #expect(
                service.taken() == [
                    "systemctl restart Tentacle", "systemctl stop Tentacle",
                    "systemctl stop Tentacle", "systemctl disable Tentacle",
                    "systemctl daemon-reload", "systemctl enable Tentacle",
                    "systemctl stop Tentacle", "systemctl disable Tentacle",
                    "systemctl daemon-reload", "systemctl enable Tentacle", "systemctl start Tentacle",
                ]
            )
        }
    }

    @Test("stop and uninstall of a unit that is not there: exit code 0")
    func missingUnit() async throws {
        try await TestWorld.with { world in
            let failure = ProgramEnd(status: 5, errors: "Failed to stop Tentacle.service: Unit not loaded.\n")
            let service = try ServiceWorld(world, answers: ["systemctl stop Tentacle": failure])
            try world.makeServiceInstance()
            let outcome = world.run("service", "--stop", "--uninstall")
            let warning = """
                The command 'systemctl stop Tentacle' failed with exit code: 5
                Failed to stop Tentacle.service: Unit not loaded.

                """
            #expect(outcome.exitCode == 0)
            #expect(outcome.errors == "The service could not be stopped\n")
            #expect(
                outcome.output == "Stopping service: Tentacle\n" + warning
                    + "Removing systemd service: Tentacle\n" + warning + "Service uninstalled\n"
            )
            #expect(!service.taken().contains { $0.contains("sudo") || $0.contains("reload") })
        }
    }

    @Test("uninstall takes away the unit and what belongs to it")
    func uninstall() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try world.makeServiceInstance()
            #expect(world.run("service", "--install").exitCode == 0)
            #expect(service.taken().count == 2)
            #expect(world.run("service", "--stop", "--uninstall").exitCode == 0)
            #expect(world.names(in: "etc/systemd/system").isEmpty)
            #expect(service.taken().last == "systemctl daemon-reload")
        }
    }

    @Test(
        "what systemd refuses is told and leaves the exit code 0, unless it is asked for",
        arguments: [
            ("start", "Could not start the systemd service: Tentacle"),
            ("restart", "The service could not be restarted"),
            ("stop", "The service could not be stopped"),
        ]
    )
    func refused(action: String, message: String) async throws {
        try await TestWorld.with { world in
            let failure = ProgramEnd(status: 1, errors: "Job failed.\n\u{1B}[31mSee journal.\n")
            _ = try ServiceWorld(world, answers: ["systemctl \(action) Tentacle": failure])
            try world.makeServiceInstance()
            let outcome = world.run("service", "--\(action)")
            #expect(outcome.exitCode == 0)
            let call = "The command 'systemctl \(action) Tentacle' failed with exit code: 1\nJob failed.\n"
            // Only a start that fails is an error to the stock agent.
            #expect((action == "start" ? outcome.errors : outcome.output).contains(call))
            #expect(outcome.errors.hasSuffix("\(message)\n"))
            #expect(!(outcome.output + outcome.errors).contains("\u{1B}"))
            let strict = world.run("service", "--\(action)", "--fail-on-error")
            #expect(strict.exitCode == 1)
            #expect(strict.errors.hasSuffix("The service Tentacle is not as it was asked for.\n"))
        }
    }

    @Test("a user who is refused tries again with sudo")
    func sudo() async throws {
        try await TestWorld.with { world in
            let refused = ProgramEnd(status: 1, errors: "Interactive authentication required.\n")
            let service = try ServiceWorld(world, answers: ["systemctl start Tentacle": refused])
            world.context.isRoot = false
            try world.makeServiceInstance()
            let outcome = world.run("service", "--start")
            #expect(outcome.exitCode == 0 && outcome.errors == "")
            #expect(
                outcome.output
                    == "Permission denied. Retrying 'systemctl start Tentacle' with sudo...\nService started: Tentacle\n"
            )
            #expect(
                service.taken() == ["sudo -vn", "systemctl start Tentacle", "sudo -n systemctl start Tentacle"]
            )
            service.answer("sudo -n systemctl start Tentacle", ProgramEnd(status: 4, errors: "no\n"))
            let again = world.run("service", "--start")
            #expect(again.exitCode == 0)
            #expect(
                again.errors == """
                    The command 'sudo systemctl start Tentacle' failed with exit code: 4
                    no
                    Could not start the systemd service: Tentacle

                    """
            )
        }
    }

    @Test("units are root's: who may use sudo repeats the command as root, without the password that it ignores")
    func becomesRoot() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            world.context.isRoot = false
            world.context.host.environment["OCTOPUS_SERVICE_USERNAME"] = "deploy"
            try world.makeServiceInstance("My Own")
            let words = ["--install", "--start", "--INSTANCE", "My Own", "--password=secret", "--dependOn=cron"]
            let outcome = world.run(["service"] + words)
            #expect(outcome.exitCode == 100)
            #expect(outcome.errors.contains("Could not start '\(world.path)/bin/sudo'"))
            #expect(outcome.output == "Permission denied. Retrying 'Tentacle service' with sudo...\n")
            #expect(
                world.executed == [
                    [
                        "\(world.path)/bin/sudo", "-n", "--", "/usr/bin/env", "OCTOPUS_SERVICE_USERNAME=deploy",
                        "/opt/octopus/tentacle/Tentacle", "service", "--install", "--start", "--instance=My Own",
                        "--dependOn=cron",
                    ]
                ]
            )
            #expect(service.taken() == ["sudo -vn"])
            #expect(world.names(in: "etc/systemd/system").isEmpty)
        }
    }

    // MARK: Prerequisites

    @Test("bash, the right to change services, and systemd are asked for before anything is done")
    func prerequisites() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world, answers: ["sudo -vn": ProgramEnd(status: 1)])
            try world.makeServiceInstance()
            unlink(world.path + "/bin/systemctl")
            #expect(
                world.run("service", "--install")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Could not detect systemd. systemd is required to run Tentacle as a service\n"
                    )
            )
            world.context.isRoot = false
            #expect(
                world.run("service", "--install")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Requires elevated privileges. Please run command as sudo.\n"
                    )
            )
            unlink(world.path + "/bin/sudo")
            #expect(world.run("service", "--stop").errors.hasPrefix("Requires elevated privileges."))
            unlink(world.path + "/bin/bash")
            #expect(
                world.run("service", "--install")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Could not detect bash. bash is required to run tentacle.\n"
                    )
            )
            #expect(service.taken() == ["sudo -vn"])
            #expect(world.names(in: "etc/systemd/system").isEmpty)
        }
    }

    // MARK: Options

    @Test(
        "options that do not go together are refused before anything is done",
        arguments: [
            (
                ["--instance=*", "--install"],
                "--instance=* can only be used for --start, --stop, and --restart flags"
            ),
            (["--install", "--unit=other"], "The unit 'other' is not known. Try project or stock."),
            (
                ["--install", "--unit=project", "--username=deploy"],
                "--username cannot be used with --unit=project, whose agent has a user of its own."
            ),
            (
                ["--install", "--dependOn=a\nExecStart=/bin/sh"],
                "The value 'a\\u000aExecStart=/bin/sh' of --dependOn is not a list of systemd units, e.g. "
                    + "--dependOn=postgresql.service"
            ),
            (
                ["--install", "--username=nobody-knows"],
                "The user 'nobody-knows' does not exist on this machine. Create it, or pass another one with --username."
            ),
            (["--status", "--format=xml"], "The format 'xml' is not supported. Try text or json."),
            (
                ["--install", "--unit=project"],
                "The units of this project are not installed on this machine (tentacle@.service and "
                    + "tentacle-launcher.socket). Install the package, or use --unit=stock."
            ),
        ] as [([String], String)]
    )
    func refusedOptions(arguments: [String], message: String) async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try world.makeServiceInstance()
            #expect(
                world.run(["service"] + arguments) == .init(exitCode: 1, output: "", errors: message + "\n")
            )
            #expect(service.taken().isEmpty)
            #expect(world.names(in: "etc/systemd/system").isEmpty)
        }
    }

    @Test("an instance that is not there is named; its service can be stopped all the same")
    func unknownInstance() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try world.makeServiceInstance()
            #expect(
                world.run("service", "--instance=Other", "--start")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors:
                            "Instance Other of Tentacle has not been configured on this machine. Available instances: Tentacle.\n"
                    )
            )
            #expect(world.run("service", "--install").exitCode == 0)
            let deleted = world.run("delete-instance", "--instance", "Tentacle")
            #expect(
                deleted.output == """
                    Deleted instance: Tentacle
                    The service Tentacle is still installed. Remove it with \
                    'Tentacle service --instance Tentacle --stop --uninstall'.

                    """
            )
            _ = service.taken()
            #expect(world.run("service", "--instance", "Tentacle", "--stop", "--uninstall").exitCode == 0)
            #expect(world.names(in: "etc/systemd/system").isEmpty)
            #expect(world.run("service", "--instance", "Tentacle", "--stop").exitCode == 1)
        }
    }

    @Test("an instance that is known by its file only has the unit of the unnamed")
    func unnamed() async throws {
        try await TestWorld.with { world in
            _ = try ServiceWorld(world)
            _ = world.run("create-instance")
            let outcome = world.run("service", "--install", "--start")
            #expect(
                outcome.output == """
                    Please note, currently there can only be one un-named instance configured as a service on a machine at a time.
                    Service installed: OctopusDeploy-Tentacle
                    Service started: OctopusDeploy-Tentacle

                    """
            )
            let text = try world.text("etc/systemd/system/OctopusDeploy-Tentacle.service")
            #expect(text.contains("Tentacle run --config=\(world.path)/cwd/Tentacle.config --noninteractive\n"))
            world.context.host.currentDirectory = "/"
            #expect(world.run("service", "--config", world.path + "/cwd/Tentacle.config", "--stop").exitCode == 0)
            #expect(world.run("service", "--config", "/nowhere.config", "--install").exitCode == 1)
        }
    }

    @Test("a name that no unit can have is refused, blanks become dashes")
    func names() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try world.makeServiceInstance("My Tentacle")
            #expect(world.run("service", "--instance=My Tentacle", "--install").exitCode == 0)
            #expect(
                try world.text("etc/systemd/system/My-Tentacle.service").contains(
                    "run \"--instance=My Tentacle\" --noninteractive\n"
                )
            )
            #expect(service.taken().last == "systemctl enable My-Tentacle")
            try world.makeServiceInstance("a&b", folder: "etc/octopus/other")
            let outcome = world.run("service", "--instance=a&b", "--install")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.hasPrefix("The instance name 'a&b' cannot be the name of a systemd unit."))
        }
    }

    @Test("a masked unit is not written through")
    func masked() async throws {
        try await TestWorld.with { world in
            _ = try ServiceWorld(world)
            try world.makeServiceInstance()
            try DurableFile.makeDirectory(world.path + "/etc/systemd/system")
            #expect(symlink("/dev/null", world.path + "/" + Self.unit) == 0)
            let outcome = world.run("service", "--install")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.contains("is a link. Take it away first, with 'systemctl unmask'"))
        }
    }

    @Test("a unit that cannot be written: exit code 100")
    func notWritten() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try world.makeServiceInstance()
            try world.write("no directory", "etc/systemd")
            let outcome = world.run("service", "--install", "--start")
            #expect(outcome.exitCode == 100)
            #expect(outcome.errors.hasPrefix("Could not install the systemd service: Tentacle\n"))
            #expect(service.taken().isEmpty)
        }
    }

    @Test("a unit that cannot be removed: exit code 100")
    func notRemoved() async throws {
        try await TestWorld.with { world in
            _ = try ServiceWorld(world)
            try world.makeServiceInstance()
            #expect(world.run("service", "--install").exitCode == 0)
            // A directory of the drop-in's name: nothing that this program wrote, and nothing that it removes.
            let dropIn = world.path + "/" + Self.unit + ".d/50-tentacle.conf"
            unlink(dropIn)
            try DurableFile.makeDirectory(dropIn)
            let outcome = world.run("service", "--uninstall")
            #expect(outcome.exitCode == 100)
            #expect(outcome.errors.hasPrefix("Could not remove the systemd service: Tentacle\n"))
        }
    }

    @Test("every instance at once")
    func everyInstance() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try world.makeServiceInstance("A", folder: "etc/octopus/a")
            try world.makeServiceInstance("B", folder: "etc/octopus/b")
            let outcome = world.run("service", "--instance=*", "--restart")
            #expect(outcome.exitCode == 0)
            #expect(
                outcome.output == """
                    Restarting service: A
                    Service has been restarted
                    Restarting service: B
                    Service has been restarted

                    """
            )
            #expect(service.taken() == ["systemctl restart A", "systemctl restart B"])
            service.answer("systemctl restart A", ProgramEnd(status: 1))
            #expect(world.run("service", "--instance=*", "--restart", "--fail-on-error").exitCode == 100)
            // The second one is not left out for the first.
            #expect(service.taken().contains("systemctl restart B"))
        }
    }

    // MARK: Inside a script

    @Test("a restart from inside a script does not wait, and needs no file that the sandbox hides")
    func insideScript() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try world.makeServiceInstance()
            #expect(world.run("service", "--install").exitCode == 0)
            _ = service.taken()
            world.context.host.environment["TentacleInstanceName"] = "Tentacle"
            #expect(rename(world.path + "/etc/octopus", world.path + "/etc/hidden") == 0)
            for selection in [[], ["--instance", "Tentacle"], ["--instance=*"]] {
                let outcome = world.run(["service", "--restart"] + selection)
                #expect(outcome.exitCode == 0)
                #expect(
                    outcome.output
                        == "Restarting service: Tentacle\nService restart has been requested; it does not end this script\n"
                )
                #expect(service.taken() == ["systemctl --no-block restart Tentacle"])
            }
            // Those of the package's units, too.
            try service.installUnits()
            let wanted = world.path + "/etc/systemd/system/multi-user.target.wants"
            try DurableFile.makeDirectory(wanted)
            for unit in ["tentacle.service", "tentacle@my\\x20own.service", "tentacle@\\xff.service", "cron.service"] {
                #expect(symlink("/nowhere", "\(wanted)/\(unit)") == 0)
            }
            service.answer("systemctl is-enabled --quiet tentacle@my\\x20own.service", ProgramEnd(status: 0))
            #expect(world.run("service", "--restart", "--instance=*").exitCode == 0)
            #expect(
                service.taken() == [
                    "systemctl --no-block restart Tentacle",
                    "systemctl --no-block restart tentacle@my\\x20own.service",
                ]
            )
        }
    }

    // MARK: State

    @Test("the state of the service, for people and for scripts")
    func status() async throws {
        try await TestWorld.with { world in
            let show =
                "systemctl show --no-pager --property=LoadState,UnitFileState,FragmentPath,ActiveState,SubState,"
                + "StateChangeTimestamp,MainPID Tentacle"
            let service = try ServiceWorld(world, programs: ["systemctl"])
            // Looking needs no privileges.
            world.context.isRoot = false
            service.answer(
                show,
                ProgramEnd(
                    status: 0,
                    output: """
                        LoadState=loaded
                        UnitFileState=enabled
                        FragmentPath=/etc/systemd/system/Tentacle.service
                        ActiveState=active
                        SubState=running
                        StateChangeTimestamp=Thu 2026-11-26 20:41:28 UTC
                        MainPID=4711

                        """
                )
            )
            try world.makeServiceInstance()
            #expect(
                world.run("service", "--status")
                    == .init(
                        exitCode: 0,
                        output: """
                            Service: Tentacle.service, instance Tentacle
                            Unit: loaded (/etc/systemd/system/Tentacle.service, enabled)
                            State: active (running) since Thu 2026-11-26 20:41:28 UTC
                            Main process: 4711

                            """,
                        errors: ""
                    )
            )
            #expect(
                world.run("service", "--status", "--format=json").output == """
                    {
                      "Instance": "Tentacle",
                      "Unit": "Tentacle.service",
                      "UnitFile": "/etc/systemd/system/Tentacle.service",
                      "LoadState": "loaded",
                      "UnitFileState": "enabled",
                      "ActiveState": "active",
                      "SubState": "running",
                      "Since": "Thu 2026-11-26 20:41:28 UTC",
                      "MainPID": 4711
                    }

                    """
            )
            service.answer(
                show,
                ProgramEnd(status: 0, output: "LoadState=not-found\nActiveState=inactive\nMainPID=0\n")
            )
            let outcome = world.run("service", "--status")
            #expect(outcome.exitCode == 3)
            #expect(outcome.errors == "The service Tentacle is not installed.\n")
            #expect(world.run("service", "--status", "--instance=*").exitCode == 3)
            service.answer(show, ProgramEnd(status: 1, errors: "System has not been booted with systemd.\n"))
            let unanswered = world.run("service", "--status")
            #expect(unanswered.exitCode == 100)
            #expect(
                unanswered.errors
                    == "systemd does not tell of the service Tentacle: System has not been booted with systemd.\n"
            )
        }
    }
}
