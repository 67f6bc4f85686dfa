import Foundation
import ServerDomain
package import ServerStore

/// The administrator's password, from a file: never from a command line, where every user of the host can read it.
package enum AdminPassword {
    package static let minimumLength = 8
    private static let maximumBytes = 1024

    /// Gives the user `admin` the password in the file; without its last line end.
    ///
    /// - Throws: ``ServerStartError`` for a file that cannot be read, that others can read, or whose password is too
    ///   short; what the store throws.
    package static func apply(file path: String, to store: Store) async throws {
        let password = try read(path)
        let name = FirstStart.adminName
        let admin = try await store.read { try $0.all(User.self, where: [("username", .text(name))]).first }
        guard let admin else { throw ServerStartError("There is no user '\(name)' to give a password.") }
        // The same file at every start changes nothing.
        if let digest = admin.password, try digest.matches(password) { return }
        let digest = try PasswordDigest(of: password)
        try await store.write { tx in
            guard var admin = try tx.find(User.self, id: admin.id) else { return }
            admin.password = digest
            try tx.update(admin)
        }
    }

    private static func read(_ path: String) throws -> String {
        // What a link points to counts.
        let path = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let attributes: [FileAttributeKey: Any]
        do { attributes = try FileManager.default.attributesOfItem(atPath: path) } catch {
            throw ServerStartError("Cannot read the password file \(path); give another with --admin-password-file.")
        }
        guard attributes[.type] as? FileAttributeType == .typeRegular else {
            throw ServerStartError("The password file \(path) is not a regular file.")
        }
        guard (attributes[.posixPermissions] as? Int ?? 0o777) & 0o007 == 0 else {
            throw ServerStartError("Every user can read the password file \(path); run 'chmod 600 \(path)'.")
        }
        guard (attributes[.size] as? Int ?? 0) <= maximumBytes else {
            throw ServerStartError("The password file \(path) has more than \(maximumBytes) bytes.")
        }
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw ServerStartError("Cannot read the password file \(path) (\(DataDirectory.reason)).")
        }
        guard var password = String(validating: bytes, as: UTF8.self) else {
            throw ServerStartError("The password file \(path) is not UTF-8 text.")
        }
        if password.last?.isNewline == true { password.removeLast() }
        guard password.count >= minimumLength, !password.contains(where: \.isNewline) else {
            throw ServerStartError(
                "The password file \(path) needs one line with at least \(minimumLength) characters."
            )
        }
        return password
    }
}
