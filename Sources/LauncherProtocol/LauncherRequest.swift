/// What the agent asks of a launcher: one line of JSON on the connection (DESIGN.md 2).
///
/// The ticket is all it carries. Where scripts live and what they may do comes from the launcher's own arguments and
/// root-owned configuration, so that this line is all a launcher parses from the network-facing process.
package enum LauncherRequest: Equatable, Sendable {
    /// `{"start":"<ticket>"}`
    case start(ScriptTicketName)
    /// `{"cancel":"<ticket>"}`
    case cancel(ScriptTicketName)
    /// `{"remove":"<ticket>"}`: what is left of a workspace that the agent has given up (`ScriptDirectories.removedPrefix`):
    /// a script of root's leaves directories that only root can empty.
    case remove(ScriptTicketName)

    /// One request with its newline; a ticket of 200 bytes, each escaped, fits.
    package static let maximumBytes = 2048

    package init(line: [UInt8]) throws(LauncherProtocolError) {
        guard line.count <= Self.maximumBytes else { throw LauncherProtocolError("the request is too long") }
        guard case .object(let members) = try JSONText(bytes: line), members.count == 1,
            let text = members[0].value.string
        else {
            throw LauncherProtocolError("expected {\"start\": ticket}, {\"cancel\": ticket} or {\"remove\": ticket}")
        }
        switch members[0].name {
        case "start": self = .start(try ScriptTicketName(text))
        case "cancel": self = .cancel(try ScriptTicketName(text))
        case "remove": self = .remove(try ScriptTicketName(text))
        default: throw LauncherProtocolError("unknown request \"\(members[0].name)\"")
        }
    }

    package var line: [UInt8] {
        let (name, ticket) =
            switch self {
            case .start(let ticket): ("start", ticket)
            case .cancel(let ticket): ("cancel", ticket)
            case .remove(let ticket): ("remove", ticket)
            }
        return JSONText.object([.init(name, .string(ticket.description))]).encoded() + [0x0A]
    }
}

/// What the launcher answers: one line of JSON.
package enum LauncherReply: Equatable, Sendable {
    /// The script is this launcher's: it holds the lock and `state.json` says Running. It goes on after the connection.
    case started
    /// Somebody ran or runs it already; nothing was started.
    case alreadyStarted
    /// The whole tree is gone and the final state is on disk.
    case cancelled
    /// There was no supervisor to tell; the script is over or never began.
    case notRunning
    /// Nothing of the workspace is left.
    case removed
    case failed(String)

    package static let maximumBytes = 4096

    private static let words: [(String, LauncherReply)] = [
        ("started", .started), ("already started", .alreadyStarted), ("cancelled", .cancelled),
        ("not running", .notRunning), ("removed", .removed),
    ]

    package init(line: [UInt8]) throws(LauncherProtocolError) {
        let json = try JSONText(bytes: line)
        if let error = json["error"]?.string {
            self = .failed(error)
        } else if let word = json["ok"]?.string, let known = Self.words.first(where: { $0.0 == word }) {
            self = known.1
        } else {
            throw LauncherProtocolError("the launcher gave an answer that is not understood")
        }
    }

    package var line: [UInt8] {
        let member: JSONText.Member
        if case .failed(let text) = self {
            member = .init("error", .string(String(text.prefix(1000))))
        } else {
            member = .init("ok", .string(Self.words.first { $0.1 == self }?.0 ?? ""))
        }
        return JSONText.object([member]).encoded() + [0x0A]
    }
}
