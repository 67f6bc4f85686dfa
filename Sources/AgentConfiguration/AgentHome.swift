/// Names in an agent's home directory that programs of ours share (spec tentacle-cli.md 9.1).
package enum AgentHome {
    /// Rewritten by the agent every ten seconds.
    package static let heartbeat = "livez.heartbeat"
}
