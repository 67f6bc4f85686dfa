import Foundation
import ProcessTesting
import Testing

/// The `openssl` program: an implementation of the formats and of TLS that does not share our code.
enum OpenSSLCommand {
    struct Failure: Error {
        var arguments: [String]
        var output: String
    }

    /// Runs it to its end; what it wrote to standard output, then to standard error.
    @discardableResult
    static func run(_ arguments: [String], in folder: URL, input: String = "") async throws -> String {
        let outcome = try await RunningProgram(
            "/usr/bin/openssl",
            arguments,
            folder: folder.path,
            input: .text(input)
        ).outcome()
        let text = outcome.output + outcome.errors
        guard outcome.status == 0 else { throw Failure(arguments: arguments, output: text) }
        return text
    }

    /// Runs `openssl s_server` on a free port; it answers each line with the line reversed.
    static func withServer<Value>(
        _ arguments: [String],
        in folder: URL,
        _ body: (_ port: Int) async throws -> Value
    ) async throws -> Value {
        let server = try RunningProgram(
            "/usr/bin/openssl",
            ["s_server", "-accept", "127.0.0.1:0", "-rev"] + arguments,
            folder: folder.path
        )
        return try await server.whileRunning {
            let line = await server.line(containing: "ACCEPT 127.0.0.1:")
            guard let port = line?.split(separator: ":").last.flatMap({ Int($0) }) else {
                throw Failure(arguments: arguments, output: line ?? "")
            }
            return try await body(port)
        }
    }

    /// Makes `name.crt` and `name.key` of a shape that old installations have.
    static func makeCertificate(_ shape: LegacyShape, name: String, in folder: URL) async throws {
        let configuration = """
            [req]
            distinguished_name = dn
            x509_extensions = ext
            prompt = no
            [dn]
            C = AU
            O = Legacy, Inc
            CN = Octopus Legacy
            emailAddress = ops@example.com
            [ext]
            \(shape.extensions)
            [ca]
            default_ca = authority
            [authority]
            database = index.txt
            new_certs_dir = .
            rand_serial = yes
            policy = policy
            [policy]
            commonName = supplied
            """
        try Data(configuration.utf8).write(to: folder.appending(path: "\(name).cnf"))
        let key = ["-newkey", shape.key, "-nodes", "-keyout", "\(name).key"]
        guard !shape.dates.isEmpty else {
            try await run(
                ["req", "-x509", "-config", "\(name).cnf", shape.digest, "-out", "\(name).crt"] + key,
                in: folder
            )
            return
        }
        // Only `ca` takes dates, and it wants a database.
        try Data().write(to: folder.appending(path: "index.txt"))
        try await run(["req", "-config", "\(name).cnf", "-out", "\(name).csr"] + key, in: folder)
        try await run(
            ["ca", "-batch", "-notext", "-selfsign", "-config", "\(name).cnf", "-preserveDN", "-md", "sha256"]
                + ["-keyfile", "\(name).key", "-in", "\(name).csr", "-out", "\(name).crt"] + shape.dates,
            in: folder
        )
    }
}

/// A certificate that a strict library would refuse (halibut.md 2.4).
struct LegacyShape: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var key = "rsa:2048"
    var digest = "-sha256"
    /// When the certificate is valid; usually from now on.
    var dates: [String] = []
    var extensions = ""

    static let all = [
        LegacyShape(testDescription: "SHA-1 signature", digest: "-sha1"),
        LegacyShape(testDescription: "RSA 1024", key: "rsa:1024"),
        LegacyShape(
            testDescription: "critical authorityKeyIdentifier, not a CA",
            extensions: """
                basicConstraints = critical,CA:FALSE
                subjectKeyIdentifier = hash
                authorityKeyIdentifier = critical,keyid:always
                """
        ),
        LegacyShape(
            testDescription: "expired",
            dates: ["-startdate", "20000101000000Z", "-enddate", "20010101000000Z"]
        ),
        LegacyShape(testDescription: "key usage without signing", extensions: "keyUsage = critical,keyAgreement"),
        LegacyShape(testDescription: "unknown critical extension", extensions: "1.2.3.4.5 = critical,ASN1:NULL"),
    ]
}
