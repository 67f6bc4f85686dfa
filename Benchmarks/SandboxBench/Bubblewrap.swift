import Glibc
import Sandbox

/// bubblewrap with the flags that come closest to a profile; nil, and said so, where it is not installed.
struct Bubblewrap {
    private static let path = "/usr/bin/bwrap"
    private static let firstFilterNumber: Int32 = 10

    /// `none` has no equivalent.
    let profiles = ["standard", "strict"]
    private let stage: SandboxStage

    init?(stage: SandboxStage) throws {
        guard access(Self.path, X_OK) == 0 else {
            complain("bubblewrap is not installed: nothing is compared with it")
            return nil
        }
        self.stage = stage
    }

    func command(_ profile: String) throws -> Contest.Start {
        guard let policy = SandboxPolicy.profile(profile) else { throw SandboxStage.Failure(description: profile) }
        let workspace = try stage.makeWorkspace("bubblewrap-\(profile)", for: nil)
        let isStrict = policy.files.rootIsReadOnly
        var words = [Self.path]
        if isStrict {
            // A user of its own it has in a user namespace only.
            words += ["--unshare-all", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
        } else {
            words += ["--unshare-pid"]
            words += policy.identity.capabilities.missingNames.flatMap { ["--cap-drop", "CAP_" + $0] }
        }
        words += [isStrict ? "--ro-bind" : "--bind", "/", "/", "--dev", "/dev"]
        if !policy.processes.ownIPC { words += ["--bind", "/dev/shm", "/dev/shm"] }
        words += ["--bind", "\(workspace)/\(SandboxPlan.privateTmp)", "/tmp"]
        words += ["--bind", "\(workspace)/\(SandboxPlan.privateVarTmp)", "/var/tmp"]
        // Which covers what is dangerous in there by itself.
        words += ["--proc", "/proc"]
        if !isStrict {
            let paths = policy.files.readOnly.filter { !$0.hasPrefix("/proc/") }
            words += paths.flatMap { ["--ro-bind-try", $0, $0] }
        }
        for path in policy.files.hidden {
            var facts = stat()
            guard stat(path, &facts) == 0 else { continue }
            let isDirectory = facts.st_mode & S_IFMT == S_IFDIR
            words += isDirectory ? ["--perms", "000", "--tmpfs", path] : ["--ro-bind", "/dev/null", path]
        }
        let work = String(workspace[..<(workspace.lastIndex(of: "/") ?? workspace.startIndex)])
        words += ["--tmpfs", work, "--bind", workspace, workspace, "--remount-ro", work, "--chdir", workspace]
        words += ["--new-session", "--die-with-parent"]
        let filters = try filters(policy, profile)
        for (number, _) in filters { words += ["--add-seccomp-fd", "\(number)"] }
        words.append(stage.probe)
        let (stage, command) = (stage, words)
        return {
            let program = try stage.spawn(command, files: filters)
            return { try program.end() }
        }
    }

    /// The same filters as ours.
    private func filters(_ policy: SandboxPolicy, _ name: String) throws -> [(Int32, String)] {
        var files: [(Int32, String)] = []
        for filter in SystemCallFilter.filters(policy, ownNetwork: policy.network.access == .none) {
            let path = "\(stage.folder)/filter-\(name)-\(files.count)"
            try SandboxStage.write(filter.program(), to: path, mode: 0o600)
            files.append((Self.firstFilterNumber + Int32(files.count), path))
        }
        return files
    }
}
