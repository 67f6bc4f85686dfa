import HalibutProtocol
import NIOCore
import Testing

@Suite("Control lines")
struct ControlLineTests {
    @Test("NEXT is read and what follows stays")
    func next() throws {
        var buffer = ByteBuffer(string: "NEXT\r\nrest")
        var reader = LineReader(maximumBytes: 100)
        #expect(try reader.readControlLine(from: &buffer) == .next)
        #expect(String(buffer: buffer) == "rest")
    }
}
