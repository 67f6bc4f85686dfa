import AgentConfiguration
import Glibc

/// Rewrites a file that health checks outside look at (tentacle-services.md 14.3).
struct Heartbeat: Sendable {
    static let interval = Duration.seconds(10)

    let directory: String

    /// Beats until the task is cancelled; a beat that fails shows where it matters, the file gets old.
    func run() async throws {
        while true {
            beat()
            try await Task.sleep(for: Self.interval, tolerance: .seconds(1))
        }
    }

    func beat() {
        let file = open("\(directory)/\(AgentHome.heartbeat)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { return }
        futimens(file, nil)
        close(file)
    }
}
