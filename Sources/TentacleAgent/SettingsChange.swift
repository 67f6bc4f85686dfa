import AgentConfiguration

/// What a running agent does not follow: settings that count from its next start on.
enum SettingsChange {
    /// The settings that differ, in words for the log; a password among them is not said.
    static func waitingForRestart(from old: AgentSettings, to new: AgentSettings, host: HostFiles) -> [String] {
        func differs(_ value: (AgentSettings) -> some Equatable) -> Bool { value(old) != value(new) }
        func contacts(_ settings: AgentSettings) -> Set<PollingContact> {
            Set(PollingContact.all(in: settings.trustedServers).map(\.contact))
        }
        let changes = [
            ("home directory", differs(\.homeDirectory)),
            ("application directory", differs(\.applicationDirectory)),
            ("whether to listen", differs(\.noListen)),
            ("port", differs(\.port)),
            ("listening address", differs(\.listenAddress)),
            ("polled servers", differs(contacts)),
            ("polling connection count", differs { $0.effectivePollingConnectionCount(host: host) }),
            ("proxy", differs(\.proxy)),
            ("polling proxy", differs(\.pollingProxy)),
            ("sandbox policy", differs(\.sandboxPolicy)),
        ]
        return changes.filter(\.1).map(\.0)
    }
}
