import AgentConfiguration
import Glibc
import LauncherProtocol
import SecureTransport

/// What the files of an instance say, and whether its agent can use them.
struct ConfigurationChecks {
    let instance: TentacleInstance
    let configuration: TentacleConfiguration
    let unit: AgentUnit
    let context: CommandContext

    func findings() -> [Finding] {
        self.values() + [self.fileMode(), self.certificate()] + self.trust() + self.home() + [self.applications()]
    }

    /// Every value that the agent reads at its start.
    private func values() -> [Finding] {
        do throws(ConfigurationError) {
            _ = try self.configuration.integer(.port)
            _ = try self.configuration.boolean(.noListen)
            _ = try self.configuration.integer(.pollingConnectionCount)
            _ = try self.configuration.trustedServers()
            _ = try self.configuration.proxy()
            _ = try self.configuration.pollingProxy()
            return [.pass("configuration", "\(self.instance.configurationPath): every value is valid")]
        } catch {
            let advice = "Set it again (tentacle configure, proxy, polling-proxy, server-comms), or restore the file"
            return [.fail("configuration", error.message, next: advice)]
        }
    }

    /// The file holds the private key.
    private func fileMode() -> Finding {
        let check = "permissions"
        let path = self.instance.configurationPath
        var information = stat()
        guard stat(path, &information) == 0 else {
            return .fail(check, "\(path): \(systemErrorText(errno))", next: "Run the command as root")
        }
        let mode = information.st_mode & 0o777
        guard mode & 0o077 == 0 else {
            return .warn(
                check,
                "\(path) holds the private key and has the mode \(String(mode, radix: 8)): other users can reach it",
                next: "chmod 600 '\(path)'"
            )
        }
        if let user = self.unit.user, let account = UserAccount.find(user), account.id != 0,
            account.id != information.st_uid
        {
            return .fail(
                check,
                "\(path) does not belong to \(user), as whom \(self.unit.name) runs: the agent cannot read it",
                next: "chown \(user) '\(path)'"
            )
        }
        return .pass(check, "\(path): mode \(String(mode, radix: 8))")
    }

    private func certificate() -> Finding {
        let check = "certificate"
        guard let stored = self.configuration.thumbprint else {
            return .warn(
                check,
                "There is none; the agent makes one at its first start",
                next: "tentacle new-certificate\(self.selection), then register"
            )
        }
        let another = "tentacle new-certificate\(self.selection) or import-certificate, then register again"
        do {
            guard let identity = try self.configuration.identity() else {
                return .fail(check, "There is a thumbprint without a certificate", next: another)
            }
            guard Thumbprint(stored) == identity.thumbprint else {
                return .fail(
                    check,
                    "The file says the thumbprint is \(stored), the certificate's is \(identity.thumbprint)",
                    next: another
                )
            }
            guard let bits = try identity.rsaKeyBits() else {
                return .fail(check, "Its key is not RSA: real servers refuse it", next: another)
            }
            guard bits >= 2048 else {
                return .warn(check, "\(stored): its RSA key has \(bits) bits only", next: another)
            }
            return .pass(check, "\(stored), RSA \(bits)")
        } catch {
            return .fail(check, CommandError(error).message, next: another)
        }
    }

    private var selection: String { self.instance.name.map { " --instance '\($0)'" } ?? "" }

    private func trust() -> [Finding] {
        let check = "trust"
        guard let servers = try? self.configuration.trustedServers(),
            let noListen = try? self.configuration.boolean(.noListen) ?? false
        else { return [] }
        guard !servers.isEmpty else {
            return [
                .fail(
                    check,
                    "No server is trusted: nobody can deploy to this machine",
                    next:
                        "tentacle register\(self.selection), or tentacle configure\(self.selection) --trust=THUMBPRINT"
                )
            ]
        }
        if let lost = servers.first(where: { $0.communicationStyle == .polling && $0.address == nil }) {
            return [
                .fail(
                    check,
                    "The server \(lost.thumbprint) is to be polled, and there is no address of it",
                    next:
                        "tentacle server-comms\(self.selection) --thumbprint=\(lost.thumbprint) --style=TentacleActive --host=HOST"
                )
            ]
        }
        if noListen, !servers.contains(where: { $0.communicationStyle == .polling }) {
            return [
                .fail(
                    check,
                    "The agent neither listens nor polls: no server reaches it",
                    next:
                        "tentacle configure\(self.selection) --noListen=false, or register with --comms-style=TentacleActive"
                )
            ]
        }
        return [.pass(check, Set(servers.map { $0.thumbprint.uppercased() }).sorted().joined(separator: ", "))]
    }

    private func home() -> [Finding] {
        let check = "home"
        guard let home = self.configuration.homeDirectory else {
            return [
                .fail(check, "There is no home directory", next: "tentacle configure\(self.selection) --home=DIRECTORY")
            ]
        }
        var information = stat()
        guard stat(home, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else {
            return [
                .fail(
                    check,
                    "\(home) is not there, or is no directory",
                    next: "tentacle configure\(self.selection) --home=DIRECTORY makes it"
                )
            ]
        }
        let user = self.unit.user ?? self.context.host.userName
        guard Self.isWritable(home, information, by: self.unit.user) else {
            return [.fail(check, "\(home) cannot be written by \(user)", next: "chown \(user) '\(home)'")]
        }
        return [.pass(check, "\(home) can be written by \(user)"), self.disk(home)]
    }

    /// Nil is the caller.
    private static func isWritable(_ path: String, _ information: stat, by user: String?) -> Bool {
        guard let account = user.flatMap(UserAccount.find), account.id != geteuid() else {
            return access(path, W_OK) == 0
        }
        if account.id == 0 { return true }
        if information.st_uid == account.id { return information.st_mode & 0o200 != 0 }
        if information.st_gid == account.group { return information.st_mode & 0o020 != 0 }
        return information.st_mode & 0o002 != 0
    }

    /// The launcher stops writing logs when less than its reserve is free; work needs more.
    private func disk(_ path: String) -> Finding {
        let check = "disk"
        guard let space = self.context.diskSpace(path) else {
            return .skip(check, "The file system of \(path) does not tell how much is free")
        }
        let free = "\(space.freeBytes / 1_048_576) MiB free for \(path)"
        let advice = "Make room: du -x '\(path)' | sort -n shows what is large"
        if space.freeInodes == 0, space.hasInodes {
            return .fail(check, "No inode is free for \(path): no file can be made", next: advice)
        }
        if space.freeBytes < DiskSpace.leastBytes { return .fail(check, free, next: advice) }
        if space.freeBytes < DiskSpace.comfortableBytes { return .warn(check, free, next: advice) }
        return .pass(check, free)
    }

    private func applications() -> Finding {
        let check = "applications"
        let path = self.configuration.applicationDirectory
        var information = stat()
        guard stat(path, &information) == 0 else {
            return .warn(
                check,
                "\(path) is not there yet",
                next:
                    "Deployments make it where they may; tentacle configure\(self.selection) --app='\(path)' makes it now"
            )
        }
        guard information.st_mode & S_IFMT == S_IFDIR else {
            return .fail(
                check,
                "\(path) is no directory",
                next: "tentacle configure\(self.selection) --app=DIRECTORY"
            )
        }
        return .pass(check, path)
    }
}

/// How much more a file system can hold.
package struct DiskSpace: Hashable, Sendable {
    /// For users that are not root.
    package var freeBytes: UInt64
    package var freeInodes: UInt64
    /// Some file systems count none.
    package var hasInodes: Bool

    package init(freeBytes: UInt64, freeInodes: UInt64, hasInodes: Bool) {
        self.freeBytes = freeBytes
        self.freeInodes = freeInodes
        self.hasInodes = hasInodes
    }

    /// What the launcher leaves free by default (`disk-reserve`).
    static let leastBytes: UInt64 = 128 * 1_048_576
    static let comfortableBytes: UInt64 = 1024 * 1_048_576

    package static func measure(_ path: String) -> DiskSpace? {
        var information = statvfs()
        guard statvfs(path, &information) == 0 else { return nil }
        return DiskSpace(
            freeBytes: UInt64(information.f_bavail) * UInt64(information.f_frsize),
            freeInodes: UInt64(information.f_favail),
            hasInodes: information.f_files > 0
        )
    }
}
