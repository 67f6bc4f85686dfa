import AgentConfiguration

package struct ClearTrustedServersCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "clear-trusted-servers",
        summary: "Clears the list of trusted Octopus Servers",
        options: CommonOptions.instance + [
            OptionDefinition(
                "keep",
                help:
                    "Comma separated list of the addresses of the Octopus Servers to keep - e.g., https://octopus:10943"
            )
        ]
    )

    private let selector: InstanceSelector
    private let keep: String

    package init(_ options: ParsedOptions) {
        self.selector = options.selector
        self.keep = options.text("keep") ?? ""
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        let kept = try self.addresses()
        try TentacleConfiguration.update(instance.configurationPath, host: context.host) { configuration in
            let servers = try configuration.trustedServers()
            // A server that dials us has no address, and so none that could be kept.
            let remaining = servers.filter { server in kept.contains { server.hasAddress($0) } }
            if remaining != servers { configuration.setTrustedServers(remaining) }
        }
    }

    /// Polled servers speak https, however somebody writes their addresses.
    private func addresses() throws(CommandError) -> [String] {
        var result: [String] = []
        for item in self.keep.split(separator: ",").map({ $0.drop(while: \.isWhitespace) }) where !item.isEmpty {
            let isPlain = item.lowercased().hasPrefix("http://")
            guard let address = NetworkAddress(isPlain ? "https" + item.dropFirst("http".count) : String(item)) else {
                throw CommandError(
                    .failure,
                    "The address '\(item)' of --keep is not valid. Give it with its scheme, e.g. https://octopus:10943"
                )
            }
            result.append(address.description)
        }
        return result
    }
}
