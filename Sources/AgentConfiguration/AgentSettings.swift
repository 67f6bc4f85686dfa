package import SecureTransport

/// How outgoing connections leave this host (spec tentacle-cli.md 11.2).
package enum ProxySettings: Hashable, Sendable {
    /// What the environment says for REST calls; direct for polling connections.
    case systemDefault
    case direct
    case custom(host: String, port: Int, username: String?, password: String?)

    package static let defaultPort = 80

    /// That of a proxy of our own choice.
    package var password: String? {
        guard case .custom(_, _, _, let password) = self else { return nil }
        return password
    }
}

/// Everything the daemon wants to know of one instance, checked, as plain values.
package struct AgentSettings: Sendable {
    package static let defaultPort = 10933
    package static let defaultApplicationDirectory = "/home/Octopus/Applications"
    package static let defaultPollingConnectionCount = 1
    package static let pollingConnectionCounts = 1...512

    package var instance: TentacleInstance
    package var homeDirectory: String?
    package var applicationDirectory: String
    /// Nil when the instance has no certificate yet.
    package var identity: TLSIdentity?
    /// Set while the certificate is being changed.
    package var overlap: CertificateOverlap?
    package var port: Int
    /// Literal address to bind; nil for every address of the host.
    package var listenAddress: String?
    package var noListen: Bool
    package var trustedServers: [TrustedServer]
    /// As configured, nil when never set; see `effectivePollingConnectionCount`.
    package var pollingConnectionCount: Int?
    /// Handed to scripts, and used for REST calls of a listening agent.
    package var proxy: ProxySettings
    /// Between the agent and the servers that it polls.
    package var pollingProxy: ProxySettings
    /// The policy that scripts are to run under; nil leaves the choice to the machine.
    package var sandboxPolicy: String?
    /// What did not come from the file.
    package var environment: EnvironmentSettings

    /// The number of connections to each polled server: environment over file, inside the limits (spec 15.2).
    package func effectivePollingConnectionCount(host: HostFiles) -> Int {
        let wanted =
            host.variable("TentaclePollingConnectionCount").flatMap { UInt32($0) }.map(Int.init)
            ?? self.pollingConnectionCount ?? Self.defaultPollingConnectionCount
        return min(max(wanted, Self.pollingConnectionCounts.lowerBound), Self.pollingConnectionCounts.upperBound)
    }

    /// Selects the instance, reads its file and checks its values.
    package static func load(_ selector: InstanceSelector, host: HostFiles) throws -> AgentSettings {
        let instance = try InstanceRegistry(host: host).select(selector)
        let configuration = try TentacleConfiguration.effective(from: instance.configurationPath, host: host)
        return try configuration.settings(of: instance)
    }
}

extension TentacleConfiguration {
    package func settings(of instance: TentacleInstance) throws -> AgentSettings {
        AgentSettings(
            instance: instance,
            homeDirectory: self.homeDirectory,
            applicationDirectory: self.applicationDirectory,
            identity: try self.identity(),
            overlap: try self.overlap(),
            port: try self.integer(.port) ?? AgentSettings.defaultPort,
            listenAddress: self.text(.listenAddress),
            noListen: try self.boolean(.noListen) ?? false,
            trustedServers: try self.trustedServers(),
            pollingConnectionCount: try self.integer(.pollingConnectionCount),
            proxy: try self.proxy(),
            pollingProxy: try self.pollingProxy(),
            sandboxPolicy: self.text(.sandboxPolicy),
            environment: self.environment
        )
    }

    package var applicationDirectory: String {
        self.text(.applicationDirectory) ?? AgentSettings.defaultApplicationDirectory
    }

    package func proxy() throws(ConfigurationError) -> ProxySettings {
        if try self.boolean(.proxyUseDefault) ?? true { return .systemDefault }
        guard let host = self.text(.proxyHost) else { return .direct }
        return .custom(
            host: host,
            port: try self.integer(.proxyPort) ?? ProxySettings.defaultPort,
            username: self.text(.proxyUsername),
            password: try self.secret(.proxyPassword)
        )
    }

    package func pollingProxy() throws(ConfigurationError) -> ProxySettings {
        if try self.boolean(.pollingProxyUseDefault) ?? true { return .systemDefault }
        guard let host = self.text(.pollingProxyHost) else { return .direct }
        return .custom(
            host: host,
            port: try self.integer(.pollingProxyPort) ?? ProxySettings.defaultPort,
            username: self.text(.pollingProxyUsername),
            password: try self.secret(.pollingProxyPassword)
        )
    }
}
