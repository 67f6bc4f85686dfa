internal import CLinux
internal import Glibc

/// Limits of a script's control group, where the host has given its controllers to the launcher.
///
/// A unit of systemd's that is delegated has the controllers, but must be empty of processes before it hands them on: where
/// the launcher is alone in its own group it moves into one below. That takes milliseconds, and only for policies with such
/// limits. Not on the unit's own group: systemd sets that one back at each reload.
package struct ControlGroupLimits: Sendable {
    /// Where memory is limited; empty: nowhere.
    private var memoryPath = ""
    private var processesPath = ""
    private let memoryBytes: Int64?
    private let processes: Int64?

    package static let processesWhat = "the number of processes"

    /// One file of a controller and what is to be written to it.
    private struct Setting {
        var what: String
        var file: String
        var text: String
    }

    /// Everything that could not be put on is in `unenforced`.
    package init(_ limits: SandboxPolicy.Limits, on group: ControlGroup?, unenforced: inout [Unenforced]) {
        memoryBytes = limits.memory?.bytes
        processes = limits.processes
        let settings = Self.settings(limits)
        guard !settings.isEmpty else { return }
        guard let group else {
            for setting in settings { unenforced.append(Unenforced(.controlGroup, setting.what, "no control group")) }
            return
        }
        var hasMadeRoom = false
        for setting in settings {
            let file = group.path + "/" + setting.file
            if !Self.exists(file), !hasMadeRoom {
                hasMadeRoom = true
                group.makeRoom()
            }
            guard Self.exists(file) else {
                let controller = setting.file.prefix { $0 != "." }
                let why = "no \(controller) controller in \(group.parentPath)"
                unenforced.append(Unenforced(.controlGroup, setting.what, why))
                continue
            }
            let number = KeeperFiles.write(setting.text, to: file)
            guard number == 0 else {
                unenforced.append(Unenforced(.controlGroup, setting.what, "\(file): \(ControlGroup.text(number))"))
                continue
            }
            if setting.file == "memory.max" {
                memoryPath = group.path
                // All of the script, not only whoever asked for more.
                _ = KeeperFiles.write("1", to: group.path + "/memory.oom.group")
            }
            if setting.file == "pids.max" { processesPath = group.path }
        }
    }

    private static func settings(_ limits: SandboxPolicy.Limits) -> [Setting] {
        var settings: [Setting] = []
        func add(_ value: Int64?, _ what: String, _ file: String, _ text: (Int64) -> String = { "\($0)" }) {
            if let value { settings.append(Setting(what: what, file: file, text: text(value))) }
        }
        add(limits.memory?.bytes, "the limit of memory", "memory.max")
        add(limits.swap?.bytes, "the limit of swap", "memory.swap.max")
        add(limits.processes, processesWhat, "pids.max")
        let period: Int64 = 100_000
        add(limits.cpuPercent, "the limit of CPU", "cpu.max") { "\($0 * period / 100) \(period)" }
        add(limits.cpuWeight, "the weight of CPU", "cpu.weight")
        add(limits.ioWeight, "the weight of input and output", "io.weight") { "default \($0)" }
        return settings
    }

    /// As a person reads it, with the kernel's own words for the values.
    package static func texts(_ limits: SandboxPolicy.Limits) -> [String] {
        settings(limits).map { "\($0.file) \($0.text)" }
    }

    private static func exists(_ path: String) -> Bool { unsafe access(path, W_OK) == 0 }

    // MARK: What came of it

    /// In words, when the kernel killed processes because the memory ran out; nil when it did not.
    package var memoryText: String? {
        guard !memoryPath.isEmpty, let memoryBytes, Self.count("oom_kill", in: memoryPath + "/memory.events") > 0 else {
            return nil
        }
        let killed = KernelLog.killedForMemory(below: memoryPath)
        let names = killed.isEmpty ? "" : ": " + killed.joined(separator: ", ")
        return "The script ran out of memory: its limit is \(memoryBytes) bytes. The kernel killed it" + names + "."
    }

    /// In words, when processes could not be made because there were too many.
    package var processesText: String? {
        guard !processesPath.isEmpty, let processes, Self.count("max", in: processesPath + "/pids.events") > 0 else {
            return nil
        }
        return "The script reached its limit of \(processes) processes."
    }

    private static func count(_ key: String, in file: String) -> Int {
        let bytes = ProcessTable.bytes(file)
        var lines = ByteParts(of: bytes[...], separator: "\n")
        while let line = lines.next() {
            guard line.starts(with: (key + " ").utf8) else { continue }
            return Int(String(decoding: line.dropFirst(key.utf8.count + 1), as: UTF8.self)) ?? 0
        }
        return 0
    }
}

extension SandboxPolicy.Limits.Amount {
    package var bytes: Int64 {
        switch self {
        case .bytes(let bytes): bytes
        case .percent(let percent):
            Int64(sysconf(Int32(_SC_PHYS_PAGES))) / 100 * percent * Int64(sysconf(Int32(_SC_PAGESIZE)))
        }
    }
}

/// What the kernel says of processes that it killed; only its log knows their names.
enum KernelLog {
    /// The latest are at the end.
    private static let maximumRecords = 10_000

    /// `python3 (4711)` for each process of a control group or of one below that was killed for its memory.
    static func killedForMemory(below path: String) -> [String] {
        let file = unsafe clinux_open("/dev/kmsg", O_RDONLY | O_NONBLOCK, 0)
        guard file >= 0 else { return [] }
        defer { close(file) }
        // Records name groups from the root of the hierarchy, which is a part of the path's end.
        var killed: [String] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        for _ in 0..<maximumRecords {
            let count = unsafe read(file, &buffer, buffer.count)
            // EPIPE: records were overwritten while we read.
            if count < 0, errno == EPIPE { continue }
            guard count > 0 else { break }
            let text = String(decoding: buffer[..<count], as: UTF8.self)
            guard let group = field("task_memcg=", in: text), isBelow(group, path),
                let task = field("task=", in: text), let number = field("pid=", in: text)
            else { continue }
            killed.append("\(task) (\(number))")
        }
        return killed
    }

    /// Whether the end of the path is the group, or one above it.
    static func isBelow(_ group: String, _ path: String) -> Bool {
        var group = group[...]
        while group.utf8.count > 1 {
            if path.hasSuffix(group) { return true }
            guard let slash = group.lastIndex(of: "/") else { return false }
            group = group[..<slash]
        }
        return false
    }

    /// `…,task_memcg=/a/b,task=python3,pid=4711,uid=0`.
    static func field(_ name: String, in text: String) -> String? {
        guard text.contains("oom-kill:") else { return nil }
        for part in text.split(whereSeparator: { $0 == "," || $0 == "\n" }) where part.hasPrefix(name) {
            return unescaped(part.dropFirst(name.count))
        }
        return nil
    }

    /// The log writes `\x5c` for a backslash, which names of units have.
    private static func unescaped(_ text: Substring) -> String {
        var result = ""
        var rest = text
        while let character = rest.popFirst() {
            if character == "\\", rest.hasPrefix("x5c") {
                rest = rest.dropFirst(3)
            }
            result.append(character)
        }
        return result
    }
}
