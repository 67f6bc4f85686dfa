import AgentConfiguration

/// The systemd unit that runs an instance, as far as files tell.
struct AgentUnit: Hashable {
    /// With its suffix; the one that would be installed when there is none.
    var name: String
    /// Nil when no unit of that name is there.
    var path: String?
    /// Who the agent runs as; nil when there is no unit, or it is root's by not saying so.
    var user: String?

    /// Looks for the unit of the stock name, then for those of the package.
    init(of instance: String?, _ host: HostFiles) {
        let stock = (instance.map { SystemdUnit.name(of: .instance($0)) } ?? SystemdUnit.unnamed) + ".service"
        var candidates = [(name: stock, file: stock)]
        if let instance {
            if instance == TentacleInstance.defaultName { candidates.append(("tentacle.service", "tentacle.service")) }
            candidates.append(("tentacle@\(Self.escaped(instance)).service", "tentacle@.service"))
        }
        for candidate in candidates {
            for directory in Self.directories {
                let path = host.wellKnown("\(directory)/\(candidate.file)")
                guard DurableFile.exists(path), let bytes = try? DurableFile.read(path) else { continue }
                self.name = candidate.name
                self.path = path
                self.user = Self.user(in: String(decoding: bytes, as: UTF8.self))
                return
            }
        }
        self.name = stock
    }

    static let directories = [
        "/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
    ]

    /// As `systemd-escape` does it for the part of a name behind `@`.
    static func escaped(_ text: String) -> String {
        var result = ""
        for (index, byte) in text.utf8.enumerated() {
            switch byte {
            case UInt8(ascii: "/"): result += "-"
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: ":"), UInt8(ascii: "_"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            case UInt8(ascii: ".") where index > 0: result += "."
            default:
                let digits = String(byte, radix: 16)
                result += "\\x" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return result
    }

    private static func user(in text: String) -> String? {
        text.split(separator: "\n").last { $0.hasPrefix("User=") }.map { String($0.dropFirst("User=".count)) }
            .flatMap { $0.isEmpty ? nil : $0 }
    }
}
