import AgentConfiguration
import Glibc
import NIOCore
import NIOPosix

/// Tells when the configuration file has been written (inotify), without a thread and without looking again and again.
///
/// The directory is watched, not the file: a command puts a new file in the old one's place.
struct ConfigurationWatch: Sendable {
    private let directory: String
    private let name: String

    /// Links are followed, as those who write the file do.
    init(path: String) {
        var path = path
        if let resolved = realpath(path, nil) {
            path = String(cString: resolved)
            free(resolved)
        }
        self.directory = FilePathText.directory(of: path)
        self.name = FilePathText.name(of: path)
    }

    /// Calls `changed` once at the start, and after each change until the task is cancelled.
    ///
    /// - Throws: `IOError` where the kernel has no more watches.
    func run(on eventLoops: any EventLoopGroup, _ changed: () async -> Void) async throws {
        let descriptor = inotify_init1(CInt(IN_CLOEXEC) | CInt(IN_NONBLOCK))
        guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "inotify_init1") }
        // The stock agent writes in place, we rename.
        let mask = UInt32(IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR)
        guard inotify_add_watch(descriptor, directory, mask) >= 0 else {
            let error = IOError(errnoCode: errno, reason: "inotify_add_watch")
            close(descriptor)
            throw error
        }
        // One change that has not been looked at stands for all that came meanwhile.
        let (changes, change) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let name = name
        let channel = try await NIOPipeBootstrap(group: eventLoops)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(EventReader(name: name, change: change))
                }
            }
            .takingOwnershipOfDescriptor(input: descriptor).get()
        // Between the start of the program and that of the watch, too, something may have changed.
        change.yield()
        for await _ in changes { await changed() }
        try? await channel.close()
    }
}

/// Reads the kernel's records: watch, mask, cookie, length of the name, name.
private final class EventReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let name: [UInt8]
    private let change: AsyncStream<Void>.Continuation

    init(name: String, change: AsyncStream<Void>.Continuation) {
        self.name = Array(name.utf8)
        self.change = change
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var records = unwrapInboundIn(data)
        while let head = records.readSlice(length: 12),
            let length = records.readInteger(endianness: .host, as: UInt32.self),
            let text = records.readBytes(length: Int(length))
        {
            let mask = head.getInteger(at: head.readerIndex + 4, endianness: .host, as: UInt32.self) ?? 0
            if mask & UInt32(IN_Q_OVERFLOW) != 0 || text.prefix(while: { $0 != 0 }).elementsEqual(name) {
                change.yield()
            }
        }
    }

    func channelInactive(context: ChannelHandlerContext) { change.finish() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
