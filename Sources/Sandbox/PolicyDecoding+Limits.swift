/// The table `[limits]`.
extension PolicyDecoding {
    mutating func readLimits(_ table: TOMLTable) {
        for entry in table.entries {
            switch entry.key {
            case "memory": policy.limits.memory = amount(entry, policy.limits.memory, isNoLimitAtZero: true)
            case "swap": policy.limits.swap = amount(entry, policy.limits.swap, isNoLimitAtZero: false)
            case "processes": policy.limits.processes = count(entry, policy.limits.processes, 1...4_194_304)
            case "cpu": readCPU(entry)
            case "cpu-weight": policy.limits.cpuWeight = weight(entry, policy.limits.cpuWeight)
            case "io-weight": policy.limits.ioWeight = weight(entry, policy.limits.ioWeight)
            // A hundred years.
            case "time": policy.limits.timeSeconds = count(entry, policy.limits.timeSeconds, 1...3_162_240_000)
            case "workspace": policy.limits.workspaceBytes = size(entry, policy.limits.workspaceBytes, from: 1)
            // What a program has open before it begins, and more than the kernel allows.
            case "open-files": policy.limits.openFiles = count(entry, policy.limits.openFiles, 16...1_073_741_824)
            case "file-size": policy.limits.fileBytes = size(entry, policy.limits.fileBytes, from: 0)
            case "core-size": policy.limits.coreBytes = size(entry, policy.limits.coreBytes, from: 0)
            case "address-space":
                policy.limits.addressSpaceBytes =
                    size(entry, policy.limits.addressSpaceBytes, from: Self.minimumMemoryBytes)
            case "locked-memory": policy.limits.lockedBytes = size(entry, policy.limits.lockedBytes, from: 0)
            default:
                reader.unknown(
                    entry,
                    in: " in [limits]",
                    known:
                        "memory, swap, processes, cpu, cpu-weight, io-weight, time, workspace, open-files, file-size, "
                        + "core-size, address-space and locked-memory"
                )
            }
        }
    }

    /// No program begins with less.
    private static let minimumMemoryBytes: Int64 = 1 << 20
    private static let unlimited = "or \"unlimited\""

    private static func isUnlimited(_ entry: TOMLEntry) -> Bool {
        if case .string("unlimited") = entry.value.kind { true } else { false }
    }

    private mutating func count(_ entry: TOMLEntry, _ former: Int64?, _ range: ClosedRange<Int64>) -> Int64? {
        switch entry.value.kind {
        case .string("unlimited"), .integer(0): return nil
        case .integer(let number) where range.contains(number): return number
        default:
            reader.refuse(entry, "a number from \(range.lowerBound) to \(range.upperBound), or 0 for no limit")
            return former
        }
    }

    private mutating func weight(_ entry: TOMLEntry, _ former: Int64?) -> Int64? {
        if Self.isUnlimited(entry) { return nil }
        return reader.integer(entry, 1...10_000, "a number from 1 to 10000 (others have 100)") ?? former
    }

    /// Below `minimum`, 0 is no limit.
    private mutating func size(_ entry: TOMLEntry, _ former: Int64?, from minimum: Int64) -> Int64? {
        if Self.isUnlimited(entry) { return nil }
        guard let bytes = Self.bytes(entry), bytes == 0 || bytes >= minimum else {
            refuseSize(entry, isNoLimitAtZero: minimum > 0, percent: "")
            return former
        }
        return bytes == 0 && minimum > 0 ? nil : bytes
    }

    private static func bytes(_ entry: TOMLEntry) -> Int64? {
        switch entry.value.kind {
        case .integer(let number) where number >= 0: number
        case .string(let text): ByteSize.parse(text)
        default: nil
        }
    }

    private mutating func refuseSize(_ entry: TOMLEntry, isNoLimitAtZero: Bool, percent: String) {
        let least = isNoLimitAtZero && entry.key != "workspace" ? "from 1M on" : "of bytes"
        let none = isNoLimitAtZero ? "or 0 for no limit" : Self.unlimited
        reader.refuse(entry, "a size \(least) like 4096 or \"512M\" (K, M, G or T), \(percent)\(none)")
    }

    private mutating func amount(
        _ entry: TOMLEntry,
        _ former: SandboxPolicy.Limits.Amount?,
        isNoLimitAtZero: Bool
    ) -> SandboxPolicy.Limits.Amount? {
        if Self.isUnlimited(entry) { return nil }
        if let percent = Self.percent(entry), (1...100).contains(percent) { return .percent(percent) }
        let minimum = isNoLimitAtZero ? Self.minimumMemoryBytes : 0
        guard let bytes = Self.bytes(entry), bytes == 0 || bytes >= minimum else {
            refuseSize(entry, isNoLimitAtZero: isNoLimitAtZero, percent: "\"1%\" to \"100%\" of the machine's, ")
            return former
        }
        return bytes == 0 && isNoLimitAtZero ? nil : .bytes(bytes)
    }

    private mutating func readCPU(_ entry: TOMLEntry) {
        if Self.isUnlimited(entry) {
            policy.limits.cpuPercent = nil
            return
        }
        guard let percent = Self.percent(entry), (1...Self.maximumCPUPercent).contains(percent) else {
            return reader.refuse(
                entry,
                "a part of one CPU from \"1%\" to \"\(Self.maximumCPUPercent)%\", \(Self.unlimited)"
            )
        }
        policy.limits.cpuPercent = percent
    }

    /// A thousand CPUs.
    private static let maximumCPUPercent: Int64 = 100_000

    private static func percent(_ entry: TOMLEntry) -> Int64? {
        guard case .string(let text) = entry.value.kind, text.utf8.last == UInt8(ascii: "%") else { return nil }
        var number: Int64 = 0
        let digits = text.utf8.dropLast()
        guard (1...9).contains(digits.count) else { return nil }
        for byte in digits {
            guard (0x30...0x39).contains(byte) else { return nil }
            number = number * 10 + Int64(byte - 0x30)
        }
        return number
    }
}
