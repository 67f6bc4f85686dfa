internal import Glibc

/// The check before a workspace or an upload is made (tentacle-services.md 11).
package struct DiskSpaceCheck: Sendable {
    /// 500 MiB, a tenth more, and 1 MiB: what a workspace needs.
    package static let workspaceBytes: UInt64 = 577_765_376

    /// Bytes free for this user on the file system of a directory; nil when that cannot be told.
    ///
    /// Tests give their own.
    package var freeBytes: @Sendable (_ directory: String) -> UInt64?

    package init(freeBytes: @escaping @Sendable (String) -> UInt64? = DiskSpaceCheck.freeBytes(in:)) {
        self.freeBytes = freeBytes
    }

    package static func freeBytes(in directory: String) -> UInt64? {
        var facts = statvfs()
        guard unsafe statvfs(directory, &facts) == 0 else { return nil }
        return UInt64(facts.f_bavail) * UInt64(facts.f_frsize)
    }

    /// The kernel's name for this machine; Foundation's `hostName` asks the name service, for seconds.
    static var machineName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// An upload of this length needs a tenth more and 1 MiB.
    package static func uploadBytes(length: Int64) -> UInt64 {
        let length = UInt64(max(0, length))
        return length + length / 10 + 1 << 20
    }

    package func require(_ needed: UInt64, in directory: String) throws {
        guard let free = freeBytes(directory) ?? freeBytes("/"), free < needed else { return }
        throw ScriptExecutionError(
            .diskFull,
            """
            The drive '\(directory)' containing the directory '\(directory)' on machine \
            '\(Self.machineName)' does not have enough free disk space available for this operation \
            to proceed. The disk only has \(Self.text(free)) available; please free up at least \(Self.text(needed)).
            """
        )
    }

    /// `551 MB`, `1.434 GB`: by 1024, up to three decimals.
    package static func text(_ bytes: UInt64) -> String {
        let units = ["B", "KB", "MB", "GB", "TB", "PB"]
        var unit = 0
        var divisor: UInt64 = 1
        while unit < units.count - 1, bytes / divisor >= 1024 {
            divisor *= 1024
            unit += 1
        }
        // Thousandths, rounded half up.
        let whole = bytes / divisor
        var thousandths = ((bytes % divisor) * 2000 / divisor + 1) / 2
        let carry = thousandths / 1000
        thousandths %= 1000
        var text = String(whole + carry)
        if thousandths > 0 {
            var digits = String(thousandths)
            digits = String(repeating: "0", count: 3 - digits.count) + digits
            while digits.hasSuffix("0") { digits.removeLast() }
            text += "." + digits
        }
        return text + " " + units[unit]
    }
}
