import AgentConfiguration
import Glibc

/// Everything that installing one instance as a service changes, worked out before the first change.
struct ServicePlan {
    enum Kind: String, CaseIterable {
        /// The hardened unit of this project: the agent without privileges, scripts by the launcher's socket.
        case project
        /// The unit of the stock agent: scripts run as the agent's user.
        case stock
    }

    struct FileChange: Hashable {
        var path: String
        /// Nil takes the file away.
        var content: [UInt8]?
    }

    struct Wishes {
        /// Nil lets the host decide.
        var kind: Kind?
        /// Nil is root in the stock unit, and says nothing against the project's.
        var user: String?
        var dependencies: [String] = []
        /// Another name than the instance's for the unit.
        var unit: String?
        /// As an earlier plan will leave them.
        var launcherSettings: [UInt8]?
    }

    static let unitDirectory = "/etc/systemd/system"
    static let fileMode: UInt32 = 0o644

    let unit: String
    let kind: Kind
    let user: String
    var files: [FileChange]
    var ownership: [OwnershipChange]
    /// For the operator, each a sentence.
    var notes: [String]

    private init(_ unit: String, _ kind: Kind, user: String, files: [FileChange], _ access: AgentAccess?) {
        self.unit = unit
        self.kind = kind
        self.user = user
        self.files = files
        self.ownership = access?.changes ?? []
        self.notes = []
    }

    static func make(
        for instance: TentacleInstance,
        _ wishes: Wishes,
        _ context: CommandContext
    ) throws -> ServicePlan {
        let configuration = try context.configuration(of: instance)
        let selection = Self.selection(of: instance, context.host)
        let name = wishes.unit ?? SystemdUnit.name(of: selection)
        try Self.check(name, instance)
        try Self.checkIsNoLink(Self.unitPath(name, context.host))
        if wishes.kind != .stock, wishes.user == nil {
            if let unit = try ProjectUnit(context.host) {
                switch try Self.project(unit, instance, configuration, wishes, context) {
                case .success(let plan): return plan
                case .failure(let why):
                    guard wishes.kind == nil else {
                        throw CommandError("The service cannot run as '\(unit.user)': \(why.reason).")
                    }
                    var plan = try Self.stock(instance, configuration, wishes, context)
                    plan.notes.append("The service runs as root, not as '\(unit.user)': \(why.reason).")
                    return plan
                }
            }
            guard wishes.kind == nil else {
                throw CommandError(
                    "The units of this project are not installed on this machine (\(ProjectUnit.template) and "
                        + "\(ProjectUnit.socket)). Install the package, or use --unit=stock."
                )
            }
        }
        return try Self.stock(instance, configuration, wishes, context)
    }

    static func selection(of instance: TentacleInstance, _ host: HostFiles) -> SystemdUnit.Selection {
        instance.name.map { .instance($0) } ?? .configuration(path: host.absolute(instance.configurationPath))
    }

    static func unitPath(_ unit: String, _ host: HostFiles) -> String {
        host.wellKnown("\(Self.unitDirectory)/\(unit).service")
    }

    /// Beside the stock unit, whose own text stays the stock agent's.
    static func dropInPath(_ unit: String, _ host: HostFiles) -> String {
        host.wellKnown("\(Self.unitDirectory)/\(unit).service.d/50-tentacle.conf")
    }

    private static func check(_ unit: String, _ instance: TentacleInstance) throws(CommandError) {
        let isValid = unit.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: ":-_.\\@".utf8.contains(byte)
            }
        }
        guard isValid, !unit.isEmpty, unit.utf8.count <= 200, !unit.hasPrefix(".") else {
            throw CommandError(
                "The instance name '\(ReadableText.escapingControls(instance.name ?? ""))' cannot be the name of a systemd "
                    + "unit. Create the instance under a name of at most 200 letters, digits and - _ . : @"
            )
        }
    }

    /// A masked unit is a link to `/dev/null`, which nobody wants replaced.
    private static func checkIsNoLink(_ path: String) throws(CommandError) {
        var information = stat()
        guard lstat(path, &information) == 0, information.st_mode & S_IFMT == S_IFLNK else { return }
        throw CommandError(
            "The unit '\(path)' is a link. Take it away first, with 'systemctl unmask' when it leads to /dev/null."
        )
    }

    // MARK: The two kinds

    private struct Refusal: Error { var reason: String }

    private static func project(
        _ unit: ProjectUnit,
        _ instance: TentacleInstance,
        _ configuration: TentacleConfiguration,
        _ wishes: Wishes,
        _ context: CommandContext
    ) throws -> Result<ServicePlan, Refusal> {
        let host = context.host
        guard let user = context.findUser(unit.user) else {
            return .failure(Refusal(reason: "there is no such user; run systemd-sysusers tentacle.conf"))
        }
        let access = AgentAccess(to: instance, configuration, for: user, host)
        if let problem = access.problems.first { return .failure(Refusal(reason: problem)) }
        guard let home = configuration.homeDirectory else { return .failure(Refusal(reason: "it has no home")) }
        let file = host.absolute(instance.configurationPath)
        let folder = FilePathText.directory(of: file)
        // A configuration that lies in a directory of the host's cannot be replaced by the agent, only read.
        let paths = [home] + (folder == home ? [] : [folder]) + [configuration.applicationDirectory]
        if let problem = unit.problem(with: [home, file], host) { return .failure(Refusal(reason: problem)) }
        let selection = Self.selection(of: instance, host)
        let name = wishes.unit ?? SystemdUnit.name(of: selection)
        let text = unit.text(
            for: selection,
            dependencies: wishes.dependencies,
            paths: paths.filter { !["/", "/etc", "/home", "/var", "/usr"].contains(host.logical($0)) },
            host
        )
        var files: [FileChange] = []
        if let change = try Self.workList(home + "/Work", wishes.launcherSettings, host) { files.append(change) }
        let dropIn = Self.dropInPath(name, host)
        if DurableFile.exists(dropIn) { files.append(FileChange(path: dropIn, content: nil)) }
        files.append(FileChange(path: Self.unitPath(name, host), content: Array(text.utf8)))
        return .success(ServicePlan(name, .project, user: user.name, files: files, access))
    }

    /// What the launcher's settings have to say of another work directory than the launcher's own.
    private static func workList(_ work: String, _ earlier: [UInt8]?, _ host: HostFiles) throws -> FileChange? {
        guard host.logical(work) != LauncherWorkList.standard else { return nil }
        let path = host.wellKnown(LauncherWorkList.path)
        let now = try earlier ?? (DurableFile.exists(path) ? DurableFile.read(path) : [])
        return try LauncherWorkList(now).adding(work).map { FileChange(path: path, content: $0) }
    }

    private static func stock(
        _ instance: TentacleInstance,
        _ configuration: TentacleConfiguration,
        _ wishes: Wishes,
        _ context: CommandContext
    ) throws -> ServicePlan {
        let host = context.host
        let user = wishes.user ?? SystemdUnit.standardUser
        guard let account = user == SystemdUnit.standardUser ? .root : context.findUser(user) else {
            throw CommandError(
                "The user '\(ReadableText.escapingControls(user))' does not exist on this machine. Create it, or pass "
                    + "another one with --username."
            )
        }
        let unit = SystemdUnit(
            selection: Self.selection(of: instance, host),
            executablePath: context.programPath,
            user: user,
            dependencies: wishes.dependencies
        )
        let name = wishes.unit ?? unit.name
        let access = AgentAccess(to: instance, configuration, for: account, host)
        var plan = ServicePlan(
            name,
            .stock,
            user: user,
            files: [
                FileChange(path: Self.dropInPath(name, host), content: Array(Self.dropIn.utf8)),
                FileChange(path: Self.unitPath(name, host), content: Array(unit.text.utf8)),
            ],
            access
        )
        plan.notes = access.problems.map { "The service runs as '\(user)', but \($0)." }
        let applications = configuration.applicationDirectory
        if account.id != 0, Glibc.access(applications, F_OK) != 0 {
            plan.notes.append("The application directory '\(applications)' is not there; create it for '\(user)'.")
        }
        return plan
    }

    /// What scripts need of a unit that the stock agent's does not say.
    private static let dropIn = """
        # Written by 'tentacle service --install'; the unit itself is the stock agent's.
        [Service]
        # Scripts run as the agent's user: it starts their launchers itself, whatever socket there is.
        Environment=TENTACLE_LAUNCHER_SOCKET=/nonexistent
        # Scripts go on when the agent stops, and the agent that follows finds them.
        KillMode=process
        # The agent reads its configuration again and names in its log what of it waits for a restart.
        ExecReload=/bin/kill -HUP $MAINPID

        """

    /// What the unit starts.
    func program(_ context: CommandContext) -> String {
        let text = self.files.last?.content.map { String(decoding: $0, as: UTF8.self) } ?? ""
        return UnitText(text).agentCommandLine?.program ?? context.programPath
    }

    // MARK: Doing it

    /// Files last, and of these the unit last: a unit that is there has all that it needs.
    func apply(_ context: CommandContext) throws {
        for change in self.ownership {
            let code = context.changeOwner(change)
            // Gone in the meantime: logs are rotated.
            guard code == 0 || code == ENOENT else {
                throw CommandError(
                    .failure,
                    "Could not give '\(change.path)' to '\(self.user)': \(String(cString: strerror(code)))."
                )
            }
        }
        for file in self.files { try Self.apply(file) }
    }

    static func apply(_ file: FileChange) throws {
        guard let content = file.content else {
            guard unlink(file.path) == 0 || errno == ENOENT else {
                throw CommandError(
                    .failure,
                    "Could not remove '\(file.path)': \(String(cString: strerror(errno)))."
                )
            }
            // Of a drop-in that was the only one; another one keeps it.
            if file.path.hasSuffix(".conf") { rmdir(FilePathText.directory(of: file.path)) }
            return
        }
        try DurableFile.makeDirectory(FilePathText.directory(of: file.path))
        try DurableFile.write(content, to: file.path, mode: Self.fileMode)
    }
}

extension UserAccount {
    static let root = UserAccount(name: "root", id: 0, group: 0)
}
