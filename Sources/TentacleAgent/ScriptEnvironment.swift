import AgentConfiguration
import SecureTransport

/// The variables that every script gets beside the agent's own environment (tentacle-services.md 7).
enum ScriptEnvironment {
    /// Only meant for the agent itself: a script must not notify its service manager or take its sockets.
    private static let agentOnly = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
        "JOURNAL_STREAM", "INVOCATION_ID",
    ]

    static func variables(
        for settings: AgentSettings,
        programPath: String,
        inherited: [String: String]
    )
        -> [String: String]
    {
        let home = settings.homeDirectory
        let programs = FilePathText.directory(of: programPath)
        var variables: [String: String?] = [
            "TentacleHome": home,
            "TentacleApplications": settings.applicationDirectory,
            "TentacleJournal": (home ?? ".") + "/DeploymentJournal.xml",
            "CalamariPackageRetentionJournalPath": (home ?? ".") + "/PackageRetentionJournal.json",
            "TentacleInstanceName": settings.instance.name,
            "TentacleVersion": ProductVersion.text,
            // Calamari only prints it; this agent has none.
            "TentacleNetFrameworkDescription": "Swift",
            "TentacleExecutablePath": programs + "/tentacle",
            "TentacleProgramDirectoryPath": programs,
            "AgentProgramDirectoryPath": programs,
            "TentacleCertificateSignatureAlgorithm": settings.identity?.signatureAlgorithm,
            "TentacleUseDefaultProxy": "False",
            "TentacleProxyUsername": nil,
            "TentacleProxyPassword": nil,
            "TentacleProxyHost": nil,
            "TentacleProxyPort": "\(ProxySettings.defaultPort)",
        ]
        switch settings.proxy {
        case .systemDefault: variables["TentacleUseDefaultProxy"] = "True"
        case .direct: break
        case .custom(let host, let port, let username, let password):
            variables["TentacleProxyHost"] = host
            variables["TentacleProxyPort"] = "\(port)"
            variables["TentacleProxyUsername"] = username
            variables["TentacleProxyPassword"] = password
        }
        var result = inherited
        for name in agentOnly { result[name] = nil }
        for (name, value) in variables { result[name] = value.flatMap { $0.isEmpty ? nil : $0 } }
        return result
    }
}
