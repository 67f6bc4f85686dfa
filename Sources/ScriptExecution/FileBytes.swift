internal import CLinux
internal import Glibc
internal import LauncherProtocol

/// Copying bytes between descriptors in bounded pieces.
enum FileBytes {
    static let chunkBytes = 262_144

    static func write(_ bytes: ArraySlice<UInt8>, to file: Int32, name: String) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ScriptWorkspaces.failure("write", name, count == 0 ? ENOSPC : errno) }
            rest = rest.dropFirst(count)
        }
    }
}

extension StagedStream {
    /// The bytes in order, in pieces of at most 256 KiB.
    func forEachChunk(_ body: (ArraySlice<UInt8>) throws -> Void) throws {
        switch self {
        case .bytes(let bytes): try body(bytes[...])
        case .file(let path, _):
            let file = unsafe clinux_open(path, O_RDONLY, 0)
            guard file >= 0 else { throw ScriptWorkspaces.failure("open", path, -file) }
            defer { close(file) }
            var buffer = [UInt8](repeating: 0, count: FileBytes.chunkBytes)
            while true {
                let count = unsafe read(file, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw ScriptWorkspaces.failure("read", path, errno) }
                guard count > 0 else { return }
                try body(buffer[..<count])
            }
        }
    }
}
