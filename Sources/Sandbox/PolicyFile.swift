/// A sandbox policy as a TOML file.
///
///     description, base, require
///     [processes] [identity] [files] [system-calls] [network] [limits]
///
/// What a file does not say is as in its base, one of the three profiles; lists of paths, ports and system calls add to
/// the base's.
package enum PolicyFile {
    package static let maximumBytes = TOMLReader.maximumBytes

    /// The error has every problem there is.
    package static func policy(
        _ bytes: [UInt8],
        name: String,
        path: String
    ) throws(SettingsFileError) -> SandboxPolicy {
        let root: TOMLTable
        do throws(TOMLError) {
            root = try TOMLReader.read(bytes)
        } catch {
            throw SettingsFileError(path, line: error.line, error.text)
        }
        var decoding = PolicyDecoding(path: path)
        decoding.read(root, name: name)
        try decoding.reader.finish()
        return decoding.policy
    }
}
