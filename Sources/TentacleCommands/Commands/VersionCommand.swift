import AgentConfiguration

package struct VersionCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "version",
        summary: "Show the Tentacle version information",
        options: [CommonOptions.format]
    )

    private let format: OutputFormat

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.format = try OutputFormat(options)
    }

    package func run(_ context: CommandContext) {
        switch self.format {
        case .text: context.console.write(ProductVersion.text)
        case .json:
            context.console.write(
                OrderedJSON.object([
                    .init("InformationalVersion", .string(ProductVersion.text)),
                    .init("MajorMinorPatch", .string(ProductVersion.text)),
                    .init("NuGetVersion", .string(ProductVersion.text)),
                    .init("SourceBranchName", .string("main")),
                    .init("IsPrerelease", .bool(false)),
                ]).indented
            )
        }
    }
}

/// `--format` of the commands that know two.
enum OutputFormat: String, CaseIterable, Sendable {
    case text
    case json

    static var names: [String] { Self.allCases.map(\.rawValue) }

    init(_ options: ParsedOptions) throws(CommandError) {
        let value = options.text("format") ?? "text"
        guard let format = Self(rawValue: value.lowercased()) else {
            throw CommandError("The format '\(value)' is not supported. Try text or json.")
        }
        self = format
    }
}
