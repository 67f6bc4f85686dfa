import AgentConfiguration
import FoundationEssentials

/// A directory of its own for one test, as root of a host of its own; gone afterwards.
final class Scratch {
    let path: String
    var host: HostFiles

    init(machineID: String? = "816490f117f14c7a8fa2697781ed795b") throws {
        self.path = FileManager.default.temporaryDirectory.path + "/tentacle-test-\(UUID().uuidString)"
        self.host = HostFiles(root: self.path, environment: ["USER": "tester"], currentDirectory: self.path + "/cwd")
        try DurableFile.makeDirectory(self.path + "/cwd")
        try DurableFile.makeDirectory(self.path + "/etc")
        try DurableFile.makeDirectory(self.path + "/home")
        if let machineID { try self.write(machineID + "\n", "etc/machine-id") }
    }

    /// Of a configuration file `home/tentacle.config`.
    var secrets: SecretProtection {
        SecretProtection(host: self.host, configurationPath: self.path + "/home/tentacle.config")
    }

    /// In a `defer`, which also keeps the directory until the end of the test.
    func remove() { try? FileManager.default.removeItem(atPath: self.path) }

    @discardableResult
    func write(_ text: String, _ name: String) throws -> String {
        let path = self.path + "/" + name
        try DurableFile.makeDirectory(FilePathText.directory(of: path))
        try DurableFile.write(Array(text.utf8), to: path, mode: 0o600)
        return path
    }

    func text(_ name: String) throws -> String {
        String(decoding: try DurableFile.read(self.path + "/" + name), as: UTF8.self)
    }

    func names(in directory: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: self.path + "/" + directory)) ?? []).sorted()
    }

    func mode(_ name: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: self.path + "/" + name)
        return (attributes[.posixPermissions] as? Int) ?? -1
    }
}
