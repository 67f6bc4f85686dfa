/// The name of a .NET class as it stands in `$type`: `Full.Type.Name, Assembly` (halibut.md 6.4).
///
/// Version, culture and key of the assembly are dropped on read. Twelve old contracts are written under the name they
/// had in `Octopus.Shared` and accepted under their present name, too (tentacle-services.md 2.2).
package struct WireTypeName: Hashable, Sendable, CustomStringConvertible {
    /// Namespace and class; nested classes with `+`.
    package var fullName: String
    /// The simple name of the assembly; empty when the text had none.
    package var assembly: String

    package init(fullName: String, assembly: String) {
        self.fullName = fullName
        self.assembly = assembly
    }

    /// Reads a name as a peer wrote it.
    package init(_ text: String) {
        // The comma that ends the class name is the first one outside the brackets of generic arguments.
        var depth = 0
        let comma = text.firstIndex { character in
            switch character {
            case "[": depth += 1
            case "]": depth -= 1
            default: break
            }
            return character == "," && depth == 0
        }
        guard let comma else {
            self.init(fullName: text.trimmingSpaces(), assembly: "")
            return
        }
        let rest = text[text.index(after: comma)...]
        self.init(
            fullName: text[..<comma].trimmingSpaces(),
            assembly: rest.prefix { $0 != "," }.trimmingSpaces()
        )
    }

    package var description: String { self.assembly.isEmpty ? self.fullName : "\(self.fullName), \(self.assembly)" }

    /// The name under which this class is written: the legacy name for the twelve remapped contracts, else itself.
    package var written: WireTypeName {
        guard self.assembly == Self.presentAssembly, let short = self.shortName(in: Self.presentAssembly),
            Self.legacyShortNames.contains(short)
        else { return self }
        return WireTypeName(fullName: "\(Self.legacyNamespace).\(short)", assembly: Self.legacyAssembly)
    }

    /// Every name under which this class is accepted, the written one first.
    package var accepted: [WireTypeName] {
        let written = self.written
        guard written.assembly == Self.legacyAssembly, let short = written.shortName(in: Self.legacyNamespace),
            Self.legacyShortNames.contains(short)
        else { return [written] }
        return [
            written,
            WireTypeName(fullName: "\(Self.presentAssembly).\(short)", assembly: Self.presentAssembly),
        ]
    }

    /// Whether both names stand for the same class.
    package func isSameClass(as other: WireTypeName) -> Bool { self.written == other.written }

    private func shortName(in namespace: String) -> String? {
        guard self.fullName.hasPrefix("\(namespace).") else { return nil }
        return String(self.fullName.dropFirst(namespace.count + 1))
    }

    private static let presentAssembly = "Octopus.Tentacle.Contracts"
    private static let legacyNamespace = "Octopus.Shared.Contracts"
    private static let legacyAssembly = "Octopus.Shared"
    private static let legacyShortNames: Set<String> = [
        "CancelScriptCommand", "CompleteScriptCommand", "IFileTransferService", "IScriptService", "ScriptFile",
        "ScriptIsolationLevel", "ScriptStatusRequest", "ScriptStatusResponse", "ScriptTicket", "ScriptType",
        "StartScriptCommand", "UploadResult",
    ]
}

extension StringProtocol {
    fileprivate func trimmingSpaces() -> String {
        let trimmed = self.drop { $0 == " " }
        guard let last = trimmed.lastIndex(where: { $0 != " " }) else { return "" }
        return String(trimmed[...last])
    }
}
