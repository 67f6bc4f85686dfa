import Foundation
import Testing

/// Escape hatches from the compiler's checks: each carries its invariant in a comment, and their number only falls.
@Suite struct EscapeHatchTests {
    /// The most there may be in Sources; a number is lowered when one goes.
    static let ratchet: [(pattern: String, most: Int)] = [
        // libssl's context, zlib's two streams: C objects that one owner at a time uses.
        ("@unchecked Sendable", 3),
        ("nonisolated(unsafe)", 0),
        ("swift-format-ignore", 0),
        ("fatalError(", 0),
        ("try!", 0),
    ]

    @Test("escape hatches do not grow in number", arguments: ratchet)
    func doNotGrow(pattern: String, most: Int) throws {
        let lines = try Repository.swiftSources(in: "Sources").flatMap { path, text in
            text.split(separator: "\n")
                .filter { $0.contains(pattern) && !$0.drop(while: { $0 == " " }).hasPrefix("//") }
                .map { "\(path): \($0)" }
        }
        #expect(lines.count <= most, "\(lines.joined(separator: "\n"))")
    }
}
