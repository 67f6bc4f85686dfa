/// What of an agent's own files no script may read: private keys, the key that unlocks them, and what other scripts left.
package enum ProtectedPaths {
    /// As they are now: instances come and go while an agent runs.
    package static func list(for settings: AgentSettings, host: HostFiles) -> [String] {
        let registry = InstanceRegistry(host: host)
        var paths: [String] = []
        for home in [host.machineConfigurationHome, host.wellKnown("/etc/octopus")] {
            let home = host.absolute(home)
            // The stock agent's installer puts homes below it, and with them what scripts work on.
            let isShared = [settings.homeDirectory, settings.applicationDirectory].contains { path in
                path.map { Self.contains(home, $0) } ?? false
            }
            paths += isShared ? ["\(home)/machinekey", "\(home)/Tentacle/Instances"] : [home]
        }
        // Scripts of this agent's run as root as a rule, so that the other agents' files lie open, too.
        for instance in [settings.instance] + registry.list().instances {
            let path = host.absolute(instance.configurationPath)
            // What newer stock agents keep beside it: the key, and the file as it was before they encrypted it anew.
            paths += [path, SecretProtection.versionedKeyPath(for: path), "\(path).before-reencryption"]
        }
        if let home = settings.homeDirectory {
            // Uploads on their way, and the output of scripts that are over.
            paths += ["\(home)/Spool", "\(home)/Logs/Scripts"]
        }
        return Self.outermost(paths.map(FilePathText.normalized))
    }

    private static func contains(_ directory: String, _ path: String) -> Bool {
        path == directory || path.hasPrefix(directory == "/" ? "/" : directory + "/")
    }

    /// In order and once each, without what lies in another one of them.
    private static func outermost(_ paths: [String]) -> [String] {
        var result: [String] = []
        for path in paths where !result.contains(path) {
            if !paths.contains(where: { $0 != path && Self.contains($0, path) }) { result.append(path) }
        }
        return result
    }
}
