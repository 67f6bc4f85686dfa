package import AgentConfiguration
import Glibc

/// What support wants to know first, written into the log file at each start (spec tentacle-cli.md 9.3).
package struct Diagnostics: Sendable {
    private let host: HostFiles
    private let programName: String

    package init(host: HostFiles, programName: String) {
        self.host = host
        self.programName = programName
    }

    package func write(to log: OperationLog, instance: TentacleInstance?) {
        let version = ProductVersion.text
        log.write(.info, "Tentacle version \(version) (\(version)) instance \(instance?.name ?? "Default")")
        log.write(.info, (["Environment Information:"] + self.facts.map { "  \($0): \($1)" }).joined(separator: "\n"))
    }

    private var facts: [(String, String)] {
        var names = utsname()
        uname(&names)
        let system = "\(Self.text(&names.sysname)) \(Self.text(&names.release)) \(Self.text(&names.version))"
        let isWide = MemoryLayout<Int>.size == 8
        return [
            ("OperatingSystem", system),
            ("OsBitVersion", isWide ? "x64" : "x86"),
            ("Is64BitProcess", isWide ? "True" : "False"),
            ("CurrentUser", self.host.userName),
            ("MachineName", Self.text(&names.nodename)),
            ("ProcessorCount", "\(sysconf(CInt(_SC_NPROCESSORS_ONLN)))"),
            ("CurrentDirectory", self.host.currentDirectory),
            ("TempDirectory", self.host.temporaryDirectory),
            ("HostProcessName", self.programName),
            ("PID", "\(getpid())"),
        ]
    }

    private static func text(_ field: inout some Any) -> String {
        withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
