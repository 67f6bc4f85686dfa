/// Environment variables that hold a secret of this product's programs: hidden in logs, and taken from scripts.
package enum SecretVariable: String, CaseIterable, Sendable {
    case apiKey = "OCTOPUS_API_KEY"
    /// The variable is that of Octopus Deploy's own command line.
    case bearerToken = "OCTOPUS_ACCESS_TOKEN"
    case password = "OCTOPUS_PASSWORD"
    case archivePassword = "TENTACLE_PFX_PASSWORD"
    case proxyPassword = "TENTACLE_PROXY_PASSWORD"
    case servicePassword = "OCTOPUS_SERVICE_PASSWORD"
    // In front of the configuration file: see `EnvironmentSettings`.
    case settingProxyPassword = "OCTOPUS_PROXY_PASSWORD"
    case settingCertificate = "TENTACLE_CERTIFICATE"
    case settingPollingProxyPassword = "TENTACLE_POLLING_CUSTOM_PROXY_PASSWORD"
}

extension HostFiles {
    package func variable(_ variable: SecretVariable) -> String? { self.variable(variable.rawValue) }
}
