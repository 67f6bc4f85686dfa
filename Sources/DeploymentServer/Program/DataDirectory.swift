import Foundation
import Glibc

/// The server's folder: database, identity, key of the administrator; one server at a time.
final class DataDirectory: Sendable {
    let path: String
    private let lock: CInt

    init(path: String) throws {
        let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
        self.path = absolute
        do {
            try FileManager.default.createDirectory(
                atPath: absolute,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw ServerStartError(
                "Cannot create the data folder \(absolute); give another with --data, or make it writable."
            )
        }
        lock = open("\(absolute)/server.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else {
            throw ServerStartError(
                "Cannot write to the data folder \(absolute) (\(Self.reason)); give another with --data, or make it writable."
            )
        }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw ServerStartError(
                "Another tentacle-server uses the data folder \(absolute); stop it, or give another with --data."
            )
        }
    }

    deinit { close(lock) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func read(_ name: String) throws -> String? {
        guard FileManager.default.fileExists(atPath: file(name)) else { return nil }
        guard let bytes = FileManager.default.contents(atPath: file(name)) else {
            throw ServerStartError("Cannot read \(file(name)) (\(Self.reason)); check who owns it.")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func writeSecret(_ text: String, to name: String) throws { try SafeFile.write(text, to: file(name), mode: 0o600) }

    static var reason: String { String(cString: strerror(errno)) }
}

/// Files that are there whole or not at all.
enum SafeFile {
    static func write(_ text: String, to path: String, mode: mode_t) throws {
        let temporary = "\(path).new"
        _ = unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw ServerStartError("Cannot write \(path): \(DataDirectory.reason).") }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes = bytes.dropFirst(count)
        }
        let isWritten = bytes.isEmpty && fsync(descriptor) == 0
        let failure = DataDirectory.reason
        close(descriptor)
        guard isWritten, rename(temporary, path) == 0 else {
            _ = unlink(temporary)
            throw ServerStartError("Cannot write \(path): \(isWritten ? DataDirectory.reason : failure).")
        }
    }
}
