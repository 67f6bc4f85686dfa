import BenchmarkSupport
import CBenchmark
import Foundation

/// What a process has used so far.
struct Usage: Codable {
    var cpuSeconds: Double
    var residentKilobytes: Double
    /// The most memory since the start or since ``forgetPeak()``.
    var peakKilobytes: Double
    /// Memory that no other process shares.
    var privateKilobytes: Double
    /// Memory that is allocated; the rest of the private memory is free, code, and stacks.
    var allocatedKilobytes: Double

    /// This process's usage.
    static func now() throws -> Usage {
        let status = try fields(of: "/proc/self/status")
        let memory = try fields(of: "/proc/self/smaps_rollup")
        return Usage(
            cpuSeconds: cpuSeconds(of: RUSAGE_SELF.rawValue),
            residentKilobytes: status["VmRSS", default: 0],
            peakKilobytes: status["VmHWM", default: 0],
            privateKilobytes: memory["Private_Clean", default: 0] + memory["Private_Dirty", default: 0],
            allocatedKilobytes: Double(benchmark_allocated_bytes()) / 1024
        )
    }

    /// The processor time of the programs that this one started and that have ended.
    static var cpuSecondsOfPrograms: Double { cpuSeconds(of: RUSAGE_CHILDREN.rawValue) }

    /// Begins to look for the peak anew.
    static func forgetPeak() throws {
        try "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .ascii)
    }

    private static func cpuSeconds(of who: __rusage_who.RawValue) -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(who), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1_000_000 }
    }

    /// Lines of the form `Name:   123 kB`.
    private static func fields(of path: String) throws -> [String: Double] {
        var fields: [String: Double] = [:]
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            if words.count == 3, words[2] == "kB" { fields[String(words[0].dropLast())] = Double(words[1]) }
        }
        return fields
    }
}
