package import Foundation
package import SecureTransport

/// `openssl s_server` with our certificate: the peer in C over the same libssl.
package struct OpenSSLServer {
    private let certificate: URL
    private let port = Int.random(in: 32000..<44000)
    private static let openssl = "/usr/bin/openssl"

    package init(folder: URL, identity: TLSIdentity) throws {
        certificate = folder.appending(path: "peer.pem")
        try identity.pem(includingPrivateKey: true).write(to: certificate, atomically: true, encoding: .utf8)
    }

    /// Starts it; returns when it accepts connections.
    package func start() throws -> Process {
        try launch([]).process
    }

    package func measureStart() throws -> Duration {
        let (process, took) = try launch([])
        process.terminate()
        process.waitUntilExit()
        return took
    }

    /// The time that `s_client` takes to send a file to `s_server`, which drops it.
    package func measureTransfer(of file: URL) throws -> Duration {
        let (server, _) = try launch(["-naccept", "1"])
        let input = try FileHandle(forReadingFrom: file)
        let startedAt = ContinuousClock.now
        // The server ends with its one connection, so its end says that all bytes were read.
        try Tool.run(
            Self.openssl,
            ["s_client", "-connect", "127.0.0.1:\(port)", "-quiet", "-no_ign_eof", "-nocommands"],
            input: input
        )
        server.waitUntilExit()
        return ContinuousClock.now - startedAt
    }

    private func launch(_ options: [String]) throws -> (process: Process, took: Duration) {
        try Tool.start(
            Self.openssl,
            ["s_server", "-accept", "127.0.0.1:\(port)", "-cert", certificate.path, "-key", certificate.path] + options,
            // A pipe that nobody writes to: at the end of its standard input the server would stop.
            input: Pipe(),
            until: "ACCEPT"
        )
    }
}
