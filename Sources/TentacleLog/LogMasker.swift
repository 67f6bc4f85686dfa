import LauncherProtocol
import Synchronization

/// The secrets that this process knows, replaced by `********` in everything that it logs (spec tentacle-cli.md 9.3).
package final class LogMasker: Sendable {
    package static let mask = "********"

    private let secrets = Mutex<(texts: Set<String>, mask: SecretMask)>(([], SecretMask([])))

    package init() {}

    /// From now on; a blank one, or none, hides nothing.
    package func hide(_ secret: String?) {
        guard let secret, !secret.allSatisfy(\.isWhitespace) else { return }
        self.secrets.withLock { secrets in
            guard secrets.texts.insert(secret).inserted else { return }
            secrets.mask = SecretMask(Array(secrets.texts))
        }
    }

    package func masked(_ text: String) -> String {
        var mask = self.secrets.withLock { $0.mask }
        guard !mask.isEmpty else { return text }
        return String(decoding: mask.masked(Array(text.utf8)[...], of: .standardOutput), as: UTF8.self)
    }
}
