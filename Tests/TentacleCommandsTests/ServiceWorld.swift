import AgentConfiguration
import FoundationEssentials
import Glibc
import Synchronization
import TentacleCommands

/// A host with systemd, whose `systemctl` answers as the test says and is written down.
final class ServiceWorld: Sendable {
    let calls = Mutex<[String]>([])
    let changes = Mutex<[OwnershipChange]>([])
    private let answers: Mutex<[String: ProgramEnd]>
    let path: String

    init(_ world: TestWorld, answers: [String: ProgramEnd] = [:], programs: [String] = ["systemctl", "sudo"]) throws {
        self.answers = Mutex(answers)
        self.path = world.path
        for program in programs { try Self.makeProgram(world.path + "/bin/\(program)") }
        try Self.makeProgram(world.path + "/bin/bash")
        world.context.host.environment["PATH"] = world.path + "/bin"
        world.context.isRoot = true
        world.context.findUser = { name in
            // Where tests are not root's, files cannot be anybody else's.
            let isRoot = geteuid() == 0
            return switch name {
            case "tentacle": UserAccount(name: name, id: isRoot ? 990 : geteuid(), group: isRoot ? 990 : getegid())
            case "deploy": UserAccount(name: name, id: isRoot ? 1001 : geteuid(), group: isRoot ? 1001 : getegid())
            default: nil
            }
        }
        world.context.changeOwner = { change in
            self.changes.withLock { $0.append(change) }
            return 0
        }
        let path = self.path
        world.context.runProgram = { program, arguments in
            let name = FilePathText.name(of: program)
            let words = arguments.map { $0 == path + "/bin/systemctl" ? "systemctl" : $0 }
            let call = ([name] + words).joined(separator: " ")
            self.calls.withLock { $0.append(call) }
            if let answer = self.answers.withLock({ $0[call] }) { return answer }
            // No unit of the package is in use unless the test says so.
            return ProgramEnd(status: call.contains("--quiet") ? 1 : 0)
        }
    }

    /// What a command wanted given away.
    var given: [OwnershipChange] { self.changes.withLock { $0 } }

    func forgetGiven() { self.changes.withLock { $0 = [] } }

    func answer(_ call: String, _ end: ProgramEnd) { self.answers.withLock { $0[call] = end } }

    /// Calls since the last time, without questions.
    func taken() -> [String] {
        self.calls.withLock { calls in
            defer { calls = [] }
            return calls.filter { !$0.contains("--quiet") }
        }
    }

    private static func makeProgram(_ path: String) throws {
        try DurableFile.makeDirectory(FilePathText.directory(of: path))
        try DurableFile.write(Array("#!/bin/false\n".utf8), to: path, mode: 0o755)
    }

    /// The units of the package, as they are in the repository.
    func installUnits() throws {
        let repository = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        for name in ["tentacle@.service", "tentacle.service", "tentacle-launcher.socket", "tentacle-launcher@.service"]
        {
            let target = self.path + "/usr/lib/systemd/system/" + name
            try DurableFile.makeDirectory(FilePathText.directory(of: target))
            try DurableFile.write(try DurableFile.read("\(repository)/systemd/\(name)"), to: target, mode: 0o644)
        }
        let settings = self.path + "/etc/tentacle/launcher.toml"
        try DurableFile.makeDirectory(FilePathText.directory(of: settings))
        try DurableFile.write(try DurableFile.read("\(repository)/systemd/launcher.toml"), to: settings, mode: 0o644)
    }
}

extension TestWorld {
    /// As the documented scripts do it: `--config` below `/etc/octopus`, the default name.
    func makeServiceInstance(_ name: String = "Tentacle", folder: String = "etc/octopus/default") throws {
        let config = "\(self.path)/\(folder)/tentacle.config"
        _ = self.run("create-instance", "--instance", name, "--config", config)
        try TentacleConfiguration.update(config, host: self.context.host) { configuration in
            try configuration.setIdentity(TestIdentity.shared.get())
            configuration.set(.applicationDirectory, "\(self.path)/home/Octopus/Applications")
        }
        try DurableFile.makeDirectory(self.path + "/home/Octopus/Applications")
    }
}
