import NIOCore
import Testing

@testable import SecureTransport

@Suite struct PlaintextBuffersTests {
    private static let streamBytes = 256 * 1024
    private let allocator = ByteBufferAllocator()

    @Test("a large buffer that was let go of is used again")
    func used() {
        var buffers = PlaintextBuffers()
        let first = address(of: fill(&buffers))
        let second = fill(&buffers)
        #expect(address(of: second) == first)
        #expect(second.readableBytes == Self.streamBytes)
    }

    @Test("a buffer that somebody holds keeps its bytes")
    func held() {
        var buffers = PlaintextBuffers()
        let held = fill(&buffers, with: 1)
        let next = fill(&buffers, with: 2)
        #expect(held.readableBytesView.allSatisfy { $0 == 1 })
        #expect(next.readableBytesView.allSatisfy { $0 == 2 })
        #expect(address(of: held) != address(of: next))
    }

    @Test("after a small read nothing is kept")
    func small() {
        var buffers = PlaintextBuffers()
        _ = fill(&buffers)
        #expect(buffers.keptCount == 1)
        _ = fill(&buffers, bytes: 100)
        #expect(buffers.keptCount == 0)
    }

    @Test("a bounded number is kept")
    func bounded() {
        var buffers = PlaintextBuffers()
        let held = (0..<100).map { _ in fill(&buffers) }
        #expect(held.count == 100)
        #expect(buffers.keptCount == PlaintextBuffers.maximumKept)
    }

    private func fill(
        _ buffers: inout PlaintextBuffers,
        bytes: Int = Self.streamBytes,
        with byte: UInt8 = 0x2a
    ) -> ByteBuffer {
        var buffer = buffers.take(capacity: bytes, allocator: allocator)
        buffer.writeRepeatingByte(byte, count: bytes)
        buffers.keep(buffer)
        return buffer
    }

    private func address(of buffer: ByteBuffer) -> UInt {
        unsafe buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
    }
}
