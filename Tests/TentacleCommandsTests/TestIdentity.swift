import SecureTransport

/// One certificate for all tests: generating a key takes a while.
enum TestIdentity {
    static let shared = Result { try TLSIdentity.generate() }
}
