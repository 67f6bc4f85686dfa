internal import FoundationEssentials
package import LauncherProtocol
package import Logging

/// The script services' domain, for V1 and V2 (tentacle-services.md 5).
///
/// What a script is, how far it came and how it ended is on disk; memory holds only who waits. A restarted agent finds
/// running scripts by their locks, lets them keep their isolation mutex, and queues those that had not begun
/// (DESIGN.md 2). `run()` must run for scripts to start; status calls work without.
package actor ScriptService {
    package struct Configuration: Sendable {
        /// What scripts get as environment: the agent's own plus tentacle-services.md 7.
        package var environment: [String: String]
        /// How long `start` holds a script's ticket while a script ends: no bound in the agent, as the reference.
        package var cancelTimeout = Duration.seconds(5)
        /// Where logs of completed scripts stay; nil keeps none.
        package var pastScripts: PastScripts?
        /// The sandbox policy of the instance, when one was configured, and the instance's name.
        package var sandbox: String?
        package var instance: String?
        /// Asked for each script: what of the agent's files it shall not read.
        package var protected: @Sendable () -> [String] = { [] }

        package init(environment: [String: String], pastScripts: PastScripts? = nil) {
            self.environment = environment
            self.pastScripts = pastScripts
        }
    }

    /// One script between its start and `complete`; used on the actor only.
    final class Entry {
        enum Phase { case idle, waiting, launching, supervised, over }

        let ticket: ScriptTicketName
        var phase = Phase.idle
        var startBusy = false
        var startWaiters: [CheckedContinuation<Void, Never>] = []
        let cancelled = OneShotSignal()
        let over = OneShotSignal()

        init(_ ticket: ScriptTicketName) { self.ticket = ticket }
    }

    let workspaces: ScriptWorkspaces
    let launcher: any ScriptLauncher
    let configuration: Configuration
    let logger: Logger
    let isolation = IsolationMutex()
    let locks = LockWatcher()
    var entries: [String: Entry] = [:]
    private var legacyTickets = 0
    private var keptSincePruning: (scripts: Int, bytes: Int64) = (0, 0)
    private var recovered = false
    private let work: AsyncStream<Job>
    private let submit: AsyncStream<Job>.Continuation

    /// Work for `run()`.
    enum Job: Sendable {
        /// Wait for the mutex, launch, supervise.
        case execute(ScriptTicketName, ScriptSpecification, created: UTCMicroseconds, IsolationMutex.Place)
        /// Found running after a restart: supervise only.
        case supervise(ScriptTicketName, ScriptSpecification, created: UTCMicroseconds, IsolationMutex.Holding)
    }

    package init(
        workspaces: ScriptWorkspaces,
        launcher: any ScriptLauncher,
        configuration: Configuration,
        logger: Logger
    ) {
        self.workspaces = workspaces
        self.launcher = launcher
        self.configuration = configuration
        self.logger = logger
        (work, submit) = AsyncStream<Job>.makeStream()
    }

    /// Runs scripts until cancelled; scripts that run then go on without the agent (tentacle-services.md 14.4).
    package func run() async {
        recover()
        await withDiscardingTaskGroup { group in
            for await job in work {
                group.addTask {
                    switch job {
                    case .execute(let ticket, let specification, let created, let place):
                        await self.execute(ticket, specification, created: created, place)
                    case .supervise(let ticket, let specification, let created, let holding):
                        await self.supervise(ticket, specification, created: created, holding)
                    }
                }
            }
            group.cancelAll()
        }
    }

    // MARK: Starting

    /// V2 StartScript: idempotent for its ticket; answers with all logs (tentacle-services.md 5.1).
    package func start(_ start: ScriptStart, ticket text: String) async throws -> ScriptStatus {
        let ticket = try Self.name(text)
        recover()
        let entry = entry(for: ticket)
        await lockStart(entry)
        defer { unlockStart(entry) }
        if try await begin(entry, start, generation: .v2), let wait = start.wait, wait > .zero {
            _ = await entry.over.wait(upTo: wait)
        }
        return try await status(of: entry.ticket, echo: text, after: 0, generation: .v2, fromStart: true)
    }

    /// V1 StartScript: a new ticket each time, no wait (tentacle-services.md 5.5, 3.7).
    package func startLegacy(_ start: ScriptStart) async throws -> String {
        recover()
        legacyTickets += 1
        let task = (start.taskID ?? "").replacing("ServerTasks-", with: "")
        let stamp = UTCMicroseconds.now.description.prefix(19).filter(\.isNumber)
        let ticket = try Self.name("\(stamp)-\(task)-\(legacyTickets)")
        let entry = entry(for: ticket)
        await lockStart(entry)
        defer { unlockStart(entry) }
        _ = try await begin(entry, start, generation: .v1)
        return ticket.description
    }

    /// True when the script was given to `run()` by this call; false when it was started before.
    private func begin(_ entry: Entry, _ start: ScriptStart, generation: ScriptServiceGeneration) async throws -> Bool {
        guard entry.phase == .idle else { return false }
        let ticket = entry.ticket
        let workspaces = workspaces
        let specified = ScriptSpecification(
            ticket: ticket,
            service: generation.rawValue,
            taskID: start.taskID ?? ticket.description,
            fullIsolation: start.isolation == .full,
            mutexName: start.mutexName ?? IsolationMutex.defaultName,
            mutexTimeoutMilliseconds: start.mutexTimeout > .zero && start.mutexTimeout < IsolationMutex.noTimeoutFrom
                ? Int64(start.mutexTimeout / .milliseconds(1)) : nil,
            arguments: ArgumentSplitter.split(start.arguments.joined(separator: " ")),
            environment: configuration.environment,
            sandbox: configuration.sandbox,
            instance: configuration.instance
        )
        let protected = configuration.protected
        let isNew = try await offThePool {
            guard try !workspaces.hasStarted(ticket) else { return false }
            var specification = specified
            specification.protected = protected()
            try workspaces.prepare(ticket, start, specification)
            return true
        }
        guard isNew else { return false }
        entry.phase = .waiting
        submit.yield(.execute(ticket, specified, created: .now, isolation.enter(specified)))
        return true
    }

    // MARK: Status, cancel, complete

    package func status(
        ticket text: String,
        after sequence: Int64,
        generation: ScriptServiceGeneration
    ) async throws -> ScriptStatus {
        let ticket = try Self.name(text)
        recover()
        let known = entries[ticket.key]?.ticket ?? ticket
        return try await status(of: known, echo: text, after: sequence, generation: generation)
    }

    /// Kills first, then answers like `status` (tentacle-services.md 5.2, 9).
    package func cancel(
        ticket text: String,
        after sequence: Int64,
        generation: ScriptServiceGeneration
    ) async throws -> ScriptStatus {
        let ticket = try Self.name(text)
        recover()
        if let entry = entries[ticket.key] {
            entry.cancelled.fire()
            if entry.phase == .supervised { await tellLauncherToCancel(entry.ticket) }
            if entry.phase != .idle, entry.phase != .over {
                _ = await entry.over.wait(upTo: configuration.cancelTimeout)
            }
        }
        return try await status(ticket: text, after: sequence, generation: generation)
    }

    /// Forgets the script and removes its workspace; never fails, never stops a running script.
    package func complete(ticket text: String) async {
        guard let ticket = try? Self.name(text) else { return }
        recover()
        let known = entries.removeValue(forKey: ticket.key)?.ticket ?? ticket
        let (workspaces, past) = (workspaces, configuration.pastScripts)
        let completed = try? await offThePool { workspaces.complete(known, keepingIn: past) }
        guard let completed else { return }
        if !completed.isGone { await removeAsLauncher(known) }
        keptSincePruning.scripts += 1
        keptSincePruning.bytes += completed.kept
        // Looking at all of them is dear beside completing one.
        guard let past, keptSincePruning.scripts >= 25 || keptSincePruning.bytes >= past.limits.bytes / 8 else {
            return
        }
        keptSincePruning = (0, 0)
        _ = try? await offThePool { past.prune() }
    }

    /// V1 CompleteScript: the last status, taken before the workspace goes.
    package func completeLegacy(ticket text: String, after sequence: Int64) async throws -> ScriptStatus {
        let last = try await status(ticket: text, after: sequence, generation: .v1)
        await complete(ticket: text)
        return last
    }

    /// What the agent itself could not remove: a script of another user's may have left it.
    func removeAsLauncher(_ ticket: ScriptTicketName) async {
        let failure: String
        do {
            switch try await launcher.ask(.remove(ticket)) {
            case .failed(let text): failure = text
            default: return
            }
        } catch {
            failure = "\(error)"
        }
        logger.warning(
            "Could not delete workspace \(workspaces.path(of: ticket)).",
            metadata: [LogKey.ticket: "\(ticket)", "error": "\(failure)"]
        )
    }

    // MARK: For the cleaner and for people

    /// True while the workspace of a ticket must not be deleted.
    package func isInUse(_ ticket: ScriptTicketName) -> Bool {
        recover()
        guard let entry = entries[ticket.key] else { return false }
        return entry.startBusy || (entry.phase != .over && entry.phase != .idle)
    }

    /// Returns when the script has ended or was never here; at once when this agent does not look after it.
    package func waitUntilOver(ticket text: String) async {
        recover()
        guard let ticket = try? Self.name(text), let entry = entries[ticket.key], entry.phase != .idle else { return }
        await entry.over.wait()
    }

    func forget(_ ticket: ScriptTicketName) {
        if entries[ticket.key]?.phase == .over { entries[ticket.key] = nil }
    }

    // MARK: Pieces

    static func name(_ text: String) throws -> ScriptTicketName {
        do {
            return try ScriptTicketName(text)
        } catch {
            throw ScriptExecutionError(.invalidTicket, error.description)
        }
    }

    private func entry(for ticket: ScriptTicketName) -> Entry {
        if let entry = entries[ticket.key] { return entry }
        let entry = Entry(ticket)
        entries[ticket.key] = entry
        return entry
    }

    /// Concurrent starts of one ticket go one after the other; held while the first waits for its script.
    private func lockStart(_ entry: Entry) async {
        guard entry.startBusy else {
            entry.startBusy = true
            return
        }
        await withCheckedContinuation { entry.startWaiters.append($0) }
    }

    private func unlockStart(_ entry: Entry) {
        if entry.startWaiters.isEmpty {
            entry.startBusy = false
        } else {
            entry.startWaiters.removeFirst().resume()
        }
    }

    func tellLauncherToCancel(_ ticket: ScriptTicketName) async {
        do {
            let reply = try await launcher.ask(.cancel(ticket))
            if case .failed(let text) = reply {
                logger.error("Script \(ticket) could not be cancelled: \(text)", metadata: [LogKey.ticket: "\(ticket)"])
            }
        } catch {
            logger.error("Script \(ticket) could not be cancelled: \(error)", metadata: [LogKey.ticket: "\(ticket)"])
        }
    }

    /// Once, before anything else: what the previous agent left (DESIGN.md 2).
    private func recover() {
        guard !recovered else { return }
        recovered = true
        let scripts = Recovery.scan(workspaces, logger)
        // What runs holds its mutex, the others ask for it in the order in which they came: all of it here, before anybody
        // else can ask, since tasks start in no order.
        for found in scripts where found.standing == .begun {
            entry(for: found.ticket).phase = .supervised
            let holding = isolation.hold(found.specification)
            submit.yield(.supervise(found.ticket, found.specification, created: found.created, holding))
        }
        for found in scripts where found.standing == .notBegun {
            entry(for: found.ticket).phase = .waiting
            let place = isolation.enter(found.specification)
            submit.yield(.execute(found.ticket, found.specification, created: found.created, place))
        }
    }
}
