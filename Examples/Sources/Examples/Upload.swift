import FoundationEssentials
import Halibut

/// A file goes to the service behind the message that mentions it, and comes back as a result.
func upload() async throws {
    let serviceIdentity = try TLSIdentity.generate(commonName: "File store")
    let clientIdentity = try TLSIdentity.generate(commonName: "Caller")
    let folder = FileManager.default.temporaryDirectory.appending(path: "halibut-example-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }

    var files = RPCService("IFileStore")
    files.method("Upload") { (_, name: String, contents: DataStream) in
        guard let received = contents.received, !name.contains("/") else {
            throw RPCServiceError("'\(name)' is not the name of a file.")
        }
        // The bytes are in a file already, which is gone when the call ends: take it over.
        try received.move(to: "\(folder)/\(name)")
        return received.length
    }
    files.method("Download") { (_, name: String) in
        guard !name.contains("/") else { throw RPCServiceError("'\(name)' is not the name of a file.") }
        return try DataStream(file: "\(folder)/\(name)")
    }

    let listener = HalibutListener(
        host: "127.0.0.1",
        port: 0,
        identity: serviceIdentity,
        trust: TrustedPeers([clientIdentity.thumbprint]),
        dispatcher: RPCServices([files])
    )
    try await whileRunning(listener.run) {
        let client = try HalibutClient(identity: clientIdentity)
        let store = RemoteService(
            "IFileStore",
            at: try ServiceEndPoint(
                "https://127.0.0.1:\(try await listener.boundPort)",
                remoteThumbprint: serviceIdentity.thumbprint
            ),
            client: client
        )
        let source = "\(folder)/source"
        try Data(repeating: 0x61, count: 5_000_000).write(to: URL(filePath: source))

        let stored: Int = try await store.call("Upload", "copy", DataStream(file: source))
        print("  Upload: \(stored) bytes stored")
        let copy: DataStream = try await store.call("Download", "copy")
        print("  Download: \(try copy.received?.readAll().count ?? 0) bytes came back")
        await client.close()
    }
}
