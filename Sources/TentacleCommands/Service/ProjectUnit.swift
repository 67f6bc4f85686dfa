import AgentConfiguration

/// The hardened unit of this project for one instance, made from the template that the package has installed.
struct ProjectUnit {
    static let template = "tentacle@.service"
    static let socket = "tentacle-launcher.socket"
    /// Behind `--instance=` in the template.
    private static let placeholder = "--instance=%I"

    /// Who the agent runs as.
    let user: String
    private let lines: [String]
    private let path: String

    /// Nil where the units are not installed.
    init?(_ host: HostFiles) throws(CommandError) {
        guard let path = UnitFiles.path(of: Self.template, host), UnitFiles.path(of: Self.socket, host) != nil
        else { return nil }
        let bytes: [UInt8]
        do { bytes = try DurableFile.read(path) } catch { throw CommandError(error) }
        let text = String(decoding: bytes, as: UTF8.self)
        let unit = UnitText(text)
        guard bytes.count <= UnitText.maximumBytes, text.contains(Self.placeholder),
            let user = unit.value("User"), unit.value("ExecStart") != nil
        else {
            throw CommandError(
                "The unit '\(path)' is not the one of this project. Install the package again, or use --unit=stock."
            )
        }
        self.path = path
        self.user = user
        self.lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// Directories that the unit lets the agent write to.
    private var writable: [String] {
        let unit = UnitText(self.lines.joined(separator: "\n"))
        let paths = unit.values("ReadWritePaths").flatMap { UnitText.words($0) ?? [] }
            .map { $0.hasPrefix("-") || $0.hasPrefix("+") ? String($0.dropFirst()) : $0 }
        return paths + (unit.value("StateDirectory").map { ["/var/lib/\($0)"] } ?? [])
    }

    /// Why an agent in this unit would not see its files, which each process sees another version of.
    func problem(with paths: [String], _ host: HostFiles) -> String? {
        let hidden = ["/tmp", "/var/tmp", "/proc", "/sys", "/dev", "/run/user"]
        guard
            let path = paths.first(where: { path in
                hidden.contains { AgentAccess.contains($0, host.logical(path)) }
            })
        else { return nil }
        return "'\(path)' is where the service has files of its own"
    }

    func text(
        for selection: SystemdUnit.Selection,
        dependencies: [String],
        paths: [String],
        _ host: HostFiles
    ) -> String {
        let writable = self.writable
        let missing = paths.filter { path in !writable.contains { AgentAccess.contains($0, host.logical(path)) } }
        let name =
            switch selection {
            case .instance(let name): name
            case .configuration(let path): path
            }
        let readable = ReadableText.escapingControls(name)
        var result = ["# Written by 'tentacle service --install', from \(host.logical(self.path))."]
        for line in self.lines.drop(while: { $0.hasPrefix("#") }) {
            if line.hasPrefix("ExecStart=") {
                result.append(line.replacing(Self.placeholder, with: SystemdUnit.quoted(selection.argument)))
            } else if line.hasPrefix("Description=") {
                result.append(line.replacing("%I", with: readable.replacing("%", with: "%%")))
            } else if line.hasPrefix("After=") {
                result.append(([line] + dependencies).joined(separator: " "))
                if case .instance(let name) = selection {
                    // The package's own units for the same instance would ask for the same port.
                    result.append("Conflicts=" + PackagedUnit.names(of: name).joined(separator: " "))
                }
            } else {
                result.append(line)
                if line.hasPrefix("ReadWritePaths="), !missing.isEmpty {
                    let words = missing.map { SystemdUnit.quotedPath("-" + $0) }
                    result.append("ReadWritePaths=" + words.joined(separator: " "))
                }
            }
        }
        return result.joined(separator: "\n")
    }
}

/// Units that the package brings for an instance, in use or not.
enum PackagedUnit {
    static func names(of instance: String) -> [String] {
        let template = "tentacle@\(Self.escaped(instance)).service"
        return instance == TentacleInstance.defaultName ? ["tentacle.service", template] : [template]
    }

    /// The instance that the unit of that name runs; nil for a unit that is not of the package.
    static func instance(of unit: String) -> String? {
        if unit == "tentacle.service" { return TentacleInstance.defaultName }
        guard unit.hasPrefix("tentacle@"), unit.hasSuffix(".service") else { return nil }
        let name = Self.unescaped(unit.dropFirst("tentacle@".count).dropLast(".service".count))
        return name.flatMap { Self.names(of: $0).contains(unit) ? $0 : nil }
    }

    /// Nil for what is no text.
    private static func unescaped(_ text: Substring) -> String? {
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "x"),
                let code = UInt8(String(decoding: rest.dropFirst().prefix(2), as: UTF8.self), radix: 16)
            {
                result.append(code)
                rest = rest.dropFirst(3)
            } else {
                result.append(byte == UInt8(ascii: "-") ? UInt8(ascii: "/") : byte)
            }
        }
        return String(validating: result, as: UTF8.self)
    }

    /// As `systemd-escape` does it for the part of a name behind `@`.
    private static func escaped(_ text: String) -> String {
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
}
