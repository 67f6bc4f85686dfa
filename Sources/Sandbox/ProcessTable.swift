internal import CLinux
internal import Glibc

/// The kernel's list of processes, as far as killing a tree needs it.
package enum ProcessTable {
    package struct Row: Equatable, Sendable, CustomStringConvertible {
        package var processID: Int32
        package var parentID: Int32
        /// `Z` is dead already, `D` cannot be killed now.
        package var state: Character
        package var name: String

        var isDead: Bool { state == "Z" || state == "X" }

        /// For a person who has to deal with it: number, name, state, and whose it is when it is not ours.
        package var description: String {
            var text = "\(processID) (\(name)), state \(state)"
            if state == "D" { text += " (uninterruptible)" }
            var facts = stat()
            if unsafe stat("/proc/\(processID)", &facts) == 0, facts.st_uid != geteuid() {
                text += ", of user \(facts.st_uid)"
            }
            return text
        }
    }

    static func read(_ path: String) -> String { String(decoding: bytes(path), as: UTF8.self) }

    static func bytes(_ path: String) -> [UInt8] {
        let file = unsafe clinux_open(path, O_RDONLY, 0)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        var contents: [UInt8] = []
        while case let count = unsafe Glibc.read(file, &buffer, buffer.count), count > 0 {
            contents += buffer[..<count]
        }
        return contents
    }

    package static func rows() -> [Row] {
        guard let directory = unsafe opendir("/proc") else { return [] }
        defer { unsafe closedir(directory) }
        var rows: [Row] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            guard let id = Int32(name), let row = row(id) else { continue }
            rows.append(row)
        }
        return rows
    }

    /// `12 (name, perhaps with ) in it) S 1 …`.
    private static func row(_ id: Int32) -> Row? {
        let text = read("/proc/\(id)/stat")
        guard let open = text.firstIndex(of: "("), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 1, let state = fields[0].first, let parent = Int32(fields[1]) else { return nil }
        return Row(
            processID: id,
            parentID: parent,
            state: state,
            name: String(text[text.index(after: open)..<end])
        )
    }

    /// Everybody below a process, dead ones left out.
    package static func descendants(of root: Int32, in rows: [Row]) -> [Row] {
        var found: [Row] = []
        var parents: Set<Int32> = [root]
        while !parents.isEmpty {
            let children = rows.filter { parents.contains($0.parentID) }
            found += children.filter { !$0.isDead }
            parents = Set(children.map(\.processID))
        }
        return found
    }

    /// Stops, then kills everybody below a process.
    ///
    /// Stopping first, and looking again until nobody new is there, is what a tree that goes on forking needs. Returns
    /// when they are told; whether they are gone is asked again.
    package static func killDescendants(of root: Int32) {
        var stopped: Set<Int32> = []
        for _ in 0..<50 {
            let fresh = descendants(of: root, in: rows()).map(\.processID).filter { stopped.insert($0).inserted }
            if fresh.isEmpty { break }
            for id in fresh { kill(id, SIGSTOP) }
        }
        for id in stopped { kill(id, SIGKILL) }
    }
}
