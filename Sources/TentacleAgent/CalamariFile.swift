import SecureTransport

/// The encrypted form of a script's file, which Calamari reads (tentacle-services.md 6).
enum CalamariFile {
    private static let mark = Array("IV__".utf8)
    private static let salt = Array("Octopuss".utf8)
    private static let iterations = 1000
    private static let blockBytes = 16
    private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

    @Sendable
    static func encrypt(_ text: [UInt8], password: String) throws -> [UInt8] {
        try encrypt(text, password: password, iv: Cryptography.randomBytes(blockBytes))
    }

    /// `IV__`, the initialisation vector, and the text under AES-128-CBC with PKCS#7 padding.
    static func encrypt(_ text: [UInt8], password: String, iv: [UInt8]) throws -> [UInt8] {
        let plain = text.starts(with: byteOrderMark) ? Array(text.dropFirst(byteOrderMark.count)) : text
        let key = try Cryptography.pbkdf2SHA1(
            password: Array(password.utf8),
            salt: salt,
            iterations: iterations,
            keyBytes: blockBytes
        )
        return try mark + iv + Cryptography.encryptAESCBC(plain, key: key, iv: iv)
    }
}
