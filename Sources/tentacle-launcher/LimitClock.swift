internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// Looks after what nothing tells of: limits of time and of the size of a workspace, and when the start is long over.
struct LimitClock {
    private static let quotaMilliseconds: Int64 = 1000
    /// How long looking may take, in parts of the time between two looks: a large tree is looked at less often.
    private static let share: Int64 = 20

    /// A script that still runs then is one that takes its time.
    private static let startMilliseconds: Int64 = 500

    private let limits: ScriptLimits
    private var startIsOver: Int64
    private let end: Int64
    private var nextLook: Int64

    /// The machine's limits, or the policy's where those are lower.
    init(_ limits: ScriptLimits, _ policy: SandboxPolicy.Limits) {
        var limits = limits
        func lower(_ machine: inout Int64, _ own: Int64?) {
            if let own { machine = machine == 0 ? own : min(machine, own) }
        }
        lower(&limits.seconds, policy.timeSeconds)
        lower(&limits.workspaceBytes, policy.workspaceBytes)
        self.limits = limits
        end = limits.seconds > 0 ? Self.now + limits.seconds * 1000 : .max
        nextLook = limits.workspaceBytes > 0 ? Self.now : .max
        startIsOver = Self.now + Self.startMilliseconds
    }

    /// How long nothing has to be looked at; -1 for ever.
    var pollMilliseconds: Int32 {
        let next = min(end, nextLook, startIsOver)
        return next == .max ? -1 : Int32(clamping: max(0, next - Self.now))
    }

    /// True once.
    mutating func startHasEnded() -> Bool {
        guard startIsOver < .max, Self.now >= startIsOver else { return false }
        startIsOver = .max
        return true
    }

    /// Which limit is reached, in words; nil when none is.
    mutating func reached(_ workspace: Int32) -> String? {
        guard min(end, nextLook) < .max else { return nil }
        let now = Self.now
        if now >= end { return "The script took longer than its limit of \(limits.seconds) s." }
        guard now >= nextLook else { return nil }
        let bytes = DirectorySize.bytes(of: workspace, upTo: limits.workspaceBytes)
        nextLook = Self.now + max(Self.quotaMilliseconds, (Self.now - now) * Self.share)
        guard bytes > limits.workspaceBytes else { return nil }
        return
            "The script's working directory holds more than its quota of \(ByteCountText.text(limits.workspaceBytes))."
    }

    private static var now: Int64 { MonotonicTime.milliseconds }
}

/// What the files below a directory take on the disk; links are not followed, other file systems not entered.
enum DirectorySize {
    /// Deeper ones are not counted: a script may build what it likes.
    private static let maximumDepth = 64

    /// Stops when it is more than the limit.
    static func bytes(of directory: Int32, upTo limit: Int64) -> Int64 {
        var facts = stat()
        guard unsafe fstat(directory, &facts) == 0 else { return 0 }
        var sum: Int64 = 0
        add(dup(directory), facts.st_dev, 0, &sum, limit)
        return sum
    }

    /// Takes over the descriptor.
    private static func add(_ directory: Int32, _ device: dev_t, _ depth: Int, _ sum: inout Int64, _ limit: Int64) {
        DirectoryEntries.forEach(takingOver: directory) { directory, name, _ in
            var facts = stat()
            guard unsafe fstatat(directory, name, &facts, AT_SYMLINK_NOFOLLOW) == 0, facts.st_dev == device else {
                return true
            }
            sum += Int64(facts.st_blocks) * 512
            if facts.st_mode & S_IFMT == S_IFDIR, depth < maximumDepth {
                let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
                add(unsafe openat(directory, name, flags), device, depth + 1, &sum, limit)
            }
            return sum <= limit
        }
    }
}
