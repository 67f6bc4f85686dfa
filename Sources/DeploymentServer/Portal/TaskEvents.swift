import Foundation
import Hummingbird
import ServerDomain
import ServerStore
import ServiceLifecycle

/// A task's log as server-sent events: what is there already, then what comes, then `end`.
struct TaskEvents: Sendable {
    private static let keepAlive = Duration.seconds(15)
    private static let batch = 500

    let store: Store
    let hub: TaskLogHub
    let taskID: String
    /// The line the browser has seen last, from its `Last-Event-ID`.
    let after: Int64

    func response() -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                try await write(to: &writer)
                try await writer.finish(nil)
            }
        )
    }

    @concurrent
    private func write(to writer: inout any ResponseBodyWriter) async throws {
        let (wakeups, waker) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        // Subscribed before the first look, so that no change falls between.
        let changes = hub.changes(of: taskID)
        let forwarding = Task { for await _ in changes { waker.yield() } }
        let beating = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: Self.keepAlive)
                waker.yield()
            }
        }
        defer {
            forwarding.cancel()
            beating.cancel()
        }
        waker.yield()
        var position = after
        var lastState: [UInt8] = []
        for await _ in wakeups.cancelOnGracefulShutdown() {
            if try await writeNews(to: &writer, &position, &lastState) { return }
        }
    }

    /// Writes what is new; true when the task is over and everything has been written.
    @concurrent
    private func writeNews(
        to writer: inout any ResponseBodyWriter,
        _ position: inout Int64,
        _ lastState: inout [UInt8]
    ) async throws -> Bool {
        var isFirst = true
        while true {
            let (taskID, from) = (self.taskID, position)
            let (task, nodes, entries) = try await store.read { tx in
                (
                    try tx.find(ServerTask.self, id: taskID), try tx.nodes(taskID: taskID),
                    try tx.log(taskID: taskID, after: from, limit: Self.batch)
                )
            }
            guard let task else { return true }
            var buffer = ByteBuffer()
            let state = Self.state(task, nodes).serialized()
            if state != lastState {
                Self.append("state", state, id: nil, to: &buffer)
                lastState = state
            }
            let names = Dictionary(nodes.map { ($0.id, $0.name) }, uniquingKeysWith: { first, _ in first })
            for entry in entries {
                let line = Self.line(entry, target: names[entry.nodeID] ?? "")
                Self.append("line", line.serialized(), id: entry.sequence, to: &buffer)
                position = entry.sequence
            }
            let isOver = task.state.isCompleted && entries.count < Self.batch
            if isOver { Self.append("end", Self.state(task, []).serialized(), id: nil, to: &buffer) }
            if buffer.readableBytes == 0, isFirst { buffer.writeString(": still here\n\n") }
            isFirst = false
            if buffer.readableBytes > 0 { try await writer.write(buffer) }
            if isOver { return true }
            if entries.count < Self.batch { return false }
        }
    }

    private static func append(_ event: String, _ data: [UInt8], id: Int64?, to buffer: inout ByteBuffer) {
        if let id { buffer.writeString("id: \(id)\n") }
        // JSON has no raw line ends, so that one data line is enough.
        buffer.writeString("event: \(event)\ndata: ")
        buffer.writeBytes(data)
        buffer.writeString("\n\n")
    }

    private static func state(_ task: ServerTask, _ nodes: [ActivityNode]) -> JSONValue {
        [
            "state": .string(task.state.rawValue), "error": .string(task.errorMessage),
            "nodes": .array(
                nodes.map {
                    [
                        "id": .string($0.id), "parent": JSONValue(orNull: $0.parentID), "name": .string($0.name),
                        "status": .string($0.status.rawValue),
                    ]
                }
            ),
        ]
    }

    private static func line(_ entry: TaskLogEntry, target: String) -> JSONValue {
        [
            "node": .string(entry.nodeID), "target": .string(target), "category": .string(entry.category.rawValue),
            "time": .string(WireTime.text(entry.occurredAt)), "text": .string(entry.text),
        ]
    }
}
