import FoundationEssentials
import ProcessTesting

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// The independent reference peer, a Python program outside this repository.
///
/// Found at `$HALIBUT_PEER` or beside the shared specification; it needs `pip install pymongo cryptography`.
struct PythonPeer: Sendable {
    static let path: String? = {
        let path = getenv("HALIBUT_PEER").map { String(cString: $0) } ?? "/work/shared/peers/halibut_peer.py"
        return access(path, R_OK) == 0 ? path : nil
    }()

    /// Whether the peer and its Python packages are here.
    static let isAvailable = Task {
        guard path != nil else { return false }
        return try await RunningProgram("python3", ["-c", "import bson, cryptography"]).outcome().status == 0
    }

    /// A key and certificate of the peer's making, in a scratch directory.
    let directory: String
    let thumbprint: String
    var certificate: String { "\(directory)/peer.pem" }

    init() async throws {
        var template = Array("\(FileManager.default.temporaryDirectory.path)/halibut-peer-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("no scratch directory") }
        self.directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        let arguments = [Self.path ?? "", "gen-cert", "\(self.directory)/peer.pem"]
        self.thumbprint = try await RunningProgram("python3", arguments).outcome().output.trimmed
    }

    func remove() {
        try? FileManager.default.removeItem(atPath: self.directory)
    }

    /// Starts one of the peer's roles.
    func start(_ command: String, _ arguments: [String]) throws -> RunningProgram {
        try RunningProgram("python3", [Self.path ?? "", command, "--cert", self.certificate] + arguments)
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }
}

extension RunningProgram {
    /// Where the peer says that it listens.
    func listeningPort() async throws -> Int {
        let prefix = "listening on "
        guard let line = await line(containing: prefix), line.hasPrefix(prefix),
            let port = Int(line.dropFirst(prefix.count).prefix { $0 != " " })
        else { throw PythonPeer.Failure("the peer does not listen") }
        return port
    }
}

extension String {
    fileprivate var trimmed: String {
        String(self.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
