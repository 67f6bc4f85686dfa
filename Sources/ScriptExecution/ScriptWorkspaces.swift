internal import CLinux
internal import FoundationEssentials
internal import Glibc
package import LauncherProtocol

let openPathOnly = Int32(CLINUX_O_PATH)

/// The workspaces of one agent: `<Home>/Work/<ticket>/` (tentacle-services.md 6).
///
/// Every function blocks on the disk; the service calls them off the pool.
package struct ScriptWorkspaces: Sendable {
    /// Encrypts a file for Calamari: text and password → the bytes to store, `IV__` first (tentacle-services.md 6).
    package typealias Encryptor = @Sendable (_ text: [UInt8], _ password: String) throws -> [UInt8]

    package let homeDirectory: String
    package let workDirectory: String
    private let disk: DiskSpaceCheck
    private let encrypt: Encryptor

    package init(homeDirectory: String, disk: DiskSpaceCheck = DiskSpaceCheck(), encrypt: @escaping Encryptor) {
        self.homeDirectory = homeDirectory
        self.workDirectory = homeDirectory + "/" + ScriptDirectories.work
        self.disk = disk
        self.encrypt = encrypt
    }

    package func path(of ticket: ScriptTicketName) -> String { workDirectory + "/" + ticket.description }

    /// The directory of a ticket, or nil when there is none.
    package func open(_ ticket: ScriptTicketName) throws -> WorkspaceDirectory? {
        let work = unsafe clinux_open(workDirectory, openPathOnly | O_DIRECTORY, 0)
        guard work >= 0 else {
            if work == -ENOENT { return nil }
            throw Self.failure("open", workDirectory, -work)
        }
        defer { close(work) }
        let directory = openComponent(work, ticket.description, O_RDONLY | O_DIRECTORY)
        guard directory >= 0 else {
            if directory == -ENOENT { return nil }
            throw Self.failure("open", path(of: ticket), -directory)
        }
        return WorkspaceDirectory(takingOver: directory)
    }

    /// True when a script was started with this ticket before, by this agent or by a stock agent that it replaced.
    package func hasStarted(_ ticket: ScriptTicketName) throws -> Bool {
        guard let directory = try open(ticket) else { return false }
        return try directory.recordOnDisk() != .absent || StockWorkspace.exitCode(directory) != nil
    }

    private func create(_ ticket: ScriptTicketName) throws -> WorkspaceDirectory {
        // Why it is not there, if it is not, the next line says in fewer words.
        try? FileManager.default.createDirectory(atPath: homeDirectory, withIntermediateDirectories: true)
        for path in [workDirectory, path(of: ticket)] {
            guard unsafe mkdir(path, 0o777) == 0 || errno == EEXIST else { throw Self.failure("create", path, errno) }
        }
        guard let directory = try open(ticket) else { throw Self.failure("open", path(of: ticket), ENOENT) }
        return directory
    }

    /// Everything on disk that the launcher needs; `state.json` is last, and says Pending.
    ///
    /// Order of tentacle-services.md 6: directory, disk check, script, files. What fails leaves no state file, so that
    /// a retry begins again.
    package func prepare(
        _ ticket: ScriptTicketName,
        _ start: ScriptStart,
        _ specification: ScriptSpecification
    ) throws {
        let directory = try create(ticket)
        try disk.require(DiskSpaceCheck.workspaceBytes + Self.copiedBytes(start, directory), in: path(of: ticket))
        do {
            let script = Self.unixLineEnds(start.body)
            try write(.bytes(script), to: ScriptSpecification.scriptFileName, in: directory)
            // One stream that is two files is moved last.
            for (index, file) in start.files.enumerated() {
                let isLast = !start.files[(index + 1)...].contains { $0.contents == file.contents }
                try save(file, in: directory, mayMove: isLast)
            }
            let name = ScriptSpecification.fileName
            try directory.replace(name, with: specification.encoded(), mode: 0o600, durable: false)
            // Of an attempt that failed: nothing in it is this script's.
            directory.remove(ScriptSpecification.logFileName)
            _ = try OutputLogWriter(directory)
            // Made by the agent, so that a launcher of another user needs no right to create it.
            _ = try directory.claim(.openFileDescription)
            let state = ScriptStateRecord(specification, created: .now, boot: currentBootID())
            try directory.writeState(state, durable: false)
            directory.reserveNext(of: ScriptStateRecord.fileName, bytes: 4096)
        } catch let error as WorkspaceFileError {
            throw ScriptExecutionError(error.number == ENOSPC ? .diskFull : .file, "\(error) in \(path(of: ticket))")
        }
    }

    /// What the script's files will take on the disk beside what they take already: those that are moved take nothing.
    private static func copiedBytes(_ start: ScriptStart, _ directory: borrowing WorkspaceDirectory) -> UInt64 {
        var place = stat()
        guard unsafe fstat(directory.descriptor, &place) == 0 else { return 0 }
        return start.files.reduce(into: 0) { sum, file in
            var facts = stat()
            if case .file(let spool, _) = file.contents, file.encryptionPassword == nil,
                unsafe stat(spool, &facts) == 0, facts.st_dev == place.st_dev
            {
                return
            }
            sum += UInt64(max(0, file.contents.length))
        }
    }

    /// CR LF → LF, nothing else.
    static func unixLineEnds(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            if byte == 0x0A, bytes.last == 0x0D { bytes.removeLast() }
            bytes.append(byte)
        }
        return bytes
    }

    // MARK: Files of the script

    private static let ourFiles: Set<String> = [
        ScriptStateRecord.fileName, ScriptSpecification.fileName, ScriptSpecification.logFileName,
        WorkspaceDirectory.lockFileName, WorkspaceDirectory.unreadableStateFileName,
        ScriptStateRecord.fileName + ".next", ScriptSpecification.fileName + ".next",
    ]

    private func save(
        _ file: ScriptStart.File,
        in directory: borrowing WorkspaceDirectory,
        mayMove: Bool
    ) throws {
        guard let password = file.encryptionPassword else {
            return try write(file.contents, to: file.name, in: directory, mayMove: mayMove)
        }
        // The content is text: decoded, and its byte order mark dropped, as the reference does.
        var text = Array(String(decoding: try Self.readAll(file.contents), as: UTF8.self).utf8)
        if text.starts(with: [0xEF, 0xBB, 0xBF]) { text.removeFirst(3) }
        try write(.bytes(try encrypt(text, password)), to: file.name, in: directory)
    }

    private func write(
        _ contents: StagedStream,
        to name: String,
        in directory: borrowing WorkspaceDirectory,
        mayMove: Bool = false
    ) throws {
        let components = try Self.components(of: name)
        var parent = dup(directory.descriptor)
        guard parent >= 0 else { throw Self.failure("open", name, errno) }
        defer { close(parent) }
        for component in components.dropLast() {
            if unsafe mkdirat(parent, component, 0o777) != 0, errno != EEXIST {
                throw Self.failure("create the directory of", name, errno)
            }
            let next = openComponent(parent, component, openPathOnly | O_DIRECTORY)
            guard next >= 0 else { throw Self.failure("open the directory of", name, -next) }
            close(parent)
            parent = next
        }
        let last = components[components.count - 1]
        let file = openComponent(parent, last, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o666)
        guard file >= 0 else { throw Self.failure("create", name, -file) }
        defer { close(file) }
        // What was received on the same file system becomes the file itself: nothing is copied. It takes over the mode of
        // the file just made, since spool files are private.
        var facts = stat()
        if mayMove, case .file(let spool, _) = contents, unsafe fstat(file, &facts) == 0,
            unsafe renameat(AT_FDCWD, spool, parent, last) == 0
        {
            guard unsafe fchmodat(parent, last, facts.st_mode & 0o777, 0) == 0 else {
                throw Self.failure("change the mode of", name, errno)
            }
            return
        }
        try contents.forEachChunk { chunk in try FileBytes.write(chunk, to: file, name: name) }
    }

    /// The parts of a file's name, `.` and `..` resolved; a name that leads out of the workspace is refused.
    static func components(of name: String) throws -> [String] {
        var components: [String] = []
        let refused = ScriptExecutionError(
            .invalidFileName,
            "The file name '\(name)' is outside the working directory of the script; use a relative name."
        )
        guard !name.utf8.contains(0), !name.hasPrefix("/") else { throw refused }
        for part in name.split(separator: "/") where part != "." {
            if part == ".." {
                guard components.popLast() != nil else { throw refused }
            } else {
                components.append(String(part))
            }
        }
        guard let first = components.first, !name.hasSuffix("/") else { throw refused }
        guard components.count > 1 || !ourFiles.contains(first) else {
            throw ScriptExecutionError(
                .invalidFileName,
                "The file name '\(name)' is used by the agent itself; choose another."
            )
        }
        return components
    }

    private static func readAll(_ contents: StagedStream) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try contents.forEachChunk { bytes += $0 }
        return bytes
    }

    static func failure(_ operation: String, _ file: String, _ number: Int32) -> ScriptExecutionError {
        let code = number == ENOSPC || number == EDQUOT ? ScriptExecutionError.Code.diskFull : .file
        return ScriptExecutionError(code, "\(WorkspaceFileError(operation, file, number: number))")
    }
}
