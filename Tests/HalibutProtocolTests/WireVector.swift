import FoundationEssentials
import NIOCore

/// A golden vector of Tests/Fixtures/wire: hexadecimal bytes, everything after `#` is a remark.
enum WireVector {
    static func load(_ name: String) throws -> [UInt8] {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let data = try Data(contentsOf: URL(filePath: "/\(tests)/Fixtures/wire/\(name).hex"))
        return String(decoding: data, as: UTF8.self).split(separator: "\n").flatMap { line in
            line.prefix { $0 != "#" }.split(separator: " ").compactMap { UInt8($0, radix: 16) }
        }
    }
}

/// Every way to cut bytes into two deliveries, and byte by byte: a decoder must not care.
func deliveries(of bytes: [UInt8], every step: Int = 1) -> [[[UInt8]]] {
    let cuts = stride(from: 0, through: bytes.count, by: step).map { [Array(bytes[..<$0]), Array(bytes[$0...])] }
    return cuts + [bytes.map { [$0] }]
}

extension ByteBuffer {
    /// Everything that is left, as bytes.
    var rest: [UInt8] { Array(self.readableBytesView) }
}
