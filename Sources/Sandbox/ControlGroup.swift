internal import CLinux
internal import Glibc

/// A control group (version 2) of one script's own, below the launcher's: one write kills everybody in it at once,
/// whoever they are and however fast they fork.
///
/// Needs no controller. Under systemd the launcher's group is the script's unit, which is delegated to it.
package struct ControlGroup: Sendable {
    /// Absolute, for people and for `cgroup.procs` of whoever looks.
    package let path: String
    package let directory: Int32
    private let events: Int32
    /// Deeper ones a script can remove itself.
    private static let maximumDepth = 16

    /// Why there is none here.
    package struct Unavailable: Error, Equatable, CustomStringConvertible {
        package var description: String
    }

    /// `script` is the part of the name that is the same for every group of one workspace; `number`, microseconds since
    /// 1970, makes it one that no earlier group has left.
    package static func make(_ script: String, number: Int64) throws(Unavailable) -> ControlGroup {
        let path = try parent() + "/" + prefix + script + "." + String(number)
        guard unsafe mkdir(path, 0o755) == 0 else {
            throw Unavailable(description: "cannot make \(path): \(text(errno))")
        }
        let directory = unsafe clinux_open(path, O_RDONLY | O_DIRECTORY, 0)
        let events = unsafe clinux_open(path + "/cgroup.events", O_RDONLY, 0)
        // Linux 5.14.
        let canKill = unsafe access(path + "/cgroup.kill", W_OK) == 0
        let group = ControlGroup(path: path, directory: directory, events: events)
        guard directory >= 0, events >= 0, canKill else {
            _ = group.remove()
            throw Unavailable(description: "\(path) cannot be killed as a whole")
        }
        return group
    }

    /// The launcher's own group.
    var parentPath: String { String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) }

    /// Hands the controllers of the launcher's own group on to this one, where nobody else is in there: it was made for this
    /// script.
    ///
    /// The launcher moves into a group beside this one, since a group with processes in it hands on nothing.
    func makeRoom() {
        guard ProcessTable.read(parentPath + "/cgroup.procs") == "\(getpid())\n" else { return }
        let own = parentPath + "/" + Self.launcherName
        guard unsafe mkdir(own, 0o755) == 0 || errno == EEXIST else { return }
        Self.write("\(getpid())", to: own + "/cgroup.procs")
        // One by one: a controller that is not there would keep the others away.
        for controller in ["memory", "pids", "cpu", "io"] {
            Self.write("+" + controller, to: parentPath + "/cgroup.subtree_control")
        }
    }

    private static let launcherName = "launcher"

    /// Removes what earlier launchers left beside this group; for when the script has started.
    package func removeForgotten(now: Int64) {
        for name in Self.directories(parentPath) where Self.isForgotten(name, now: now) {
            _ = Self.remove(parentPath + "/" + name, depth: 0)
        }
    }

    /// Ends what an earlier launcher of a workspace left, when it and its keeper were killed at once.
    ///
    /// True when there was anything.
    package static func endRemains(of script: String) -> Bool {
        guard let parent = try? parent() else { return false }
        let names = directories(parent).filter { $0.hasPrefix(prefix + script + ".") }
        for name in names {
            let path = parent + "/" + name
            write("1", to: path + "/cgroup.kill")
            // Those who die now are still in it for a moment.
            for _ in 0..<100 where !remove(path, depth: 0) { _ = poll(nil, 0, 10) }
        }
        return !names.isEmpty
    }

    private static let prefix = "script-"

    /// Left by a script one of whose processes could not be killed; as long as somebody is in it, it stays all the same.
    private static func isForgotten(_ name: String, now: Int64) -> Bool {
        guard name.hasPrefix(prefix), let number = name.split(separator: ".").last.flatMap({ Int64($0) }) else {
            return false
        }
        return number < now - 60_000_000
    }

    /// The launcher's own group, where the host has mounted the hierarchy.
    private static func parent() throws(Unavailable) -> String {
        let groups = ProcessTable.bytes("/proc/self/cgroup")
        var lines = ByteParts(of: groups[...], separator: "\n")
        var own: ArraySlice<UInt8>?
        while own == nil, let line = lines.next() {
            if line.starts(with: "0::/".utf8) { own = line.dropFirst(3) }
        }
        // `/..` is outside of what this process may see.
        guard let own, !own.starts(with: "/..".utf8) else {
            throw Unavailable(description: "this process is in no control group of version 2")
        }
        let mounts = ProcessTable.bytes("/proc/self/mountinfo")
        lines = ByteParts(of: mounts[...], separator: "\n")
        while let line = lines.next() {
            // `36 35 98:0 ROOT MOUNT-POINT rw,noatime - cgroup2 …`.
            var fields = ByteParts(of: line, separator: " ")
            for _ in 0..<3 { _ = fields.next() }
            guard let root = fields.next(), let point = fields.next() else { continue }
            while let field = fields.next(), !field.elementsEqual("-".utf8) {}
            guard let type = fields.next(), type.elementsEqual("cgroup2".utf8) else { continue }
            let prefix = root.elementsEqual("/".utf8) ? [] : root
            guard own.starts(with: prefix) else { continue }
            let rest = own.dropFirst(prefix.count)
            let below = rest.elementsEqual("/".utf8) ? [] : rest
            return String(decoding: point + below, as: UTF8.self)
        }
        throw Unavailable(description: "no hierarchy of version 2 is mounted")
    }

    /// SIGKILL for everybody in it and below, also those being forked right now.
    package func kill() { write("1", to: "cgroup.kill") }

    package var isPopulated: Bool {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = unsafe pread(events, &buffer, buffer.count, 0)
        // Gone already.
        guard count > 0 else { return false }
        var lines = ByteParts(of: buffer[..<count], separator: "\n")
        while let line = lines.next() {
            if line.starts(with: "populated ".utf8) { return line.last == 0x31 }
        }
        return false
    }

    /// Whoever is in it, not below.
    package var members: [Int32] {
        ProcessTable.read(path + "/cgroup.procs").split(separator: "\n").compactMap { Int32($0) }
    }

    /// Hands whoever lives on to the launcher's own group, so that this one can be removed.
    package func release() {
        for _ in 0..<10 where !remove() {
            // Where the launcher is: beside it, once it has moved.
            let moved = parentPath + "/" + Self.launcherName + "/cgroup.procs"
            let target = unsafe access(moved, W_OK) == 0 ? moved : parentPath + "/cgroup.procs"
            for member in members { Self.write(String(member), to: target) }
        }
    }

    /// With the groups that the script made in it; false when somebody is in one still.
    package func remove() -> Bool { Self.remove(path, depth: 0) }

    private static func remove(_ path: String, depth: Int) -> Bool {
        if unsafe rmdir(path) == 0 || errno == ENOENT { return true }
        guard depth < maximumDepth else { return false }
        for name in directories(path) { _ = remove(path + "/" + name, depth: depth + 1) }
        return unsafe rmdir(path) == 0
    }

    private static func directories(_ path: String) -> [String] {
        var names: [String] = []
        let directory = unsafe clinux_open(path, O_RDONLY | O_DIRECTORY, 0)
        DirectoryEntries.forEach(takingOver: directory) { _, name, isDirectory in
            if isDirectory { names.append(name) }
            return true
        }
        return names
    }

    private func write(_ text: String, to name: String) { Self.write(text, to: path + "/" + name) }

    private static func write(_ text: String, to path: String) {
        let file = unsafe clinux_open(path, O_WRONLY, 0)
        guard file >= 0 else { return }
        defer { close(file) }
        let bytes = Array(text.utf8)
        _ = unsafe Glibc.write(file, bytes, bytes.count)
    }

    static func text(_ number: Int32) -> String {
        guard let text = unsafe strerror(number) else { return "error \(number)" }
        return unsafe String(cString: text)
    }
}
