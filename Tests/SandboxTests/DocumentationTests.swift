import Foundation
import Testing

@testable import Sandbox

/// `docs/sandbox.md` against the code.
@Suite struct DocumentationTests {
    private static let page = Result {
        try String(
            contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/sandbox.md"),
            encoding: .utf8
        )
    }

    /// Indented blocks, without the indent.
    private func blocks() throws -> [String] {
        var blocks: [String] = []
        var isInside = false
        for line in try Self.page.get().split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("    ") {
                if !isInside { blocks.append("") }
                blocks[blocks.count - 1] += line.dropFirst(4) + "\n"
                isInside = true
            } else if line.isEmpty, isInside {
                blocks[blocks.count - 1] += "\n"
            } else {
                isInside = false
            }
        }
        return blocks
    }

    @Test("its policies are policies")
    func policies() throws {
        let texts = try self.blocks().filter { $0.contains("base = ") }
        #expect(texts.count == 2)
        for text in texts { _ = try PolicyFile.policy(Array(text.utf8), name: "example", path: "docs/sandbox.md") }
    }

    @Test("its settings of the machine are settings")
    func settings() throws {
        let texts = try self.blocks().filter { $0.contains("[[rule]]") }
        #expect(texts.count == 1)
        for text in texts { _ = try MachineSettings(Array(text.utf8), path: "docs/sandbox.md") }
    }

    @Test("every key that a policy has is in its table, in the right part of it")
    func keys() throws {
        let rows = try Self.page.get().split(separator: "\n").filter { $0.hasPrefix("|") }
        for line in PolicyFile.text(of: .strict).split(separator: "\n") where !line.isEmpty {
            if line.hasPrefix("[") {
                #expect(rows.contains { $0.hasPrefix("| **`\(line)`**") }, "\(line)")
            } else if let key = line.wholeMatch(of: /([a-z-]+) = .*/)?.1 {
                #expect(rows.contains { $0.prefix(60).contains("`\(key)`") }, "\(key)")
            }
        }
        for key in ["visible", "add-capabilities", "drop-capabilities"] {
            #expect(rows.contains { $0.contains("`\(key)`") })
        }
    }

    @Test("what it says that standard lacks and may only read is what standard lacks and may only read")
    func standard() throws {
        let words = Set(try Self.page.get().split { !($0.isLetter || $0.isNumber || "_/.-".contains($0)) })
        for name in SandboxPolicy.standard.identity.capabilities.missingNames {
            #expect(words.contains(Substring(name)), "\(name)")
        }
        for path in SandboxPolicy.standard.files.readOnly { #expect(words.contains(Substring(path)), "\(path)") }
    }
}
