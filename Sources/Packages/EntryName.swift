/// Names of archive entries (spec deployment-steps.md, extraction rules): pure functions, no file is looked at.
package enum EntryName {
    /// No file system takes longer ones.
    static let maximumBytes = 4096

    /// The parts of the path below the destination; empty for the destination itself.
    ///
    /// Backslashes separate, too: archives made on old Windows programs have them, and a file whose name holds one is
    /// never meant. `a/../b` is fine as long as it stays inside.
    /// - Throws: `PackageError` for a name that leads outside.
    package static func parts(of name: String, extractingTo directory: String) throws(PackageError) -> [String] {
        guard !name.isEmpty, name.utf8.count <= Self.maximumBytes, !name.utf8.contains(0) else {
            throw PackageError(.malicious, "The archive has an entry without a usable name. It may be malicious.")
        }
        let separators: (Character) -> Bool = { $0 == "/" || $0 == "\\" }
        var parts: [String] = []
        var isOutside = name.first.map(separators) ?? false
        for part in name.split(whereSeparator: separators) where part != "." {
            if part != ".." {
                parts.append(String(part))
            } else if parts.popLast() == nil {
                isOutside = true
            }
        }
        guard !isOutside else {
            let target = name.hasPrefix("/") ? name : "\(directory)/\(name)"
            throw PackageError(
                .malicious,
                "Archive entry '\(name)' would extract to '\(target)', which is outside the intended extraction "
                    + "directory '\(directory)'. The archive may be malicious."
            )
        }
        return parts
    }

    /// What describes a NuGet package and is no part of its content.
    package static func isPackagingOfNuGet(_ name: String) -> Bool {
        let name = name.replacing("\\", with: "/").lowercased()
        return name.hasPrefix("_rels/") || name.hasPrefix("package/services/metadata/")
            || name.hasPrefix("[content_types].xml") || name.hasSuffix(".nuspec") || name.hasSuffix(".nupkg.sha512")
    }

    /// `%20` and its like as they are meant; what is no such triple stays.
    package static func percentDecoded(_ name: String) -> String {
        guard name.utf8.contains(UInt8(ascii: "%")) else { return name }
        let bytes = Array(name.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let high = Character(Unicode.Scalar(bytes[index + 1])).hexDigitValue,
                let low = Character(Unicode.Scalar(bytes[index + 2])).hexDigitValue
            {
                result.append(UInt8(high * 16 + low))
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
