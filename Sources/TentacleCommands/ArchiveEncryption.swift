import SecureTransport

/// `--pfx-encryption` of exports (spec tentacle-cli.md 8.2).
enum ArchiveEncryption {
    static let definition = OptionDefinition(
        "pfx-encryption",
        help: "How the exported pfx file is encrypted: aes256, or 3des for agents and servers that know no other. "
            + "Defaults to aes256.",
        choices: Self.names.map(\.0)
    )

    private static let names: [(String, TLSIdentity.PKCS12Encryption)] = [("aes256", .aes256), ("3des", .tripleDES)]

    static func check(_ options: ParsedOptions) throws(CommandError) {
        _ = try self.chosen(in: options)
        guard options.text(self.definition.name) == nil || options.text("export-pfx") != nil else {
            throw CommandError("Invalid command: --pfx-encryption can only be specified with --export-pfx")
        }
    }

    static func chosen(in options: ParsedOptions) throws(CommandError) -> TLSIdentity.PKCS12Encryption {
        guard let name = options.text(self.definition.name) else { return .aes256 }
        guard let (_, encryption) = self.names.first(where: { $0.0 == name.lowercased() }) else {
            throw CommandError("The pfx encryption '\(name)' is not supported. Try aes256 or 3des.")
        }
        return encryption
    }
}
