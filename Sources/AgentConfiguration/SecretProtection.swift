import FoundationEssentials
import Glibc
import SecureTransport

/// Secrets at rest (spec tentacle-cli.md 7), under a key of this machine.
///
/// The legacy form, AES-256-CBC, has a fixed key and vector for each key source, so that every stock agent reads what we
/// write and the reverse. The newer form is that of OctopusTentacle pull request 1305 in its last state: AES-256-GCM under
/// a generated key that lies beside the configuration file, as `machinekey.v1`.
package struct SecretProtection: Sendable {
    /// Raw values are the words of the configuration.
    package enum Form: String, Hashable, Sendable, CaseIterable {
        /// Readable by every stock agent.
        case legacy
        /// `$OctopusMachineKeyV1$` + base64(nonce ‖ ciphertext ‖ tag), the prefix being authenticated, too.
        case versioned = "MachineKeyV1"

        /// In any case.
        package init?(named name: String) {
            guard let form = Self.allCases.first(where: { $0.rawValue.lowercased() == name.lowercased() }) else {
                return nil
            }
            self = form
        }

        /// The form that an encrypted value has.
        package init(of sealed: String) {
            self = sealed.hasPrefix(SecretProtection.versionedPrefix) ? .versioned : .legacy
        }
    }

    package static let versionedPrefix = "$OctopusMachineKeyV1$"

    private struct Key {
        var key: [UInt8]
        var vector: [UInt8]
        /// For messages.
        var source: String
    }

    private let host: HostFiles
    private let configurationPath: String

    package init(host: HostFiles, configurationPath: String) {
        self.host = host
        self.configurationPath = host.absolute(configurationPath)
    }

    package func encrypt(_ text: String, form: Form = .legacy) throws -> String {
        switch form {
        case .legacy:
            let key = try self.machineIDKey() ?? self.generatedKey()
            let bytes = try Cryptography.encryptAESCBC(Array(text.utf8), key: key.key, iv: key.vector)
            return Data(bytes).base64EncodedString()
        case .versioned:
            let sealed = try Cryptography.sealAESGCM(
                Array(text.utf8),
                key: try self.versionedKey(),
                associatedData: Array(Self.versionedPrefix.utf8)
            )
            return Self.versionedPrefix + Data(sealed).base64EncodedString()
        }
    }

    /// Undoes `encrypt`, trying the key sources in order.
    ///
    /// `isPlausible` refuses what a wrong key made: one in 256 wrong keys yields valid padding.
    package func decrypt(
        _ text: String,
        isPlausible: (String) -> Bool = { _ in true }
    ) throws(ConfigurationError) -> String {
        // The legacy keys are not tried for it: one of them could fit by chance.
        if Form(of: text) == .versioned { return try self.decryptVersioned(text) }
        guard let cipher = Data(base64Encoded: text, options: .ignoreUnknownCharacters) else {
            throw ConfigurationError(.secret, "A protected value of the configuration is not base64.")
        }
        var tried: [String] = []
        for key in [try self.machineIDKey()].compactMap(\.self) + (try self.existingGeneratedKeys()) {
            tried.append("'\(key.source)'")
            guard let bytes = try? Cryptography.decryptAESCBC(Array(cipher), key: key.key, iv: key.vector),
                let plain = String(validating: bytes, as: UTF8.self), isPlausible(plain)
            else { continue }
            return plain
        }
        throw self.undecryptable(tried)
    }

    private func decryptVersioned(_ text: String) throws(ConfigurationError) -> String {
        let path = self.versionedKeyPath
        guard DurableFile.exists(path) else { throw self.undecryptable([], "no machine key was found at '\(path)'") }
        let key = try Self.readKey(path)
        let sealed = Array(Data(base64Encoded: String(text.dropFirst(Self.versionedPrefix.count))) ?? Data())
        let prefix = Array(Self.versionedPrefix.utf8)
        guard let bytes = try? Cryptography.openAESGCM(sealed, key: key.key, associatedData: prefix),
            let plain = String(validating: bytes, as: UTF8.self)
        else { throw self.undecryptable(["'\(path)'"]) }
        return plain
    }

    private func undecryptable(
        _ tried: [String],
        _ otherwise: String = "no machine key was found"
    ) -> ConfigurationError {
        let sources = tried.isEmpty ? otherwise : "tried \(tried.joined(separator: " and "))"
        return ConfigurationError(
            .secret,
            "A protected value of the configuration cannot be decrypted on this machine (\(sources)). It was probably "
                + "written on another machine: run new-certificate or import-certificate and register the agent again."
        )
    }

    // MARK: Key sources

    /// The key of the newer form: it is copied and restored with the configuration that it belongs to.
    package static func versionedKeyPath(for configurationPath: String) -> String {
        FilePathText.directory(of: configurationPath) + "/machinekey.v1"
    }

    private var versionedKeyPath: String { Self.versionedKeyPath(for: self.configurationPath) }

    /// The key file that whoever reads this value has to read, too; nil when the machine's id will do.
    package func keyFile(neededFor sealed: String) -> String? {
        if Form(of: sealed) == .versioned {
            return DurableFile.exists(self.versionedKeyPath) ? self.versionedKeyPath : nil
        }
        guard let path = self.generatedKeyPaths.first(where: DurableFile.exists) else { return nil }
        guard let key = try? self.machineIDKey(), let cipher = Data(base64Encoded: sealed),
            let bytes = try? Cryptography.decryptAESCBC(Array(cipher), key: key.key, iv: key.vector),
            String(validating: bytes, as: UTF8.self) != nil
        else { return path }
        return nil
    }

    private func machineIDKey() throws(ConfigurationError) -> Key? {
        let path = self.host.wellKnown("/etc/machine-id")
        guard DurableFile.exists(path), let bytes = try? DurableFile.read(path) else { return nil }
        let key = Array(bytes.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") })
        guard key.count == 32 else { return nil }
        return Key(key: key, vector: Array("743677397A244326".utf8), source: path)
    }

    /// The key file of the stock agent, and, where only another configuration home may be written, one in there.
    private var generatedKeyPaths: [String] {
        let standard = self.host.wellKnown("/etc/octopus/machinekey")
        let own = self.host.machineConfigurationHome + "/machinekey"
        return own == standard ? [standard] : [standard, own]
    }

    /// Both, where there are two: what was written while the first could not be made is read when it has been since.
    private func existingGeneratedKeys() throws(ConfigurationError) -> [Key] {
        var keys: [Key] = []
        for path in self.generatedKeyPaths where DurableFile.exists(path) {
            do throws(ConfigurationError) {
                keys.append(try Self.readKey(path))
            } catch {
                guard !keys.isEmpty else { throw error }
            }
        }
        return keys
    }

    private func generatedKey() throws -> Key {
        if let existing = try self.existingGeneratedKeys().first { return existing }
        var failure: ConfigurationError?
        for path in self.generatedKeyPaths {
            do throws(ConfigurationError) {
                try DurableFile.makeDirectory(FilePathText.directory(of: path))
                return try Self.make(path)
            } catch {
                failure = failure ?? error
            }
        }
        throw failure ?? ConfigurationError(.secret, "There is no machine key on this host.")
    }

    private func versionedKey() throws -> [UInt8] {
        let path = self.versionedKeyPath
        if DurableFile.exists(path) { return try Self.readKey(path).key }
        return try Self.make(path, ownedAs: self.configurationPath).key
    }

    /// Makes a key file, unless another process was faster: then that one's key is the key.
    private static func make(_ path: String, ownedAs reference: String? = nil) throws(ConfigurationError) -> Key {
        let text: String
        do throws(OpenSSLError) {
            let (key, vector) = (
                try Cryptography.randomBytes(32), try Cryptography.randomBytes(Cryptography.aesBlockBytes)
            )
            text = Data(key).base64EncodedString() + "." + Data(vector).base64EncodedString()
        } catch {
            throw ConfigurationError(.secret, "A machine key cannot be made: \(error)")
        }
        // Under a name of its own and then linked in place, so that two first runs agree on one key.
        let draft = "\(path).\(getpid()).\(UInt32.random(in: 0 ... .max))"
        try DurableFile.write(Array(text.utf8), to: draft, mode: 0o600)
        defer { unlink(draft) }
        var owner = stat()
        if let reference, geteuid() == 0, stat(reference, &owner) == 0 {
            guard lchown(draft, owner.st_uid, owner.st_gid) == 0 else {
                throw .system("Could not create '\(path)'", errno)
            }
        }
        guard link(draft, path) == 0 || errno == EEXIST else { throw .system("Could not create '\(path)'", errno) }
        return try Self.readKey(path)
    }

    private static func readKey(_ path: String) throws(ConfigurationError) -> Key {
        let content = String(decoding: try DurableFile.read(path), as: UTF8.self)
        let text = content.filter { !$0.isWhitespace && $0 != "\u{FEFF}" }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let key = Data(base64Encoded: String(parts[0])), key.count == 32,
            let vector = Data(base64Encoded: String(parts[1])), vector.count == Cryptography.aesBlockBytes
        else {
            throw ConfigurationError(
                .secret,
                "Machine key file at `\(path)` is corrupt and cannot be loaded. Restore it from a backup, or delete it, "
                    + "run new-certificate and register the agent again."
            )
        }
        return Key(key: Array(key), vector: Array(vector), source: path)
    }
}
