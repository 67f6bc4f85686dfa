import FoundationEssentials

/// A golden vector of Tests/Fixtures/wire: hexadecimal bytes, everything after `#` is a remark.
///
/// The vectors come from the specification and from pymongo, never from the code under test.
enum WireVector {
    static func load(_ name: String, file: String = #filePath) throws -> [UInt8] {
        let tests = file.split(separator: "/").dropLast(2).joined(separator: "/")
        let data = try Data(contentsOf: URL(filePath: "/\(tests)/Fixtures/wire/\(name).hex"))
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n").map { $0.prefix { $0 != "#" } }
        return try lines.joined(separator: " ").split(separator: " ").map { digits in
            guard digits.count == 2, let byte = UInt8(digits, radix: 16) else { throw Malformed(name: name) }
            return byte
        }
    }

    struct Malformed: Error { let name: String }
}

/// Bytes from readable hexadecimal text.
func hex(_ text: String) -> [UInt8] {
    text.split(whereSeparator: \.isWhitespace).compactMap { UInt8($0, radix: 16) }
}
