/// Metadata keys of log records; in the journal `tentacle.ticket` is the field `TENTACLE_TICKET`.
enum LogKey {
    static let ticket = "tentacle.ticket"
    static let task = "tentacle.task"
    static let exitCode = "tentacle.exit.code"
}
