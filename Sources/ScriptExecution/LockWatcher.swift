internal import CLinux
internal import Dispatch
internal import Glibc
internal import LauncherProtocol
internal import Synchronization

/// Tells when the process that held a script's lock is gone, without asking again and again.
///
/// One inotify instance for all scripts: the kernel reports IN_CLOSE_WRITE on `state.lock` when its holder closes it,
/// which for a launcher is its end, however it ends. Works for launchers that are not our children.
final class LockWatcher: Sendable {
    private struct State {
        var waiting: [Int32: [AsyncStream<Void>.Continuation]] = [:]
    }

    private let descriptor: Int32
    private let source: ReadableDescriptor?
    private let state = Mutex(State())

    /// When the kernel has no instance left (`fs.inotify.max_user_instances`), `events` falls back to a clock.
    init() {
        descriptor = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        guard descriptor >= 0 else {
            source = nil
            return
        }
        let source = ReadableDescriptor()
        self.source = source
        source.watch(descriptor) { [weak self] in self?.readEvents() }
    }

    deinit { source?.cancel() }

    /// An element whenever somebody who could have held the lock is gone.
    ///
    /// Make it first, then look at the lock.
    func events(of directory: borrowing WorkspaceDirectory) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let path = "/proc/self/fd/\(directory.descriptor)/\(WorkspaceDirectory.lockFileName)"
        let watched = state.withLock { state in
            let watch = unsafe inotify_add_watch(descriptor, path, UInt32(IN_CLOSE_WRITE | IN_DELETE_SELF))
            guard watch >= 0 else { return false }
            state.waiting[watch, default: []].append(continuation)
            return true
        }
        return watched ? stream : Self.ticks()
    }

    private static func ticks() -> AsyncStream<Void> {
        AsyncStream { try? await Task.sleep(for: .milliseconds(50)) }
    }

    private func readEvents() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return }
        var offset = 0
        let header = MemoryLayout<inotify_event>.size
        while offset + header <= count {
            let event = unsafe buffer.withUnsafeBytes {
                unsafe $0.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
            }
            deliver(event)
            offset += header + Int(event.len)
        }
    }

    private static func isOver(_ continuation: AsyncStream<Void>.Continuation) -> Bool {
        if case .terminated = continuation.yield() { return true }
        return false
    }

    private func deliver(_ event: inotify_event) {
        state.withLock { state in
            if event.mask & UInt32(IN_IGNORED) != 0 {
                for continuation in state.waiting.removeValue(forKey: event.wd) ?? [] { continuation.finish() }
                return
            }
            state.waiting[event.wd]?.removeAll(where: Self.isOver)
            guard state.waiting[event.wd]?.isEmpty == true else { return }
            state.waiting[event.wd] = nil
            inotify_rm_watch(descriptor, event.wd)
        }
    }
}

/// Calls a handler whenever a descriptor is readable, and closes it when told to stop.
final class ReadableDescriptor: Sendable {
    private let source = Mutex<(any DispatchSourceRead)?>(nil)

    /// Takes over the descriptor.
    func watch(_ descriptor: Int32, _ handler: @escaping @Sendable () -> Void) {
        source.withLock { source in
            let queue = DispatchQueue(label: "tentacle.readable")
            let new = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
            new.setEventHandler(handler: handler)
            new.setCancelHandler { close(descriptor) }
            new.resume()
            source = new
        }
    }

    func cancel() { source.withLock { $0?.cancel() } }
}
