internal import COpenSSL

/// A digest fed piece by piece: `update` as often as there are bytes, then `finish`.
@safe
package struct IncrementalDigest: ~Copyable {
    /// The digests that our formats use.
    package enum Algorithm: Sendable {
        case sha1
        case sha256
    }

    private let context: OpaquePointer

    /// Starts a digest.
    package init(_ algorithm: Algorithm) {
        let method = unsafe algorithm == .sha1 ? EVP_sha1() : EVP_sha256()
        guard let context = unsafe EVP_MD_CTX_new(), unsafe EVP_DigestInit_ex(context, method, nil) == 1 else {
            preconditionFailure("libcrypto has no memory, or lacks SHA-1 or SHA-256")
        }
        unsafe self.context = context
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    /// Adds bytes.
    package mutating func update(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// Adds bytes.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        let added = unsafe EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
        precondition(added == 1, "libcrypto cannot continue a digest")
    }

    /// The digest of everything added: 20 or 32 bytes.
    package consuming func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        let finished = unsafe EVP_DigestFinal_ex(context, &digest, &count)
        precondition(finished == 1, "libcrypto cannot finish a digest")
        return Array(digest.prefix(Int(count)))
    }
}
