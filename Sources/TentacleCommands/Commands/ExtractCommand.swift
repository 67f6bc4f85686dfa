import AgentConfiguration
import Packages

/// Unpacks the payload of a package (spec tentacle-cli.md 4.14).
package struct ExtractCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "extract",
        summary: "Extracts a NuGet package",
        options: [
            OptionDefinition("package", help: "Package file"),
            OptionDefinition("destination", help: "Destination directory"),
        ]
    )

    private static let attempts = 10
    private static let pause = Duration.seconds(5)

    private let package: String?
    private let destination: String?

    package init(_ options: ParsedOptions) {
        self.package = options.text("package")
        self.destination = options.text("destination")
    }

    package func run(_ context: CommandContext) throws {
        guard let package else {
            throw CommandError("Please specify the package to extract via the --package argument.")
        }
        let path = context.host.absolute(package)
        guard DurableFile.exists(path) else { throw CommandError("Package not found: \(path)") }
        context.console.info("Package: \(path)")
        guard let destination else {
            throw CommandError("Please specify the destination directory via the --destination argument.")
        }
        let directory = context.host.absolute(destination)
        context.console.info("Destination: \(directory)")
        try DurableFile.makeDirectory(directory)
        let files = try self.extract(path, to: directory, context)
        context.console.info("\(Self.grouped(files)) files extracted")
    }

    /// What may be over soon is tried again; a damaged package stays one.
    private func extract(_ path: String, to directory: String, _ context: CommandContext) throws -> Int {
        let extractor = PackageExtractor { context.console.info($0) }
        var attempt = 1
        while true {
            do throws(PackageError) {
                return try extractor.extract(path, to: directory)
            } catch {
                context.console.info("Failed to extract package to '\(directory)': \(error.message)")
                guard error.code == .file, attempt < Self.attempts else {
                    throw CommandError(error.code == .file ? .failure : .controlledFailure, error.message)
                }
                context.pause(Self.pause)
                attempt += 1
            }
        }
    }

    /// As people read it: `1,234,567`.
    private static func grouped(_ number: Int) -> String {
        let digits = Array("\(number)")
        return digits.enumerated().map { index, digit in
            index > 0 && (digits.count - index).isMultiple(of: 3) ? ",\(digit)" : "\(digit)"
        }.joined()
    }
}
