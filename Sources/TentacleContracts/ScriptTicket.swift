import BSON

import FoundationEssentials

/// The caller-chosen id of one script, which makes starting it idempotent (tentacle-services.md 3.3, 3.7).
///
/// Tickets are equal whatever the case of their letters; the text is kept as received, because it names a directory.
package struct ScriptTicket: WireContract, CustomStringConvertible {
    package static let wireTypeName = "Octopus.Shared.Contracts.ScriptTicket, Octopus.Shared"

    package var taskID: String

    package init(taskID: String) {
        self.taskID = taskID
    }

    /// A ticket as the server's builder makes it: base64 of 16 random bytes, letters and digits only.
    package static func unique() -> ScriptTicket {
        var generator = SystemRandomNumberGenerator()
        while true {
            let bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            let text = Data(bytes).base64EncodedString().filter { $0.isLetter || $0.isNumber }
            if text.count >= 10 { return ScriptTicket(taskID: text) }
        }
    }

    /// Whether the ticket can name a directory of its own inside another; all tickets of real servers can.
    package var isValidDirectoryName: Bool {
        let bytes = self.taskID.utf8
        return !bytes.isEmpty && bytes.count <= 255 && !bytes.contains(0) && !bytes.contains(UInt8(ascii: "/"))
            && self.taskID != "." && self.taskID != ".."
    }

    package var description: String { self.taskID }

    private enum CodingKeys: String, CodingKey {
        case taskID = "TaskId"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        guard let taskID = try container.decodeIfPresent(String.self, forKey: .taskID) else {
            throw DecodingError.keyNotFound(
                CodingKeys.taskID,
                .init(codingPath: decoder.codingPath, debugDescription: "A script ticket needs a TaskId.")
            )
        }
        self.taskID = taskID
    }
}

extension ScriptTicket: Hashable {
    package static func == (left: ScriptTicket, right: ScriptTicket) -> Bool {
        left.taskID == right.taskID || left.taskID.lowercased() == right.taskID.lowercased()
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.taskID.lowercased())
    }
}
