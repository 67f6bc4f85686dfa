import BenchmarkSupport
import Foundation

/// What a process has in memory, in MB.
struct Memory {
    var resident: Double
    /// Pages that several processes share count in parts.
    var proportional: Double
    /// The most that was resident since the start or since ``forgetPeak(of:)``.
    var peak: Double

    init(of process: Int32) throws {
        let rollup = try Self.fields(of: "/proc/\(process)/smaps_rollup")
        resident = rollup["Rss", default: 0]
        proportional = rollup["Pss", default: 0]
        peak = try Self.fields(of: "/proc/\(process)/status")["VmHWM", default: 0]
    }

    static func forgetPeak(of process: Int32) throws {
        try "5".write(toFile: "/proc/\(process)/clear_refs", atomically: false, encoding: .ascii)
    }

    static func children(of process: Int32) throws -> [Int32] {
        try String(contentsOfFile: "/proc/\(process)/task/\(process)/children", encoding: .ascii)
            .split(separator: " ").compactMap { Int32($0) }
    }

    /// Lines of the form `Name:   123 kB`.
    private static func fields(of path: String) throws -> [String: Double] {
        var fields: [String: Double] = [:]
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count == 3, words[2] == "kB", let kilobytes = Double(words[1]) else { continue }
            fields[String(words[0].dropLast())] = kilobytes / 1024
        }
        return fields
    }
}
