import FuzzSupport
import HalibutProtocol
import NIOCore

/// The machines of a connection: bytes choose events, what a peer sends comes through the readers of the wire.
///
/// Each driver keeps its own book of what has been promised and checks every answer against it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzMachines(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    switch input.below(6) {
    case 0: listener(&input)
    case 1: client(&input)
    case 2: pollingService(&input)
    case 3: attempts(&input)
    case 4: conversation(&input)
    default: clientConversation(&input)
    }
    return 0
}

// MARK: What a peer says

func opening(_ input: inout FuzzInput) -> Opening {
    let bytes = [Array("MX\r\n\r\n".utf8), Array("MX\n\n".utf8), Array("HELLO\r\n\r\n".utf8), []]
    var buffer = ByteBuffer(bytes: input.flag() ? bytes[input.below(4)] : input.take(input.below(8)))
    var reader = OpeningReader(maximumBytes: 100)
    return reader.read(from: &buffer, atEnd: true) ?? .empty
}

/// An identity, if the bytes are one.
func identity(_ input: inout FuzzInput) -> RemoteIdentity? {
    var buffer = ByteBuffer()
    switch input.below(5) {
    case 0: buffer.writeString("MX-CLIENT 1.0\r\n\r\n")
    case 1: buffer.writeString("MX-SERVER 1.0\r\n\r\n")
    case 2: buffer.writeString("MX-SUBSCRIBER 1.0 poll://a/\r\n\r\n")
    default: buffer.writeBytes(input.take(input.below(64)) + Array("\r\n\r\n".utf8))
    }
    var reader = IdentityReader(maximumBytes: 100)
    return (try? reader.read(from: &buffer)) ?? nil
}

/// A control line, if the bytes are one.
func controlLine(_ input: inout FuzzInput) -> ControlLine? {
    var buffer = ByteBuffer()
    switch input.below(5) {
    case 0: buffer.writeString("NEXT\r\n")
    case 1: buffer.writeString("PROCEED\r\n")
    case 2: buffer.writeString("\r\nEND\r\n")
    default: buffer.writeBytes(input.take(input.below(16)) + Array("\r\n".utf8))
    }
    var reader = LineReader(maximumBytes: 100)
    return (try? reader.readControlLine(from: &buffer)) ?? nil
}

/// The id of a message, or none: few of them, so that the right one is often hit.
func messageID(_ input: inout FuzzInput) -> String? { ["1", "2", "3", nil][input.below(4)] }
