import AgentConfiguration
import SecureTransport

/// The variables that every script gets (tentacle-services.md 7): the agent's own environment, but for what is meant for
/// the agent alone or would change what programs of the script do, and the agent's particulars.
///
/// `HOME`, `USER`, `LOGNAME` and `SHELL` are those of the agent here; the launcher sets them for the user of the script.
enum ScriptEnvironment {
    /// systemd's own default for services.
    static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    private static let removed: Set<String> = Set([
        // Between the agent and its service manager: a script must not answer for it or take its sockets.
        "NOTIFY_SOCKET", "JOURNAL_STREAM", "INVOCATION_ID", "MAINPID", "MANAGERPID", "SYSTEMD_EXEC_PID",
        "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY",
        "CONFIGURATION_DIRECTORY", "FDSTORE",
        // What bash does before or beside the script's own lines.
        "BASH_ENV", "ENV", "IFS", "PS4", "SHELLOPTS", "BASHOPTS", "PROMPT_COMMAND", "GLIBC_TUNABLES", "GCONV_PATH",
        // How the agent was set up, secrets included (tentacle-cli.md 8, 19).
        "TENTACLE_LAUNCHER", "TENTACLE_LAUNCHER_SOCKET", "ServerApiKey", "BearerToken", "ServerUsername",
        "ServerPassword",
    ])
    .union(SecretVariable.allCases.map(\.rawValue))

    private static let removedPrefixes = ["LISTEN_", "WATCHDOG_", "MEMORY_PRESSURE_", "LD_", "BASH_FUNC_"]

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
        var result = inherited.filter { variable in
            !removed.contains(variable.key) && !removedPrefixes.contains { variable.key.hasPrefix($0) }
        }
        if result["PATH"]?.isEmpty ?? true { result["PATH"] = defaultPath }
        for (name, value) in variables { result[name] = value.flatMap { $0.isEmpty ? nil : $0 } }
        return result
    }
}
