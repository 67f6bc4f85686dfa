import AgentConfiguration
import TentacleLog

/// A password or a key that a command takes from an option, a file, standard input or the environment.
///
/// Only the option is the stock agent's. Command lines can be seen by every user of the host, the others cannot.
struct SecretOption: Sendable {
    /// The canonical name of the option, and the spelling that messages use.
    var name: String
    var spelling: String
    var fileName: String
    /// Counts only when nothing else is given.
    var variable: SecretVariable
    /// What it is, in messages.
    var noun = "password"
    /// Keys have no blanks: those that copying leaves around them are dropped.
    var hasBlanks = true

    /// The canonical name of the option is not the same in both commands that have it.
    static func archivePassword(name: String = "pfx-password") -> SecretOption {
        SecretOption(
            name: name,
            spelling: "pfx-password",
            fileName: "pfx-password-file",
            variable: .archivePassword
        )
    }

    static let proxyPassword = SecretOption(
        name: "proxyPassword",
        spelling: "proxyPassword",
        fileName: "proxyPassword-file",
        variable: .proxyPassword
    )

    /// What to write behind an option's help.
    var advice: String {
        "Better given by --\(self.fileName) or the environment variable \(self.variable.rawValue): command lines can be seen by "
            + "every user of the host"
    }

    var fileDefinition: OptionDefinition {
        OptionDefinition(
            self.fileName,
            help: "File that holds the \(self.noun) and nothing else; - for standard input"
        )
    }

    /// On the command line, as itself or as a file; a blank one counts as not given.
    func isGiven(_ options: ParsedOptions) -> Bool {
        options.text(self.name) != nil || options.text(self.fileName) != nil
    }

    /// Nil when the password is given in none of the ways.
    func value(_ options: ParsedOptions, _ context: CommandContext) throws -> String? {
        guard let file = options.text(self.fileName) else {
            return options.rawText(self.name) ?? context.host.variable(self.variable)
        }
        guard !options.isSet(self.name) else {
            throw CommandError("Please specify a --\(self.spelling), or a --\(self.fileName) - not both.")
        }
        let secret: String
        do throws(ConfigurationError) {
            secret = self.content(try SecretFile.read(file, context))
        } catch {
            throw CommandError(
                "\(error.message) Give the file that holds the \(self.noun) and nothing else as --\(self.fileName)."
            )
        }
        guard !secret.isEmpty else { throw CommandError("The \(self.noun) file '\(file)' is empty.") }
        return secret
    }

    private func content(_ text: String) -> String {
        self.hasBlanks ? Self.firstLine(text) : text.filter { !$0.isWhitespace && $0 != "\u{FEFF}" }
    }

    /// Without the line end and the byte-order mark that editors leave.
    private static func firstLine(_ text: String) -> String {
        var text = text[...]
        if text.first == "\u{FEFF}" { text.removeFirst() }
        if text.last?.isNewline == true { text.removeLast() }
        return String(text)
    }
}

/// Files with a secret in them; `-` is standard input.
enum SecretFile {
    static func read(_ name: String, _ context: CommandContext) throws(ConfigurationError) -> String {
        let bytes =
            try name == "-" ? context.readStandardInput() : DurableFile.read(context.host.absolute(name))
        let text = String(decoding: bytes, as: UTF8.self)
        let secret = text.drop { $0.isWhitespace || $0 == "\u{FEFF}" }
        let end = secret.lastIndex { !$0.isWhitespace }
        context.console.log.masker.hide(end.map { String(secret[...$0]) })
        return text
    }
}
