import FuzzSupport
import SecureTransport

/// Certificates as peers send them, and what operators import: PEM texts, PKCS#12 files and thumbprints.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzCertificates(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    switch input.below(5) {
    case 0:
        let certificate = PeerCertificate(der: input.rest)
        require(Thumbprint(certificate.thumbprint.description) == certificate.thumbprint, "a thumbprint changes")
        require(certificate.thumbprint == Thumbprint(certificateDER: input.rest), "a thumbprint of other bytes")
    case 1: requireUsable(try? TLSIdentity(pkcs12: input.rest))
    case 4: requireUsable(try? TLSIdentity(pkcs12: input.rest, password: "secret"))
    case 2: requireUsable(try? TLSIdentity(pem: String(decoding: input.rest, as: UTF8.self)))
    default:
        if let thumbprint = Thumbprint(String(decoding: input.rest, as: UTF8.self)) {
            require(Thumbprint(thumbprint.description) == thumbprint, "a thumbprint changes")
        }
    }
    return 0
}

private func requireUsable(_ identity: TLSIdentity?) {
    guard let identity else { return }
    guard let pem = try? identity.pem(includingPrivateKey: true), let again = try? TLSIdentity(pem: pem) else {
        fatalError("an identity cannot be written as PEM: \(identity)")
    }
    require(again == identity, "an identity changes: \(identity)")
}
