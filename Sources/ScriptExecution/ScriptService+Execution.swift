internal import FoundationEssentials
internal import LauncherProtocol
internal import Logging

extension ScriptService {
    /// One script from the wait for its mutex to its end; it waits since it was created.
    func execute(
        _ ticket: ScriptTicketName,
        _ specification: ScriptSpecification,
        created: UTCMicroseconds,
        _ place: IsolationMutex.Place
    ) async {
        guard let entry = entries[ticket.key] else { return }
        let name = specification.mutexName
        let level = specification.fullIsolation ? "FullIsolation" : "NoIsolation"
        let verbose = "Acquiring isolation mutex \(name) with \(level) in \(specification.taskID)"
        guard await append(ticket, Self.marked("verbose", verbose)) else {
            isolation.giveUp(place)
            return await end(entry)
        }
        var hasWaited = false
        let outcome = await isolation.acquire(
            place,
            timeout: specification.mutexTimeoutMilliseconds.map { .milliseconds($0) },
            waited: Self.time(since: created),
            cancel: entry.cancelled,
            notice: {
                hasWaited = true
                await note(ticket, Self.marked("wait", $0))
            }
        )
        switch outcome {
        case .acquired(let holding):
            logger.info(
                "Script \(ticket) of \(specification.taskID) begins",
                metadata: [LogKey.ticket: "\(ticket)", LogKey.task: "\(specification.taskID)"]
            )
            defer { isolation.release(holding) }
            let waited = Self.time(since: created)
            if hasWaited, waited > Self.silentWait {
                let text = "The isolation mutex \(name) was acquired after \(Self.text(waited))"
                await note(ticket, [(.debug, text)])
            }
            await launch(entry)
        case .cancelled(let text):
            await finish(ticket, ScriptExitCode.cancelledBeforeStart, [text, "Script execution canceled."])
        case .timedOut(let text):
            await finish(ticket, ScriptExitCode.mutexTimeout, [text, "Script execution timed out."])
        case .abandoned:
            return
        }
        await end(entry)
    }

    /// Waits that are longer are told in the script's log.
    private static let silentWait = Duration.seconds(1)

    /// A wall clock that was set back says nothing.
    private static func time(since: UTCMicroseconds) -> Duration {
        .microseconds(max(0, UTCMicroseconds.now.sinceEpoch - since.sinceEpoch))
    }

    /// `12.3 s`.
    private static func text(_ duration: Duration) -> String {
        let tenths = Int64(duration / .milliseconds(100))
        return "\(tenths / 10).\(tenths % 10) s"
    }

    /// A script that the previous agent started: keeps its mutex, is only watched.
    func supervise(
        _ ticket: ScriptTicketName,
        _ specification: ScriptSpecification,
        created: UTCMicroseconds,
        _ holding: IsolationMutex.Holding
    ) async {
        guard let entry = entries[ticket.key] else { return }
        logger.info(
            "Script \(ticket) of \(specification.taskID) goes on",
            metadata: [LogKey.ticket: "\(ticket)", LogKey.task: "\(specification.taskID)"]
        )
        let begun = await watchUntilOver(ticket)
        isolation.release(holding)
        if begun { return await end(entry) }
        entry.phase = .waiting
        await execute(ticket, specification, created: created, isolation.enter(specification))
    }

    private func launch(_ entry: Entry) async {
        let ticket = entry.ticket
        var failure = "the launcher ended before it began"
        // A launcher that was killed before it began has done nothing: the next one may.
        for _ in 0..<Self.startAttempts {
            if entry.cancelled.isFired {
                return await finish(ticket, ScriptExitCode.cancelledBeforeStart, ["Script execution canceled."])
            }
            entry.phase = .launching
            do {
                if case .failed(let text) = try await askLauncherToStart(ticket) {
                    failure = text
                    break
                }
            } catch {
                // It may have begun all the same: the watch asks the lock, not this answer.
                failure = "\(error)"
            }
            entry.phase = .supervised
            logger.debug("Script \(ticket) was given to a launcher", metadata: [LogKey.ticket: "\(ticket)"])
            // Looked at again behind the await (STYLE.md C9): a cancel that came meanwhile could tell nobody.
            if entry.cancelled.isFired { await tellLauncherToCancel(ticket) }
            if await watchUntilOver(ticket) { return }
        }
        logger.error("Script \(ticket) could not be started: \(failure)", metadata: [LogKey.ticket: "\(ticket)"])
        await finishUnstarted(ticket, failure)
        _ = await watchUntilOver(ticket)
    }

    private static let startAttempts = 3

    /// A launcher that lets the script wait is named in its log.
    private func askLauncherToStart(_ ticket: ScriptTicketName) async throws -> LauncherReply {
        let launcher = launcher
        return try await withThrowingTaskGroup(of: LauncherReply?.self) { group in
            group.addTask { try await launcher.ask(.start(ticket)) }
            group.addTask {
                guard (try? await Task.sleep(for: Self.silentWait)) != nil else { return nil }
                let text = "Waiting for tentacle-launcher, which has not answered for \(Self.text(Self.silentWait))"
                await self.appendBeforeBegin(ticket, text)
                return nil
            }
            while let reply = try await group.next() {
                guard let reply else { continue }
                group.cancelAll()
                return reply
            }
            throw CancellationError()
        }
    }

    /// Returns when the lock is free; false when the script has not begun.
    ///
    /// One that has, without exit record, has lost its supervisor.
    private func watchUntilOver(_ ticket: ScriptTicketName) async -> Bool {
        for _ in 0..<Self.watchAttempts {
            do {
                switch try await watchLock(ticket) {
                case .over: return true
                case .notBegun: return false
                case .lost: break
                }
                break
            } catch {
                // It may run for all we know: nobody else gets its mutex before that can be told, or for a good while.
                logger.error("Script \(ticket) cannot be watched: \(error)", metadata: [LogKey.ticket: "\(ticket)"])
                guard (try? await Task.sleep(for: Self.watchAgainAfter)) != nil else { return true }
            }
        }
        // Whatever of it can still be found.
        await tellLauncherToCancel(ticket)
        let workspaces = workspaces
        do {
            _ = try await offThePool { try Self.finishLost(ticket, in: workspaces) }
        } catch {
            logger.error(
                "The end of script \(ticket) cannot be written: \(error)",
                metadata: [LogKey.ticket: "\(ticket)"]
            )
        }
        return true
    }

    private static let watchAttempts = 60
    private static let watchAgainAfter = Duration.seconds(1)

    private enum Watched { case over, notBegun, lost }

    /// How the script stands when nobody holds its lock any more; over, too, when its workspace is gone or the agent stops.
    private func watchLock(_ ticket: ScriptTicketName) async throws -> Watched {
        guard let directory = try workspaces.open(ticket) else { return .over }
        // Held open: a script that is completed while it runs keeps its mutex to its end (tentacle-services.md 5.2).
        if let lock = try directory.openLock() {
            var events = locks.events(of: directory).makeAsyncIterator()
            while try lock.holder() != .nobody {
                guard await events.next() != nil else { break }
            }
        }
        guard !Task.isCancelled, !directory.isRemoved else { return .over }
        switch try directory.recordOnDisk().record?.phase {
        case .complete: return .over
        case .pending: return .notBegun
        case .running, .none: return .lost
        }
    }

    /// The outcome is unknown: nobody supervises the script any more and nobody wrote how it ended.
    static func finishLost(_ ticket: ScriptTicketName, in workspaces: ScriptWorkspaces) throws -> ScriptStateRecord? {
        let why = "The process that supervised this script ended before the script did; its outcome is unknown."
        return try workspaces.finish(
            ticket,
            exitCode: ScriptExitCode.unknownResult,
            log: [(.standardError, why)],
            detail: why
        )
    }

    private func finishUnstarted(_ ticket: ScriptTicketName, _ why: String) async {
        let reason = "Error when attempting to execute /bin/bash: \(why)"
        let log: [(OutputLogRecord.Source, String)] = [
            (.standardError, "An exception was thrown when invoking /bin/bash: \(reason)"), (.standardError, reason),
        ]
        await finish(ticket, ScriptExitCode.couldNotStart, log: log, detail: reason)
    }

    private func finish(_ ticket: ScriptTicketName, _ exitCode: Int32, _ lines: [String]) async {
        await finish(ticket, exitCode, log: lines.map { (.standardOutput, $0) }, detail: lines.last)
    }

    private func finish(
        _ ticket: ScriptTicketName,
        _ exitCode: Int32,
        log: [(OutputLogRecord.Source, String)],
        detail: String?
    ) async {
        let workspaces = workspaces
        do {
            _ = try await offThePool {
                try workspaces.finish(ticket, exitCode: exitCode, log: log, detail: detail)
            }
        } catch {
            logger.error(
                "The end of script \(ticket) cannot be written: \(error)",
                metadata: [LogKey.ticket: "\(ticket)"]
            )
        }
    }

    private func end(_ entry: Entry) async {
        let (ticket, workspaces) = (entry.ticket, workspaces)
        entry.phase = .over
        entry.over.fire()
        guard let state = (try? await offThePool { try workspaces.open(ticket)?.readState() })?.flatMap(\.self) else {
            return
        }
        let code = state.exitCode.map { "\($0)" } ?? "unknown"
        logger.info(
            "Script \(ticket) of \(state.taskID) has ended with exit code \(code)",
            metadata: [LogKey.ticket: "\(ticket)", LogKey.task: "\(state.taskID)", LogKey.exitCode: "\(code)"]
        )
    }

    /// A text between service messages that set the level of the lines (tentacle-services.md 8.2).
    private static func marked(_ level: String, _ text: String) -> [(OutputLogRecord.Source, String)] {
        [
            (.standardOutput, "##octopus[stdout-\(level)]"), (.standardOutput, text),
            (.standardOutput, "##octopus[stdout-default]"),
        ]
    }

    /// Nothing of ours may come behind a script's end: once it has begun, the log is the launcher's.
    private func appendBeforeBegin(_ ticket: ScriptTicketName, _ text: String) async {
        let workspaces = workspaces
        _ = try? await offThePool {
            guard let directory = try workspaces.open(ticket),
                try directory.recordOnDisk().record?.phase == .pending, try directory.lockHolder() == .nobody
            else { return }
            try OutputLogWriter(directory, isAlone: false).append([(.debug, text)])
        }
    }

    /// Lines that only help people: the script goes on without them.
    private func note(_ ticket: ScriptTicketName, _ entries: [(OutputLogRecord.Source, String)]) async {
        let workspaces = workspaces
        do {
            try await offThePool {
                guard let directory = try workspaces.open(ticket) else { return }
                try OutputLogWriter(directory).append(entries)
            }
        } catch {
            logger.warning(
                "A line of the log of script \(ticket) cannot be written: \(error)",
                metadata: [LogKey.ticket: "\(ticket)"]
            )
        }
    }

    /// False when the log cannot be written: the script is over with -41 then (tentacle-services.md 3.2).
    private func append(_ ticket: ScriptTicketName, _ entries: [(OutputLogRecord.Source, String)]) async -> Bool {
        let workspaces = workspaces
        do {
            try await offThePool {
                guard let directory = try workspaces.open(ticket) else { return }
                try OutputLogWriter(directory).append(entries)
            }
            return true
        } catch {
            await finish(ticket, ScriptExitCode.fatal, log: [], detail: "cannot write the log: \(error)")
            return false
        }
    }
}

extension ScriptService {
    /// State first, then log: who reads Complete here has every line (tentacle-services.md 5.2).
    func status(
        of ticket: ScriptTicketName,
        echo: String,
        after sequence: Int64,
        generation: ScriptServiceGeneration,
        fromStart: Bool = false
    ) async throws -> ScriptStatus {
        let workspaces = workspaces
        // A start that is being prepared counts, for others: its record says Pending before its phase does.
        let isOurs = entries[ticket.key].map { entry in
            (entry.startBusy && !fromStart) || (entry.phase != .idle && entry.phase != .over)
        }
        return try await offThePool {
            try StatusReader(workspaces: workspaces, generation: generation, isOurs: isOurs ?? false)
                .read(ticket, echo: echo, after: sequence)
        }
    }
}

/// The table of tentacle-services.md 5.2 over the files.
private struct StatusReader: Sendable {
    let workspaces: ScriptWorkspaces
    let generation: ScriptServiceGeneration
    /// This agent lets the script wait, launches or watches it.
    let isOurs: Bool

    func read(_ ticket: ScriptTicketName, echo: String, after sequence: Int64) throws -> ScriptStatus {
        let nothing = ScriptStatus(
            ticket: echo,
            logs: [],
            nextLogSequence: max(0, sequence),
            state: .complete,
            exitCode: generation == .v1 ? 0 : ScriptExitCode.unknownScript
        )
        guard let directory = try workspaces.open(ticket) else { return nothing }
        var status = nothing
        if let exitCode = try stockExitCode(directory) {
            status.exitCode = generation == .v1 ? 0 : exitCode
            guard StockWorkspace.hasLog(directory) else { return status }
            (status.logs, status.nextLogSequence) = try StockWorkspace.log(directory, after: sequence)
            return status
        }
        if let state = try standing(ticket, directory) {
            switch state.phase {
            case .pending: status.state = .pending
            case .running: status.state = .running
            case .complete: status.exitCode = state.exitCode ?? ScriptExitCode.unknownResult
            }
            if state.phase != .complete { status.exitCode = 0 }
        }
        guard let reader = try OutputLogReader(directory) else { return status }
        let page = try reader.read(after: sequence, final: status.state == .complete)
        status.logs = page.entries.map { entry in
            ScriptLogEntry(
                source: ScriptLogEntry.Source(rawValue: Int(entry.source.rawValue)) ?? .debug,
                occurred: Date(timeIntervalSince1970: Double(entry.occurred.sinceEpoch) / 1_000_000),
                text: entry.text
            )
        }
        status.nextLogSequence = page.next
        // A caller that hears Complete does not ask again: not before it has everything.
        if !page.reachedEnd, status.state == .complete {
            status.state = .running
            status.exitCode = 0
        }
        return status
    }

    /// Of a workspace in which this agent has started nothing and the stock agent has; V1 had no state, but a log.
    private func stockExitCode(_ directory: borrowing WorkspaceDirectory) throws -> Int32? {
        guard try directory.recordOnDisk() == .absent else { return nil }
        let unknown = StockWorkspace.hasLog(directory) ? ScriptExitCode.unknownScript : nil
        return try StockWorkspace.exitCode(directory) ?? unknown
    }

    /// The record, after a script that nobody runs has been given its end.
    private func standing(
        _ ticket: ScriptTicketName,
        _ directory: borrowing WorkspaceDirectory
    ) throws -> ScriptStateRecord? {
        let found = try directory.recordOnDisk()
        guard found != .absent, found.record?.phase != .complete, !isOurs, try directory.lockHolder() == .nobody else {
            return try present(ticket, directory)
        }
        // `finish` looks again under the lock: a launcher may have ended it since.
        return try ScriptService.finishLost(ticket, in: workspaces)
    }

    private func present(
        _ ticket: ScriptTicketName,
        _ directory: borrowing WorkspaceDirectory
    ) throws -> ScriptStateRecord? {
        let found = try directory.recordOnDisk()
        guard case .unreadable = found else { return found.record }
        // Whoever holds the lock writes it anew at the end, and who starts the script finds out.
        var state = ScriptStateRecord(ticket: ticket, created: .now, boot: "")
        if case .launcher(let supervisor) = try directory.lockHolder() { state.begin(at: .now, supervisor: supervisor) }
        return state
    }
}

/// What a restarted agent finds on disk.
enum Recovery {
    /// Begun: it runs, or its supervisor is gone, which whoever watches it finds out.
    enum Standing { case begun, notBegun }

    struct Found {
        var ticket: ScriptTicketName
        var standing: Standing
        var specification: ScriptSpecification
        var created: UTCMicroseconds
    }

    /// Scripts that still concern somebody, those that wait in the order in which they came.
    ///
    /// Those of another boot are ended here.
    static func scan(_ workspaces: ScriptWorkspaces, _ logger: Logger) -> [Found] {
        var found: [Found] = []
        for ticket in workspaces.tickets() {
            do {
                if let script = try inspect(ticket, workspaces) { found.append(script) }
            } catch {
                // The next status call looks again.
                logger.error(
                    "Script \(ticket) cannot be taken over from the agent before: \(error)",
                    metadata: [LogKey.ticket: "\(ticket)"]
                )
            }
        }
        return found.sorted { $0.created < $1.created }
    }

    private static func inspect(_ ticket: ScriptTicketName, _ workspaces: ScriptWorkspaces) throws -> Found? {
        // The lock before the record: a launcher that begins in between is found by one of the two.
        guard let directory = try workspaces.open(ticket) else { return nil }
        let isAlive = try directory.lockHolder() != .nobody
        let found = try directory.recordOnDisk()
        let state = found.record
        guard found != .absent, state?.phase != .complete else { return nil }
        let bytes = try directory.read(ScriptSpecification.fileName, limit: ScriptSpecification.maximumBytes)
        let specification = bytes.flatMap { try? ScriptSpecification(bytes: $0) }
        guard isAlive || (specification != nil && state?.boot == currentBootID()) else {
            _ = try ScriptService.finishLost(ticket, in: workspaces)
            return nil
        }
        return Found(
            ticket: ticket,
            standing: isAlive || state?.phase == .running ? .begun : .notBegun,
            specification: specification ?? running(ticket, state),
            created: state?.created ?? .now
        )
    }

    /// In place of a specification that is not understood: a running script keeps its mutex all the same.
    ///
    /// Without a record that names it, that is the usual one, and alone.
    private static func running(_ ticket: ScriptTicketName, _ state: ScriptStateRecord?) -> ScriptSpecification {
        ScriptSpecification(
            ticket: ticket,
            service: ScriptServiceGeneration.v2.rawValue,
            taskID: state?.taskID ?? ticket.description,
            fullIsolation: state?.fullIsolation ?? true,
            mutexName: state?.mutexName ?? IsolationMutex.defaultName,
            mutexTimeoutMilliseconds: nil,
            arguments: [],
            environment: [:]
        )
    }
}
