import BSON
import FoundationEssentials
import Halibut
import HalibutProtocol
import HalibutTesting
import Testing

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

@Suite("Files behind data streams", .timeLimit(.minutes(4)))
struct DataStreamFileTests {
    @Test("of two receivers of a stream one gets it, the other upstream's text")
    func twoReceivers() async throws {
        let text = "This stream has already been received once, and it cannot be read again."
        try await FaultFixture.with(.listening) { fixture in
            let response = try await fixture.call("Download", [.int64(100_000)])
            let stream = try #require(response.streams.values.first)
            // One that fails has not taken it.
            #expect(throws: HalibutError.self) { try stream.move(to: "/no/such/directory/x") }
            #expect(try stream.readAll().count == 100_000)
            let targets = ["a", "b"].map { "\(fixture.spoolPath)/\($0)" }
            let errors = await withTaskGroup(of: HalibutError?.self) { group in
                for target in targets {
                    group.addTask {
                        do throws(HalibutError) {
                            try stream.move(to: target)
                            return nil
                        } catch {
                            return error
                        }
                    }
                }
                return await group.reduce(into: [HalibutError?]()) { $0.append($1) }
            }
            #expect(errors.compactMap { $0?.message } == [text])
            let files = targets.filter { FileManager.default.fileExists(atPath: $0) }
            #expect(files.count == 1)
            #expect(try Data(contentsOf: URL(filePath: try #require(files.first))).count == 100_000)
            let error = #expect(throws: HalibutError.self) { try stream.readAll() }
            #expect(error?.message == text)
        }
    }

    @Test(
        "of a file that grows while it is sent, what was announced goes out",
        arguments: FaultFixture.Mode.allCases
    )
    func growing(_ mode: FaultFixture.Mode) async throws {
        // More than all buffers on the way hold.
        let count = 16 * 1024 * 1024
        try await FaultFixture.with(mode) { fixture in
            try await fixture.hello()
            let connection = try #require(fixture.forwarder.connections.last)
            let connections = fixture.forwarder.connections.count
            let path = "\(fixture.spoolPath)/growing"
            try Data(count: count).write(to: URL(filePath: path))
            let stream = try OutgoingDataStream(file: path)
            try grow(path)
            let passed = connection.bytes(mode.requests)
            await connection.apply(.hold, mode.requests, afterNext: 1_000_000)
            async let response = fixture.call("CountBytes", [stream.reference(typed: true)], [stream])
            try await connection.forwarded(passed + 1_000_000, mode.requests)
            try grow(path)
            connection.release()
            #expect(try await response.value == .int64(Int64(count)))
            try await fixture.hello()
            #expect(fixture.forwarder.connections.count == connections)
        }
    }

    private func grow(_ path: String) throws {
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        defer { close(descriptor) }
        #expect(write(descriptor, "more", 4) == 4)
    }

    @Test(
        "a disk that is full fails the call that needs it and no other",
        arguments: FaultFixture.Mode.allCases
    )
    func fullDisk(_ mode: FaultFixture.Mode) async throws {
        let disk = Disk()
        try await FaultFixture.with(mode, connections: 2, disk: disk) { fixture in
            let upload = OutgoingDataStream(bytes: [UInt8](repeating: 7, count: 3_000_000))
            @Sendable func send() async throws -> BSONValue {
                try await fixture.call("CountBytes", [upload.reference(typed: true)], [upload]).value
            }
            try await fixture.waiting("g") { gate in
                disk.isFull = true
                let sent = try await FaultFixture.Outcome { _ = try await send() }
                #expect(sent == .brokeWhileTransferring)
                try await fixture.log.until("No space left on device")
                let error = try await #require(throws: HalibutError.self) {
                    _ = try await fixture.call("Download", [.int64(3_000_000)])
                }
                #expect(error.message.contains("No space left on device"))
                #expect(error.code == .local)
                try await untilAsync { fixture.spooledFiles.isEmpty }
                disk.isFull = false
                gate.open()
            }
            try await fixture.helloAtLast()
            #expect(try await send() == .int64(3_000_000))
        }
    }
}
