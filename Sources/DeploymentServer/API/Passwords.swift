import Foundation
import SecureTransport
package import ServerDomain
import Synchronization

extension PasswordDigest {
    /// About a quarter of a second.
    private static let newIterations = 600_000
    private static let bytes = 32

    /// Digests a new password with a salt of its own.
    ///
    /// - Throws: `OpenSSLError`.
    package init(of password: String) throws {
        let salt = try Cryptography.randomBytes(16)
        let digest = try Self.derive(password, salt: salt, iterations: Self.newIterations)
        self.init(iterations: Self.newIterations, salt: salt, digest: digest)
    }

    package func matches(_ password: String) throws -> Bool {
        let other = try Self.derive(password, salt: salt, iterations: iterations)
        // Every byte is looked at, so that the time tells nothing.
        var difference: UInt8 = 0
        for (one, another) in zip(other, digest) { difference |= one ^ another }
        return other.count == digest.count && difference == 0
    }

    private static func derive(_ password: String, salt: [UInt8], iterations: Int) throws -> [UInt8] {
        try Cryptography.pbkdf2SHA256(
            password: Array(password.utf8),
            salt: salt,
            iterations: iterations,
            keyBytes: bytes
        )
    }
}

/// Checks passwords: one at a time, and slower for a user name that keeps failing.
actor PasswordCheck {
    enum Outcome: Sendable, Equatable {
        case right
        case wrong
        /// Nothing was checked; not before this many seconds.
        case tooSoon(seconds: Int)
    }

    private struct Failures {
        var count = 0
        var last: Date
    }

    /// Failures in a row that cost nothing but the check.
    static let freeFailures = 5
    /// The pause doubles with each further failure, up to this.
    static let longestPause = 60
    /// More user names are not remembered: the one that failed longest ago is forgotten.
    private static let maximumNames = 1000

    private let now: @Sendable () -> Date
    private var failures: [String: Failures] = [:]
    /// For names that do not exist: finding that out has to take as long.
    private var decoy: PasswordDigest?

    init(now: @escaping @Sendable () -> Date = { Date() }) { self.now = now }

    func check(_ password: String, of username: String, against digest: PasswordDigest?) throws -> Outcome {
        let name = username.lowercased()
        if let seconds = pause(name) { return .tooSoon(seconds: seconds) }
        // Not checked in parallel: each try counts before the next is looked at, and no flood of them takes all cores.
        let isRight = try (digest ?? madeDecoy()).matches(password)
        guard isRight, digest != nil else {
            note(name)
            return .wrong
        }
        failures[name] = nil
        return .right
    }

    private func pause(_ name: String) -> Int? {
        guard let failures = failures[name], failures.count >= Self.freeFailures else { return nil }
        let seconds = min(Self.longestPause, 1 << min(6, failures.count - Self.freeFailures))
        let left = failures.last.addingTimeInterval(TimeInterval(seconds)).timeIntervalSince(now())
        return left > 0 ? Int(left.rounded(.up)) : nil
    }

    private func note(_ name: String) {
        if failures[name] == nil, failures.count >= Self.maximumNames,
            let oldest = failures.min(by: { $0.value.last < $1.value.last })
        {
            failures[oldest.key] = nil
        }
        failures[name, default: Failures(last: now())].count += 1
        failures[name]?.last = now()
    }

    private func madeDecoy() throws -> PasswordDigest {
        if let decoy { return decoy }
        let made = try PasswordDigest(of: RandomText.lowercased(20))
        decoy = made
        return made
    }
}
