/// Where scripts and their logs are, below an agent's home directory.
package enum ScriptDirectories {
    /// One folder for each script that a server has not completed: its workspace (tentacle-services.md 6).
    package static let work = "Work"
    /// Begins the name, in `work`, of a workspace that is being removed; no ticket begins with a dot.
    package static let removedPrefix = ".removed-"
    /// One folder for each completed script, with its `Output.log` and `state.json`, for `tentacle logs`.
    ///
    /// The stock agent keeps nothing. Only the agent's user and root can enter it: output may hold what a server masks.
    package static let past = "Logs/Scripts"
}
