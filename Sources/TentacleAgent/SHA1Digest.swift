import ScriptExecution
import SecureTransport

/// libcrypto's SHA-1 for the hash that an upload is answered with (tentacle-services.md 12).
final class SHA1Digest: UploadDigest {
    private var digest: IncrementalDigest? = IncrementalDigest(.sha1)

    func update(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { digest?.update($0) }
    }

    func finish() -> String {
        let bytes = digest.take()?.finish() ?? []
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
