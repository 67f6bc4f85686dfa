internal import CLinux
package import FoundationEssentials
internal import Glibc
internal import LauncherProtocol
package import Logging

/// Deletes old workspaces that nobody completed (tentacle-services.md 14.3).
package struct WorkspaceCleaner: Sendable {
    package static let defaultDelay = Duration.seconds(2 * 3600)
    package static let defaultAge = Duration.seconds(24 * 3600)

    private let service: ScriptService
    private let workspaces: ScriptWorkspaces
    private let delay: Duration
    private let age: Duration
    private let logger: Logger

    package init(
        service: ScriptService,
        workspaces: ScriptWorkspaces,
        delay: Duration = defaultDelay,
        age: Duration = defaultAge,
        logger: Logger
    ) {
        self.service = service
        self.workspaces = workspaces
        self.delay = delay
        self.age = age
        self.logger = logger
    }

    /// At once, then after every delay, until cancelled.
    package func run() async {
        while !Task.isCancelled {
            await clean(olderThan: Date(timeIntervalSinceNow: -(age / .seconds(1))))
            try? await Task.sleep(for: delay)
        }
    }

    package func clean(olderThan limit: Date) async {
        logger.debug("Cleaning workspaces older than \(limit)")
        let workspaces = workspaces
        for ticket in (try? await offThePool { workspaces.removeRemains() }) ?? [] {
            await service.removeAsLauncher(ticket)
        }
        let tickets = (try? await offThePool { workspaces.tickets() }) ?? []
        var deleted = 0
        for ticket in tickets {
            // Looked at again for each: a script may have been started since the list was made.
            guard !(await service.isInUse(ticket)) else { continue }
            let removed = try? await offThePool { () -> Bool? in
                guard Self.isOld(ticket, in: workspaces, limit) else { return nil }
                return workspaces.remove(ticket)
            }
            switch removed {
            case .some(true):
                deleted += 1
                await service.forget(ticket)
            case .some(false): await service.removeAsLauncher(ticket)
            case .none: continue
            }
        }
        switch deleted {
        case 0: logger.debug("No workspaces found that need to be deleted.")
        case 1: logger.info("Deleted 1 workspace.")
        default: logger.info("Deleted \(deleted) workspaces.")
        }
    }

    /// By the last write to the log, else to the script; a directory with neither is left alone, and so is one whose
    /// lock is held: its script runs, whoever started it.
    private static func isOld(_ ticket: ScriptTicketName, in workspaces: ScriptWorkspaces, _ limit: Date) -> Bool {
        guard let directory = try? workspaces.open(ticket), (try? directory.lockHolder()) == .nobody else {
            return false
        }
        for name in [ScriptSpecification.logFileName, ScriptSpecification.scriptFileName] {
            var facts = stat()
            guard unsafe fstatat(directory.descriptor, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            return Double(facts.st_mtim.tv_sec) < limit.timeIntervalSince1970
        }
        return false
    }
}
