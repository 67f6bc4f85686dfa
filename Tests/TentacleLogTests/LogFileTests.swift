import AgentConfiguration
import Foundation
import ProcessTesting
import Synchronization
import TentacleLog
import Testing

@Suite struct LogFileTests {
    /// A folder of its own for one test, gone afterwards.
    private static func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "log-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private static func text(_ folder: String, _ name: String = "OctopusTentacle.txt") throws -> String {
        try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
    }

    /// A log that notes its warnings.
    private final class Watched: Sendable {
        let warnings = Mutex<[String]>([])

        func log(_ directory: String?, _ threshold: LogLevel = .info) -> OperationLog {
            OperationLog(directory: directory, threshold: threshold) { text in
                self.warnings.withLock { $0.append(text) }
            }
        }
    }

    @Test("a line is local time, process, thread, level and text; the folder is made")
    func line() async throws {
        try await Self.withFolder { folder in
            let log = OperationLog(directory: folder + "/a/Logs")
            for (level, text) in [(LogLevel.info, "one"), (.warning, "two\nlines"), (.fatal, "three")] {
                log.write(level, text)
            }
            log.write(.debug, "not this one")
            let lines = try Self.text(folder + "/a/Logs").split(separator: "\n")
            let shape = #/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{4}  [ \d]{4}\d  [ \d]{4}\d (.{5})  (.*)/#
            let found = lines.compactMap { $0.wholeMatch(of: shape) }.map { "\($0.1)|\($0.2)" }
            #expect(found == [" INFO|one", " WARN|two", "FATAL|three"])
            #expect(lines.count == 4 && lines[2] == "lines")
            #expect(log.directories == [folder + "/a/Logs"])
            let facts = try FileManager.default.attributesOfItem(atPath: folder + "/a/Logs/OctopusTentacle.txt")
            #expect((facts[.posixPermissions] as? Int ?? 0o777) & 0o007 == 0)
        }
    }

    @Test(
        "the threshold of the environment, exact case",
        arguments: [
            ("Trace", .trace), ("Debug", .debug), ("Info", .info), ("Warn", .warning), ("Error", .error),
            ("Fatal", .fatal), ("Off", .off), ("off", .info), ("", .info), (nil, .info),
        ] as [(String?, LogLevel)]
    )
    func threshold(name: String?, expected: LogLevel) async throws {
        #expect(LogLevel(named: name) == expected)
        try await Self.withFolder { folder in
            let log = OperationLog(directory: folder, threshold: expected)
            for level in LogLevel.allCases { log.write(level, "line") }
            let count = ((try? Self.text(folder)) ?? "").split(separator: "\n").count
            #expect(count == LogLevel.off.rawValue - expected.rawValue)
        }
    }

    @Test("secrets are masked, URL-encoded in both cases of hexadecimal digits as well")
    func masking() async throws {
        try await Self.withFolder { folder in
            let log = OperationLog(directory: folder)
            log.masker.hide("pä/ss wort")
            log.masker.hide("  ")
            log.masker.hide(nil)
            log.write(.info, "raw pä/ss wort, p%C3%A4%2Fss+wort, p%c3%a4%2fss%20wort.")
            let text = try Self.text(folder)
            #expect(text.hasSuffix("INFO  raw ********, ********, ********.\n"))
        }
    }

    @Test("the first line of a day moves the file away; seven archives are kept")
    func rotation() async throws {
        try await Self.withFolder { folder in
            for day in 1...10 {
                let old = "2020-01-\(day < 10 ? "0" : "")\(day) 10:00:00.0000      1      1  INFO  day \(day)\n"
                try Data(old.utf8).write(to: URL(filePath: folder + "/OctopusTentacle.txt"))
                OperationLog(directory: folder).write(.info, "today")
                let current = try Self.text(folder)
                #expect(current.hasSuffix("today\n") && !current.contains("day \(day)"))
                #expect(try Self.text(folder, "OctopusTentacle.0.txt") == old)
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(names == (0...6).map { "OctopusTentacle.\($0).txt" } + ["OctopusTentacle.txt"])
            #expect(try Self.text(folder, "OctopusTentacle.6.txt").hasSuffix("day 4\n"))
        }
    }

    @Test("many processes write and rotate at once, and no line is lost or torn")
    func processes() async throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let folders = [CommandLine.arguments[0], own].map { URL(filePath: $0).deletingLastPathComponent().path }
        let paths = (folders + [FileManager.default.currentDirectoryPath + "/.build/debug"]).map { $0 + "/log-writer" }
        let writer = try #require(paths.first { FileManager.default.isExecutableFile(atPath: $0) })
        try await Self.withFolder { folder in
            let old = "2020-01-01 10:00:00.0000      1      1  INFO  old\n"
            try Data(old.utf8).write(to: URL(filePath: folder + "/OctopusTentacle.txt"))
            let (writers, lines) = (12, 200)
            try await withThrowingTaskGroup(of: Int32.self) { group in
                for number in 0..<writers {
                    group.addTask {
                        try await RunningProgram(writer, [folder, "writer\(number)", "\(lines)"]).exited()
                    }
                }
                for try await status in group { #expect(status == 0) }
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(names == ["OctopusTentacle.0.txt", "OctopusTentacle.txt"])
            let archive = try Self.text(folder, "OctopusTentacle.0.txt")
            #expect(archive.hasPrefix(old))
            let texts = (archive + (try Self.text(folder))).split(separator: "\n").map { line in
                line.firstRange(of: "  INFO  ").map { String(line[$0.upperBound...]) } ?? "torn: \(line)"
            }
            let expected = (0..<writers).flatMap { number in (0..<lines).map { "writer\(number) \($0)" } }
            #expect(texts.sorted() == (expected + ["old"]).sorted())
        }
    }

    enum Trap: String, CaseIterable {
        case link = "it is a link, which is not followed"
        case secondName = "it has a second name elsewhere"
        case pipe = "it is not a plain file"
        case folder = "Is a directory"
    }

    @Test("what leads out of the folder, or is no file, is not written to", arguments: Trap.allCases)
    func traps(trap: Trap) async throws {
        try await Self.withFolder { folder in
            let (logs, victim) = (folder + "/Logs", folder + "/victim")
            try FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
            try Data("untouched".utf8).write(to: URL(filePath: victim))
            let path = logs + "/OctopusTentacle.txt"
            switch trap {
            case .link: try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: victim)
            case .secondName: try FileManager.default.linkItem(atPath: victim, toPath: path)
            case .pipe: #expect(mkfifo(path, 0o600) == 0)
            case .folder: try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            }
            let watched = Watched()
            let log = watched.log(logs)
            log.settle()
            log.write(.info, "line")
            log.write(.info, "another")
            #expect(try Self.text(folder, "victim") == "untouched")
            let warnings = watched.warnings.withLock { $0 }
            #expect(warnings.count == 1)
            #expect(warnings.first?.hasPrefix("The log file '\(path)' cannot be written: ") == true)
            #expect(warnings.first?.contains(trap.rawValue) == true)
            #expect(log.directories == [])
        }
    }

    @Test("only a folder that stays is complained about, once")
    func unwritable() async throws {
        try await Self.withFolder { folder in
            try Data().write(to: URL(filePath: folder + "/file"))
            let watched = Watched()
            let moved = watched.log(folder + "/file/Logs")
            moved.write(.info, "lost")
            moved.move(to: folder + "/Logs")
            moved.settle()
            #expect(watched.warnings.withLock { $0 } == [])
            let text = try Self.text(folder + "/Logs")
            #expect(text.contains("  INFO  Changed log folder from \(folder)/file/Logs to \(folder)/Logs\n"))
            #expect(text.contains("  INFO  \(String(repeating: "=", count: 80))\n"))

            let stuck = watched.log(folder + "/file/Logs")
            stuck.write(.info, "lost")
            #expect(watched.warnings.withLock { $0 } == [])
            stuck.settle()
            stuck.write(.info, "lost, too")
            #expect(watched.warnings.withLock { $0 }.count == 1)
        }
    }

    @Test("a file that is moved away or deleted is begun again")
    func moved() async throws {
        try await Self.withFolder { folder in
            let log = OperationLog(directory: folder + "/Logs")
            log.write(.info, "one")
            try FileManager.default.removeItem(atPath: folder + "/Logs")
            log.write(.info, "two")
            #expect(try Self.text(folder + "/Logs").hasSuffix("  two\n"))
        }
    }

    @Test(
        "what root writes for another user's agent is that user's, and their links are not followed",
        .enabled(if: geteuid() == 0, "needs root")
    )
    func owner() async throws {
        try await Self.withFolder { folder in
            let home = folder + "/home"
            try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
            #expect(chown(home, 12345, 12346) == 0)
            OperationLog(directory: home + "/Logs").write(.info, "line")
            for name in ["Logs", "Logs/OctopusTentacle.txt"] {
                let facts = try FileManager.default.attributesOfItem(atPath: "\(home)/\(name)")
                #expect(facts[.ownerAccountID] as? Int == 12345 && facts[.groupOwnerAccountID] as? Int == 12346)
            }
            try FileManager.default.removeItem(atPath: home + "/Logs")
            try FileManager.default.createDirectory(atPath: folder + "/elsewhere", withIntermediateDirectories: true)
            #expect(symlink(folder + "/elsewhere", home + "/Logs") == 0)
            #expect(lchown(home + "/Logs", 12345, 12346) == 0)
            let watched = Watched()
            let log = watched.log(home + "/Logs")
            log.settle()
            log.write(.info, "line")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/elsewhere") == [])
            #expect(watched.warnings.withLock { $0 }.first?.contains("a link that belongs to another user") == true)
            // One that root laid leads to another disk, say.
            #expect(lchown(home + "/Logs", 0, 0) == 0)
            log.write(.info, "line")
            #expect(try Self.text(folder + "/elsewhere").hasSuffix("line\n"))
        }
    }

    @Test("the block of diagnostics")
    func diagnostics() async throws {
        try await Self.withFolder { folder in
            let log = OperationLog(directory: folder)
            let host = HostFiles(environment: ["USER": "tester", "TMPDIR": "/tmp/x"], currentDirectory: "/here")
            let diagnostics = Diagnostics(host: host, programName: "Tentacle")
            diagnostics.write(to: log, instance: nil)
            diagnostics.write(to: log, instance: TentacleInstance(name: "A", configurationPath: "/a"))
            let text = try Self.text(folder)
            let version = ProductVersion.text
            #expect(text.contains("Tentacle version \(version) (\(version)) instance Default\n"))
            #expect(text.contains("Tentacle version \(version) (\(version)) instance A\n"))
            let lines = text.split(separator: "\n").drop { !$0.hasSuffix("Environment Information:") }.dropFirst()
            let names = lines.prefix(10).compactMap { $0.firstMatch(of: #/^  (\w+): ./#)?.1 }
            #expect(
                names == [
                    "OperatingSystem", "OsBitVersion", "Is64BitProcess", "CurrentUser", "MachineName", "ProcessorCount",
                    "CurrentDirectory", "TempDirectory", "HostProcessName", "PID",
                ]
            )
            #expect(text.contains("  CurrentUser: tester\n") && text.contains("  TempDirectory: /tmp/x\n"))
        }
    }

    @Test(
        "the folder before there is an instance",
        arguments: [
            (["DefaultLogDirectory": "/logs"], "/logs"), (["DefaultLogDirectory": "logs"], "/here/logs"),
            (["XDG_DATA_HOME": "/data"], "/data/Octopus/Logs"),
            (["XDG_DATA_HOME": "data"], "/home/me/.local/share/Octopus/Logs"),
            ([:], "/home/me/.local/share/Octopus/Logs"),
        ] as [([String: String], String)]
    )
    func directory(environment: [String: String], expected: String) {
        var host = HostFiles(environment: environment, currentDirectory: "/here")
        host.userDirectory = "/home/me"
        #expect(host.defaultLogDirectory == expected)
    }
}
