import Glibc

extension StagedFile {
    /// Removes what writers that were killed have left beside a file: it is as secret as the file itself.
    ///
    /// Only under the lock of the directory: a staged file may be waiting for its commit otherwise.
    package static func removeLeftovers(of path: String) {
        let target = self.resolvingLinks(path)
        let directory = FilePathText.directory(of: target)
        let prefix = FilePathText.name(of: target) + "."
        for name in DirectoryNames.list(directory) where name.hasPrefix(prefix) && name.hasSuffix(".new") {
            let middle = name.dropFirst(prefix.count).dropLast(".new".count)
            let numbers = middle.split(separator: ".", omittingEmptySubsequences: false)
            guard numbers.count == 2, numbers.allSatisfy({ UInt32($0) != nil }) else { continue }
            unlink(directory + "/" + name)
        }
    }
}
