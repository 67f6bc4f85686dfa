import AgentConfiguration
import FoundationEssentials
import Glibc
import SecureTransport
import TentacleCommands
import Testing

/// A stock agent's installation, made by the spec: two instances, their units, a certificate.
@Suite struct ImportStockCommandTests {
    private static let stockUnit = SystemdUnitTests.stockUnit
    private static let units = "etc/systemd/system"

    private func makeStock(_ world: TestWorld, service: ServiceWorld) throws {
        try service.installUnits()
        try world.makeServiceInstance()
        try world.makeServiceInstance("web", folder: "srv/web")
        try world.write(Self.stockUnit, "\(Self.units)/Tentacle.service")
        try world.write(
            Self.stockUnit.replacing("--instance=Tentacle", with: "--instance web"),
            "\(Self.units)/web-agent.service"
        )
        try world.write("[Service]\nExecStart=/usr/sbin/nginx\n", "\(Self.units)/nginx.service")
        for unit in ["Tentacle", "web-agent"] {
            for verb in ["is-active", "is-enabled"] {
                service.answer("systemctl \(verb) --quiet \(unit)", ProgramEnd(status: 0))
            }
        }
    }

    /// Every file of the host with what is in it.
    private func files(_ world: TestWorld, _ directory: String = "") -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in world.names(in: directory) {
            let path = directory.isEmpty ? name : "\(directory)/\(name)"
            if let bytes = try? DurableFile.read(world.path + "/" + path) {
                result[path] = bytes
            } else {
                result.merge(self.files(world, path)) { first, _ in first }
            }
        }
        return result
    }

    @Test("units are swapped under their names, identity and files stay, and undo restores every byte")
    func importAndUndo() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try self.makeStock(world, service: service)
            let before = self.files(world)
            let dry = world.run("import-stock", "--dry-run")
            #expect(dry.exitCode == 0, "\(dry)")
            #expect(dry.output.contains("  will run /opt/octopus/tentacle/tentacle-agent as tentacle\n"))
            #expect(dry.output.contains("  replaces \(world.path)/etc/systemd/system/web-agent.service\n"))
            #expect(dry.output.hasSuffix("Nothing has been changed.\n"))
            #expect(self.files(world) == before)
            #expect(service.taken().isEmpty && service.given.isEmpty)

            let outcome = world.run("import-stock")
            #expect(outcome.exitCode == 0, "\(outcome)")
            #expect(
                service.taken() == [
                    "systemctl daemon-reload", "systemctl restart Tentacle", "systemctl restart web-agent",
                ]
            )
            #expect(
                try world.text("\(Self.units)/web-agent.service").contains("tentacle-agent --instance=web --noninter")
            )
            #expect(
                try world.text("etc/tentacle/launcher.toml").contains(
                    "work = [\"\(world.path)/srv/web/Work\", \"\(world.path)/etc/octopus/default/Work\"]"
                )
            )
            let after = self.files(world)
            for (path, bytes) in before where path.hasSuffix(".config") || path.hasSuffix("nginx.service") {
                #expect(after[path] == bytes, "\(path)")
            }
            let again = world.run("import-stock")
            #expect(again.exitCode == 1)
            #expect(
                again.errors
                    == "The stock agent's services have been imported already. To give them back, run 'Tentacle import-stock --undo'.\n"
            )

            let given = service.given
            service.forgetGiven()
            #expect(world.run("import-stock", "--undo", "--dry-run").exitCode == 0)
            #expect(self.files(world) == after)
            #expect(world.run("import-stock", "--undo").exitCode == 0)
            #expect(self.files(world) == before)
            #expect(service.given.filter { !$0.path.hasSuffix(".service") } == given.map(\.reversed))
            #expect(
                service.taken() == [
                    "systemctl daemon-reload", "systemctl enable Tentacle", "systemctl enable web-agent",
                    "systemctl restart Tentacle", "systemctl restart web-agent",
                ]
            )
            let nothing = world.run("import-stock", "--undo")
            #expect(nothing.exitCode == 1)
            #expect(nothing.errors == "There is nothing to undo: no stock agent has been imported.\n")
        }
    }

    /// What the package leaves of a stock agent: ours in its place, theirs beside it.
    private func makePrograms(_ world: TestWorld) throws {
        for (name, text) in [
            ("tentacle/Tentacle", "ours"), ("tentacle/tentacle-launcher", "ours"),
            ("tentacle.replaced/old", "ours, before"), ("tentacle.stock/Tentacle", "theirs"),
            ("tentacle.stock/Tentacle.dll", "theirs"),
        ] {
            try world.write(text, "opt/octopus/\(name)")
            #expect(chmod("\(world.path)/opt/octopus/\(name)", 0o755) == 0)
        }
    }

    @Test("the stock agent's program is put back, with an import to undo and without", arguments: [true, false])
    func undoWithProgram(isImported: Bool) async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try self.makeStock(world, service: service)
            try self.makePrograms(world)
            if isImported { #expect(world.run("import-stock").exitCode == 0) }
            let before = self.files(world)
            #expect(world.run("import-stock", "--undo", "--with-program", "--dry-run").exitCode == 0)
            #expect(self.files(world) == before)
            _ = service.taken()
            let outcome = world.run("import-stock", "--undo", "--with-program")
            #expect(outcome.exitCode == 0, "\(outcome)")
            #expect(outcome.output.contains("install the stock agent's package before you remove it"))
            #expect(try world.text("opt/octopus/tentacle/Tentacle") == "theirs")
            #expect(world.names(in: "opt/octopus") == ["tentacle", "tentacle.replaced"])
            #expect(world.names(in: "opt/octopus/tentacle.replaced") == ["Tentacle", "tentacle-launcher"])
            #expect(try world.text("\(Self.units)/Tentacle.service") == Self.stockUnit)
            #expect(service.taken().suffix(2) == ["systemctl restart Tentacle", "systemctl restart web-agent"])
            // As after an interruption.
            #expect(world.run("import-stock", "--undo", "--with-program").exitCode == 0)
            #expect(try world.text("opt/octopus/tentacle/Tentacle") == "theirs")
        }
    }

    @Test("without the program to put back, or with one that others can write, nothing is undone")
    func noProgram() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try self.makeStock(world, service: service)
            try self.makePrograms(world)
            let alone = world.run("import-stock", "--with-program")
            #expect(alone.errors == "--with-program can only be used with --undo.\n")
            #expect(world.run("import-stock").exitCode == 0)
            let before = self.files(world)
            #expect(chmod(world.path + "/opt/octopus/tentacle.stock", 0o777) == 0)
            let foreign = world.run("import-stock", "--undo", "--with-program")
            #expect(foreign.exitCode == 1 && foreign.errors.contains("can be written by others"), "\(foreign)")
            #expect(self.files(world) == before)
            #expect(rename(world.path + "/opt/octopus/tentacle.stock", world.path + "/opt/gone") == 0)
            let missing = world.run("import-stock", "--undo", "--with-program")
            #expect(missing.exitCode == 1 && missing.errors.contains("Install the stock agent's package"), "\(missing)")
            #expect(!world.run("import-stock", "--undo").output.contains("--with-program"))
        }
    }

    @Test("interrupted before each change: undo restores, and a repetition finishes", arguments: 0..<6)
    func interrupted(step: Int) async throws {
        for isRepeated in [false, true] {
            try await TestWorld.with { world in
                let service = try ServiceWorld(world)
                try self.makeStock(world, service: service)
                let before = self.files(world)
                // A directory in the way of one change after the other stands for a program that dies there.
                let obstacles = [
                    "var/backups/tentacle-import-stock/0-launcher.toml",
                    "var/backups/tentacle-import-stock/manifest.json",
                ]
                if step < obstacles.count {
                    try DurableFile.makeDirectory(world.path + "/" + obstacles[step])
                    #expect(world.run("import-stock").exitCode != 0)
                    #expect(rmdir(world.path + "/" + obstacles[step]) == 0)
                } else {
                    // A manifest that says begun, with some of the changes made.
                    #expect(world.run("import-stock").exitCode == 0)
                    let manifest = "var/backups/tentacle-import-stock/manifest.json"
                    try world.write(
                        try world.text(manifest).replacing("\"imported\"", with: "\"begun\""),
                        manifest
                    )
                    let original = before["\(Self.units)/web-agent.service"] ?? []
                    if step > 2 {
                        try world.write(String(decoding: original, as: UTF8.self), "\(Self.units)/web-agent.service")
                    }
                    if step > 3 { try world.write(Self.stockUnit, "\(Self.units)/Tentacle.service") }
                    if step > 4 {
                        try world.write(
                            String(decoding: before["etc/tentacle/launcher.toml"] ?? [], as: UTF8.self),
                            "etc/tentacle/launcher.toml"
                        )
                    }
                }
                if isRepeated { #expect(world.run("import-stock").exitCode == 0) }
                let undone = world.run("import-stock", "--undo")
                #expect(undone.exitCode == (step < obstacles.count && !isRepeated ? 1 : 0), "\(undone)")
                #expect(self.files(world).filter { !$0.key.hasPrefix("var/backups") } == before)
            }
        }
    }

    @Test(
        "what is not understood is refused as a whole",
        arguments: [
            (
                "Restart=always", "Restart=always\nEnvironment=A=b",
                "The unit Tentacle has settings that would be lost: Service.Environment."
            ),
            ("run --instance", "serve --instance", "The command line of the unit Tentacle is not understood:"),
            (
                "--instance=Tentacle", "--instance=Gone",
                "The unit Tentacle runs an instance that is not there: --instance=Gone"
            ),
            ("--instance=Tentacle", "--instance=web", "The units Tentacle and web-agent run the same instance"),
        ]
    )
    func refused(text: String, replacement: String, message: String) async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try self.makeStock(world, service: service)
            try world.write(Self.stockUnit.replacing(text, with: replacement), "\(Self.units)/Tentacle.service")
            let before = self.files(world)
            let outcome = world.run("import-stock")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.hasPrefix("Nothing has been changed.\n\(message)"), "\(outcome)")
            #expect(self.files(world) == before && service.taken().isEmpty)
        }
    }

    @Test("drop-ins that start the agent another way, keys of another machine, broken files")
    func otherProblems() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try self.makeStock(world, service: service)
            try world.write("[Service]\nUser=deploy\n", "\(Self.units)/Tentacle.service.d/local.conf")
            try world.write("00000000000000000000000000000000\n", "etc/machine-id")
            try world.write("broken", "etc/octopus/Tentacle/Instances/broken.config")
            let outcome = world.run("import-stock", "--dry-run")
            #expect(outcome.exitCode == 1)
            for text in [
                "Tentacle.service.d/local.conf' starts the agent another way", "cannot be decrypted on this machine",
                "broken.config' is not valid",
            ] {
                #expect(outcome.errors.contains(text), "\(outcome)")
            }
        }
    }

    @Test("both forms of secrets are read; services of other users keep them")
    func secretsAndUsers() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            try self.makeStock(world, service: service)
            try world.write(
                Self.stockUnit.replacing("User=root", with: "User=deploy"),
                "\(Self.units)/Tentacle.service"
            )
            let path = "etc/octopus/default/tentacle.config"
            try TentacleConfiguration.update(world.path + "/" + path, host: world.context.host) { configuration in
                let secrets = SecretProtection(host: world.context.host, configurationPath: configuration.path)
                let sealed = try #require(configuration.text(.certificate))
                configuration.set(.certificate, try secrets.encrypt(try secrets.decrypt(sealed), form: .versioned))
            }
            let outcome = world.run("import-stock")
            #expect(outcome.exitCode == 0, "\(outcome)")
            let text = try world.text("\(Self.units)/Tentacle.service")
            #expect(text == Self.stockUnit.replacing("User=root", with: "User=deploy"))
            #expect(outcome.output.contains("\(try TestIdentity.shared.get().thumbprint)"))
            let refused = world.run("import-stock", "--undo")
            #expect(refused.exitCode == 0)
            #expect(world.run("import-stock", "--unit=project").errors.hasPrefix("The unit Tentacle runs as 'deploy'"))
        }
    }

    @Test("without privileges, without services, after a restart that failed")
    func others() async throws {
        try await TestWorld.with { world in
            let service = try ServiceWorld(world)
            #expect(world.run("import-stock").errors.hasPrefix("No service of a stock agent was found in /etc/systemd"))
            try self.makeStock(world, service: service)
            world.context.isRoot = false
            #expect(
                world.run("import-stock")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Requires elevated privileges. Please run command as sudo.\n"
                    )
            )
            #expect(world.run("import-stock", "--dry-run").exitCode == 0)
            world.context.isRoot = true
            service.answer("systemctl restart web-agent", ProgramEnd(status: 1))
            let outcome = world.run("import-stock")
            #expect(outcome.exitCode == 1)
            #expect(
                outcome.errors.contains("These services did not start: web-agent. Look at 'journalctl -u web-agent'")
            )
            let undone = world.run("import-stock", "--undo")
            #expect(undone.errors.contains("Everything is as it was, but these services did not start: web-agent."))
        }
    }
}
