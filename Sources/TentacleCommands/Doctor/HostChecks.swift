import AgentConfiguration
import Glibc
import LauncherProtocol

/// What the agent needs of the machine: its launcher, a sandbox, systemd, a right clock.
struct HostChecks {
    let instance: TentacleInstance?
    let configuration: TentacleConfiguration?
    let unit: AgentUnit
    let context: CommandContext

    func findings() -> [Finding] {
        [self.launcher(), self.sandbox(), self.systemd(), self.agent(), self.clock()]
    }

    private var runsSystemd: Bool { access(self.context.host.wellKnown("/run/systemd/system"), F_OK) == 0 }

    private func launcher() -> Finding {
        let check = "launcher"
        guard let launcher = self.context.launcherPath else {
            return .fail(
                check,
                "There is no tentacle-launcher beside '\(self.context.programPath)': no script can be started",
                next: "Install the package again, or name it in TENTACLE_LAUNCHER"
            )
        }
        let path = self.context.host.wellKnown(LauncherSocket.path)
        var information = stat()
        if stat(path, &information) == 0 {
            guard information.st_mode & S_IFMT == S_IFSOCK else {
                return .fail(
                    check,
                    "\(path) is no socket",
                    next: "Remove it and run systemctl restart \(ProjectUnit.socket)"
                )
            }
            guard information.st_mode & 0o002 == 0 else {
                return .fail(
                    check,
                    "Every user of the host may start scripts as root through \(path)",
                    next: "systemctl restart \(ProjectUnit.socket); its unit says SocketMode=0660"
                )
            }
            return .pass(check, "\(launcher), asked through \(path)")
        }
        guard UnitFiles.path(of: ProjectUnit.socket, self.context.host) != nil, self.runsSystemd else {
            return .pass(check, "\(launcher), started by the agent itself")
        }
        return .fail(
            check,
            "\(path) is not there: systemd does not start launchers",
            next: "systemctl enable --now \(ProjectUnit.socket)"
        )
    }

    private func sandbox() -> Finding {
        let check = "sandbox"
        guard let launcher = self.context.launcherPath else { return .skip(check, "There is no launcher") }
        let policy = self.configuration?.text(.sandboxPolicy)
        let named = policy ?? "the machine's policy"
        if policy == "none" {
            return .warn(
                check,
                "The instance asks for the policy none: scripts are not confined",
                next: "tentacle configure --sandbox=standard"
            )
        }
        let arguments = ["sandbox", "check"] + [policy].compactMap(\.self)
        guard let end = self.context.runProgram(launcher, arguments) else {
            return .fail(check, "'\(launcher)' could not be started", next: "Install the package again")
        }
        switch end.status {
        case 0: return .pass(check, "All of \(named) is enforced for scripts of \(self.context.host.userName)")
        case 1 where end.errors.isEmpty:
            return .warn(
                check,
                "This machine does not enforce all of \(named)",
                next: "'tentacle sandbox check' says what is missing, and why"
            )
        default:
            let reason = end.errors.split(separator: "\n").first.map(String.init) ?? "exit code \(end.status)"
            return .fail(check, reason, next: "'tentacle sandbox check' says more; see /etc/tentacle/launcher.toml")
        }
    }

    private func systemd() -> Finding {
        let check = "systemd"
        guard self.runsSystemd else { return .skip(check, "This machine was not started by systemd") }
        let system: SystemControl
        do throws(CommandError) {
            system = try SystemControl(self.context, changesSomething: false)
        } catch {
            return .skip(check, error.message)
        }
        guard self.unit.path != nil else {
            return .warn(
                check,
                "\(self.unit.name) is not installed: the agent does not start with the machine",
                next: self.installation
            )
        }
        guard system.isTrue("is-active", self.unit.name) else {
            return .fail(
                check,
                "\(self.unit.name) does not run",
                next: "systemctl start '\(self.unit.name)'; journalctl -u '\(self.unit.name)' says why it ended"
            )
        }
        guard system.isTrue("is-enabled", self.unit.name) else {
            return .warn(
                check,
                "\(self.unit.name) runs, and does not start with the machine",
                next: "systemctl enable '\(self.unit.name)'"
            )
        }
        return .pass(check, "\(self.unit.name) runs, and starts with the machine")
    }

    private var installation: String {
        "tentacle service --install --start" + (self.instance?.name.map { " --instance '\($0)'" } ?? "")
    }

    private func agent() -> Finding {
        let check = "agent"
        guard let home = self.configuration?.homeDirectory else { return .skip(check, "There is no home directory") }
        let now = self.context.now()
        let pulse = AgentPulse(homeDirectory: home, now: now)
        let service = self.unit.path == nil ? self.installation : "systemctl start '\(self.unit.name)'"
        let start = "\(service), or tentacle agent in a terminal"
        switch pulse.state {
        case .running: return .pass(check, "It runs: \(pulse.text(now))")
        case .silent: return .fail(check, "It does not run, or hangs: \(pulse.text(now))", next: start)
        case .unknown: return .fail(check, "It has never run with \(home)", next: start)
        }
    }

    /// Who keeps the clock; what a server says of it is in `ServerChecks`.
    private func clock() -> Finding {
        let check = "clock"
        let keepers = [
            ("systemd-timesyncd", "/run/systemd/timesync/synchronized"), ("chrony", "/run/chrony/chronyd.pid"),
            ("ntpsec", "/run/ntpd.pid"), ("openntpd", "/run/openntpd.pid"),
        ]
        let keeper = keepers.first { access(self.context.host.wellKnown($0.1), F_OK) == 0 }
        if let keeper { return .pass(check, "\(ReadableText.time(self.context.now())), kept by \(keeper.0)") }
        return .skip(check, "\(ReadableText.time(self.context.now())); no time service is known to keep it")
    }
}
