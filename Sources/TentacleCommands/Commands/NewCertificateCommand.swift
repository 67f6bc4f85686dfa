import AgentConfiguration
import FoundationEssentials
import SecureTransport

package struct NewCertificateCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "new-certificate",
        summary: "Creates and installs a new certificate for this Tentacle",
        options: CommonOptions.instance + [
            OptionDefinition(
                "if-blank",
                "b",
                kind: .flag,
                help: "Generates a new certificate only if there is none"
            ),
            OptionDefinition(
                "export-file",
                "e",
                help:
                    "DEPRECATED: Exports a new certificate to the specified file as unprotected base64 text, but does not save "
                    + "it to the Tentacle configuration; for use with the import-certificate command"
            ),
            OptionDefinition(
                "export-pfx",
                help:
                    "Exports the new certificate to the specified file as a password protected pfx, but does not save it to the "
                    + "Tentacle configuration; for use with the import-certificate command"
            ),
            OptionDefinition(
                "pfx-password",
                help: "The password to use for the exported pfx file. \(Self.password.advice)",
                isSensitive: true
            ),
            Self.password.fileDefinition,
            ArchiveEncryption.definition,
        ] + CertificateChange.options
    )

    private static let password = SecretOption.archivePassword()

    private let selector: InstanceSelector
    private let options: ParsedOptions
    private let onlyIfBlank: Bool
    private let exportFile: String?
    private let exportArchive: String?

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.selector = options.selector
        self.options = options
        self.onlyIfBlank = options.isSet("if-blank")
        self.exportFile = options.text("export-file")
        self.exportArchive = options.text("export-pfx")
    }

    package func run(_ context: CommandContext) throws {
        try self.validate()
        let change = try CertificateChange(self.options)
        let instance = try context.instance(self.selector)
        if let change { return try change.run(instance, context) }
        if let file = self.exportFile ?? self.exportArchive { return try self.export(to: file, context) }
        if self.onlyIfBlank, try context.configuration(of: instance).thumbprint != nil {
            return context.console.info("A certificate already exists, no changes will be applied.")
        }
        let identity = try TLSIdentity.generate()
        let wasStored = try TentacleConfiguration.update(instance.configurationPath, host: context.host) {
            configuration in
            // Somebody else may have made one meanwhile.
            if self.onlyIfBlank, configuration.thumbprint != nil { return false }
            try CertificateChange.refuse(during: configuration)
            try configuration.setIdentity(identity)
            return true
        }
        guard wasStored else {
            return context.console.info("A certificate already exists, no changes will be applied.")
        }
        context.console.info("A new certificate has been generated and installed. Thumbprint:")
        context.console.info(identity.thumbprint.description)
        context.remindOfRestart(instance)
    }

    private func validate() throws(CommandError) {
        for (option, value) in [("--export-file", self.exportFile), ("--export-pfx", self.exportArchive)]
        where self.onlyIfBlank && value != nil {
            throw CommandError("Invalid command: --if-blank and \(option) cannot be specified together")
        }
        try ArchiveEncryption.check(self.options)
        if self.exportFile != nil, self.exportArchive != nil {
            throw CommandError("Invalid command: --export-file and --export-pfx cannot be specified together")
        }
    }

    private func export(to file: String, _ context: CommandContext) throws {
        let password = try Self.password.value(self.options, context) ?? ""
        let identity = try TLSIdentity.generate()
        let path = context.host.absolute(file)
        let bytes: [UInt8]
        if self.exportArchive != nil {
            bytes = try identity.pkcs12(password: password, encryption: ArchiveEncryption.chosen(in: self.options))
        } else {
            let text = Data(try identity.pkcs12(password: "")).base64EncodedString()
            bytes = [0xEF, 0xBB, 0xBF] + Array(text.utf8)
        }
        try DurableFile.write(bytes, to: path, mode: TentacleConfiguration.fileMode)
        context.console.info("A new certificate has been generated and written to \(file). Thumbprint:")
        context.console.info(identity.thumbprint.description)
    }
}
