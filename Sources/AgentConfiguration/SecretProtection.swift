import FoundationEssentials
import Glibc
import SecureTransport

/// Secrets at rest (spec tentacle-cli.md 7): AES-256-CBC under a key of this machine.
///
/// The legacy form has a fixed key and vector for each key source, so that the stock agent reads what we write and the
/// reverse. The newer form uses the generated key and a vector of its own for each value.
package struct SecretProtection: Sendable {
    /// Raw values are the words of the configuration.
    package enum Form: String, Hashable, Sendable, CaseIterable {
        /// Readable by every stock agent.
        case legacy
        /// `$OctopusMachineKeyV1$` + base64(vector ‖ ciphertext).
        case versioned = "MachineKeyV1"

        /// In any case.
        package init?(named name: String) {
            guard let form = Self.allCases.first(where: { $0.rawValue.lowercased() == name.lowercased() }) else {
                return nil
            }
            self = form
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

    package init(host: HostFiles) {
        self.host = host
    }

    package func encrypt(_ text: String, form: Form = .legacy) throws -> String {
        switch form {
        case .legacy:
            let key = try self.machineIDKey() ?? self.generatedKey(create: true)
            let bytes = try Cryptography.encryptAESCBC(Array(text.utf8), key: key.key, iv: key.vector)
            return Data(bytes).base64EncodedString()
        case .versioned:
            let key = try self.generatedKey(create: true)
            let vector = try Cryptography.randomBytes(Cryptography.aesBlockBytes)
            let bytes = try Cryptography.encryptAESCBC(Array(text.utf8), key: key.key, iv: vector)
            return Self.versionedPrefix + Data(vector + bytes).base64EncodedString()
        }
    }

    /// Undoes `encrypt`, trying the key sources in order.
    ///
    /// `isPlausible` refuses what a wrong key made: one in 256 wrong keys yields valid padding.
    package func decrypt(
        _ text: String,
        isPlausible: (String) -> Bool = { _ in true }
    ) throws(ConfigurationError) -> String {
        if text.hasPrefix(Self.versionedPrefix) { return try self.decryptVersioned(text) }
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
        let keys = try self.existingGeneratedKeys()
        let sealed = Array(Data(base64Encoded: String(text.dropFirst(Self.versionedPrefix.count))) ?? Data())
        for key in keys where sealed.count > Cryptography.aesBlockBytes {
            let (vector, cipher) = (sealed[..<Cryptography.aesBlockBytes], sealed[Cryptography.aesBlockBytes...])
            if let bytes = try? Cryptography.decryptAESCBC(Array(cipher), key: key.key, iv: Array(vector)),
                let plain = String(validating: bytes, as: UTF8.self)
            {
                return plain
            }
        }
        throw self.undecryptable(keys.map { "'\($0.source)'" })
    }

    private func undecryptable(_ tried: [String]) -> ConfigurationError {
        let sources = tried.isEmpty ? "no machine key was found" : "tried \(tried.joined(separator: " and "))"
        return ConfigurationError(
            .secret,
            "A protected value of the configuration cannot be decrypted on this machine (\(sources)). It was probably "
                + "written on another machine: run new-certificate or import-certificate and register the agent again."
        )
    }

    // MARK: Key sources

    /// The key file that whoever reads this value has to read, too; nil when the machine's id will do.
    package func keyFile(neededFor sealed: String?) -> String? {
        guard let path = self.generatedKeyPaths.first(where: DurableFile.exists) else { return nil }
        guard let key = try? self.machineIDKey() else { return path }
        guard let sealed else { return nil }
        guard !sealed.hasPrefix(Self.versionedPrefix), let cipher = Data(base64Encoded: sealed) else { return path }
        guard let bytes = try? Cryptography.decryptAESCBC(Array(cipher), key: key.key, iv: key.vector),
            Data(base64Encoded: String(decoding: bytes, as: UTF8.self)) != nil
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
                keys.append(try Self.parse(try DurableFile.read(path), path: path))
            } catch {
                guard !keys.isEmpty else { throw error }
            }
        }
        return keys
    }

    private func generatedKey(create: Bool) throws -> Key {
        if let existing = try self.existingGeneratedKeys().first { return existing }
        let key = try Cryptography.randomBytes(32)
        let vector = try Cryptography.randomBytes(Cryptography.aesBlockBytes)
        let text = Data(key).base64EncodedString() + "." + Data(vector).base64EncodedString()
        var failure: ConfigurationError?
        for path in self.generatedKeyPaths {
            do throws(ConfigurationError) {
                try DurableFile.makeDirectory(FilePathText.directory(of: path))
                try Self.createExclusively(Array(text.utf8), path: path)
                return try Self.parse(try DurableFile.read(path), path: path)
            } catch {
                failure = failure ?? error
            }
        }
        throw failure ?? ConfigurationError(.secret, "There is no machine key on this host.")
    }

    /// Writes the key under a name of its own and links it in place, so that two first runs agree on one key.
    private static func createExclusively(_ bytes: [UInt8], path: String) throws(ConfigurationError) {
        let draft = "\(path).\(getpid()).\(UInt32.random(in: 0 ... .max))"
        try DurableFile.write(bytes, to: draft, mode: 0o600)
        defer { unlink(draft) }
        guard link(draft, path) == 0 || errno == EEXIST else { throw .system("Could not create '\(path)'", errno) }
    }

    private static func parse(_ bytes: [UInt8], path: String) throws(ConfigurationError) -> Key {
        let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace && $0 != "\u{FEFF}" }
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
