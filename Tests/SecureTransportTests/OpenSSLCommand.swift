import Foundation
import Testing

/// The `openssl` program: an implementation of the formats and of TLS that does not share our code.
enum OpenSSLCommand {
    struct Failure: Error {
        var arguments: [String]
        var output: String
    }

    /// Runs it to its end; what it wrote to standard output (and to standard error, when it fails).
    @discardableResult
    static func run(_ arguments: [String], in folder: URL, input: String = "") async throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = arguments
        process.currentDirectoryURL = folder
        let output = folder.appending(path: "output-\(UUID().uuidString)")
        _ = FileManager.default.createFile(atPath: output.path, contents: nil)
        let handle = try FileHandle(forWritingTo: output)
        let standardInput = Pipe()
        process.standardInput = standardInput
        process.standardOutput = handle
        process.standardError = handle
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in continuation.resume() }
            do {
                try process.run()
                try standardInput.fileHandleForWriting.write(contentsOf: Data(input.utf8))
                try standardInput.fileHandleForWriting.close()
            } catch {
                process.terminationHandler = nil
                continuation.resume(throwing: error)
            }
        }
        let text = try String(decoding: Data(contentsOf: output), as: UTF8.self)
        guard process.terminationStatus == 0 else { throw Failure(arguments: arguments, output: text) }
        return text
    }

    /// Runs `openssl s_server` on a free port; it answers each line with the line reversed.
    static func withServer<Value>(
        _ arguments: [String],
        in folder: URL,
        _ body: (_ port: Int) async throws -> Value
    ) async throws -> Value {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = ["s_server", "-accept", "127.0.0.1:0", "-rev"] + arguments
        process.currentDirectoryURL = folder
        let output = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        let (chunks, continuation) = AsyncStream.makeStream(of: String.self)
        try process.run()
        // SIGKILL: the process inherits the signal mask of a worker thread, which blocks SIGTERM.
        defer { kill(process.processIdentifier, SIGKILL) }
        Thread.detachNewThread {
            // Ends when the process does.
            while case let data = output.fileHandleForReading.availableData, !data.isEmpty {
                continuation.yield(String(decoding: data, as: UTF8.self))
            }
            continuation.finish()
        }
        var text = ""
        for await chunk in chunks {
            text += chunk
            guard let match = text.firstMatch(of: /ACCEPT 127\.0\.0\.1:(\d+)\s/), let port = Int(match.1) else {
                continue
            }
            return try await body(port)
        }
        throw Failure(arguments: arguments, output: text)
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
