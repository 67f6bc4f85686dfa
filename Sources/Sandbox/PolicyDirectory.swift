internal import CLinux
internal import Glibc

/// The policies of this machine: the three profiles, and a file for each other one.
///
/// A file counts only where nobody but root and the launcher's user can have written it.
package struct PolicyDirectory {
    package static let standardPath = "/etc/tentacle/policies"
    private static let ending = ".toml"

    package let path: String

    package init(path: String = standardPath) { self.path = path }

    private func filePath(_ name: String) -> String { path + "/" + name + Self.ending }

    /// What files there are, by name; also those that `policy(named:)` refuses, so that somebody hears of them.
    package func names() throws(SettingsFileError) -> [String] {
        var names: [String] = []
        let directory = try open()
        DirectoryEntries.forEach(takingOver: directory ?? -1) { _, file, _ in
            if file.hasSuffix(Self.ending), !file.hasPrefix(".") {
                names.append(String(file.dropLast(Self.ending.count)))
            }
            return true
        }
        return names.sorted()
    }

    /// A profile, or what a file says.
    package func policy(named name: String) throws(SettingsFileError) -> SandboxPolicy {
        if let profile = SandboxPolicy.profile(name) {
            try refuseFile(of: name)
            return profile
        }
        guard PolicyName.isValid(name) else {
            throw SettingsFileError(filePath(name), "the name of a policy has \(PolicyName.form)")
        }
        guard let directory = try open() else { throw unknown(name) }
        defer { close(directory) }
        let file = filePath(name)
        let limit = PolicyFile.maximumBytes
        guard let bytes = try OwnedFile.read(name + Self.ending, in: directory, path: file, limit: limit) else {
            throw unknown(name)
        }
        return try PolicyFile.policy(bytes, name: name, path: file)
    }

    /// Nobody shall think that it is in force.
    private func refuseFile(of profile: String) throws(SettingsFileError) {
        let file = filePath(profile)
        guard unsafe access(file, F_OK) == 0 else { return }
        throw SettingsFileError(
            file,
            "\(profile) is built in and cannot be redefined; give the file another name, and say base = \"\(profile)\" in it"
        )
    }

    private func unknown(_ name: String) -> SettingsFileError {
        let files = ((try? names()) ?? []).filter { PolicyName.isValid($0) && SandboxPolicy.profile($0) == nil }
        let known = (["none", "standard", "strict"] + files).joined(separator: ", ")
        return SettingsFileError(filePath(name), "there is no such file, so no policy \(name); known are \(known)")
    }

    /// Nil when there is no such directory.
    private func open() throws(SettingsFileError) -> Int32? {
        let directory = unsafe clinux_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
        if directory == -ENOENT { return nil }
        guard directory >= 0 else { throw SettingsFileError(path, OwnedFile.openFailure(-directory)) }
        do throws(SettingsFileError) {
            try OwnedFile.check(directory, path)
        } catch {
            close(directory)
            throw error
        }
        return directory
    }
}
