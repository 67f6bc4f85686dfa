/// The tables `[system-calls]` and `[network]`.
extension PolicyDecoding {
    mutating func readSystemCalls(_ table: TOMLTable) {
        for entry in table.entries {
            switch entry.key {
            case "filter":
                if case .string(let text) = entry.value.kind,
                    let filter = SandboxPolicy.SystemCalls.Filter(rawValue: text)
                {
                    policy.systemCalls.filter = filter
                } else {
                    reader.refuse(entry, "\"none\", \"standard\" or \"strict\"")
                }
            case "allow": policy.systemCalls.allowed = calls(entry, policy.systemCalls.allowed)
            case "deny": policy.systemCalls.denied = calls(entry, policy.systemCalls.denied)
            case "foreign-architectures":
                policy.systemCalls.foreignArchitectures =
                    reader.boolean(entry, policy.systemCalls.foreignArchitectures)
            default:
                reader.unknown(
                    entry,
                    in: " in [system-calls]",
                    known: "filter, allow, deny and foreign-architectures"
                )
            }
        }
    }

    /// Whether the kernel knows them is found out where the filter is made.
    private mutating func calls(_ entry: TOMLEntry, _ former: [String]) -> [String] {
        var list = former
        for element in reader.list(entry, of: "system calls' names") {
            guard Self.isSystemCall(element.text) else {
                let name = TOMLText.quoted(TOMLText.shortened(element.text))
                reader.refuse(
                    element.line,
                    "\(entry.key): \(name) is no system call's name, which has lower-case letters, digits and _"
                )
                continue
            }
            if !list.contains(element.text) { list.append(element.text) }
        }
        return list
    }

    private static func isSystemCall(_ name: String) -> Bool {
        guard (1...64).contains(name.utf8.count) else { return false }
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                continue
            default: return false
            }
        }
        return true
    }

    mutating func readNetwork(_ table: TOMLTable) {
        for entry in table.entries {
            switch entry.key {
            case "access":
                if case .string(let text) = entry.value.kind, let access = SandboxPolicy.Network.Access(rawValue: text)
                {
                    policy.network.access = access
                } else {
                    reader.refuse(entry, "\"host\", \"ports\" or \"none\"")
                }
            case "connect": reader.ports(entry, into: &policy.network.connect)
            case "listen": reader.ports(entry, into: &policy.network.listen)
            case "udp": policy.network.udp = reader.boolean(entry, policy.network.udp)
            case "abstract-sockets":
                policy.network.abstractSockets = reader.boolean(entry, policy.network.abstractSockets)
            default:
                reader.unknown(
                    entry,
                    in: " in [network]",
                    known: "access, connect, listen, udp and abstract-sockets"
                )
            }
        }
        checkNetwork(table)
    }

    /// Ports that would not be in force are somebody's mistake.
    private mutating func checkNetwork(_ table: TOMLTable) {
        guard policy.network.access != .ports else { return }
        for entry in table.entries {
            let isInVain =
                switch entry.key {
                case "connect": !policy.network.connect.isEmpty
                case "listen": !policy.network.listen.isEmpty
                case "udp": policy.network.udp && policy.network.access == .none
                default: false
                }
            guard isInVain else { continue }
            reader.refuse(
                entry.line,
                "\(entry.key) needs access = \"ports\"; with \"\(policy.network.access.rawValue)\" it has no effect"
            )
        }
    }
}
