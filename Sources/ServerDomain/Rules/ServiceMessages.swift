import FoundationEssentials

/// One `##octopus[name key='base64' …]` message (deployment-steps.md 2.1).
package struct ServiceMessage: Hashable, Sendable {
    package var name: String
    package var attributes: [String: String]

    package init(name: String, attributes: [String: String] = [:]) {
        (self.name, self.attributes) = (name, attributes)
    }

    /// Parses what stands between the brackets; nil when it is not well-formed.
    package init?(body: Substring) {
        var rest = body
        let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
        guard !name.isEmpty else { return nil }
        rest = rest.dropFirst(name.count)
        self.init(name: String(name))
        while true {
            let trimmed = rest.drop(while: \.isWhitespace)
            if trimmed.isEmpty { return }
            guard trimmed.startIndex != rest.startIndex, let equals = trimmed.firstIndex(of: "=") else { return nil }
            let key = trimmed[..<equals].trimmingSpaces
            let quoted = trimmed[trimmed.index(after: equals)...]
            guard !key.isEmpty, let quote = quoted.first, quote == "'" || quote == "\"" else { return nil }
            let value = quoted.dropFirst()
            guard let end = value.firstIndex(of: quote), let bytes = Data(base64Encoded: String(value[..<end])),
                let text = String(validating: bytes, as: UTF8.self)
            else { return nil }
            attributes[key.lowercased()] = text
            rest = value[value.index(after: end)...]
        }
    }
}

/// Turns a script's output lines into log lines and messages; one for each script execution.
///
/// Messages may begin anywhere in a line, several to a line, and run over several lines of the same stream.
package struct ScriptOutputInterpreter: Sendable {
    package enum Stream: Sendable { case output, error, debug }

    package enum Item: Hashable, Sendable {
        case line(TaskLogEntry.Category, String)
        case message(ServiceMessage)
    }

    /// A message longer than this is taken for text.
    package static let maximumMessageLength = 1_048_576
    private static let opening = "##octopus["

    private var outputLevel: TaskLogEntry.Category? = .info
    private var errorLevel: TaskLogEntry.Category? = .error
    private var unfinished: [Bool: String] = [:]

    package init() {}

    package mutating func interpret(_ text: String, from stream: Stream) -> [Item] {
        if stream == .debug { return [.line(.verbose, text)] }
        let isError = stream == .error
        let continued = unfinished.removeValue(forKey: isError)
        if continued == nil, !text.contains(Self.opening) { return line(text, isError: isError) }
        var items: [Item] = []
        var rest = ((continued ?? "") + text)[...]
        while let start = rest.firstRange(of: Self.opening) {
            let before = rest[..<start.lowerBound]
            if !before.isEmpty { items += line(String(before), isError: isError) }
            guard let end = rest[start.upperBound...].firstIndex(of: "]") else {
                if rest.utf8.count > Self.maximumMessageLength { return items + line(String(rest), isError: isError) }
                unfinished[isError] = String(rest[start.lowerBound...])
                return items
            }
            items += message(rest[start.upperBound..<end])
            rest = rest[rest.index(after: end)...]
        }
        if !rest.isEmpty { items += line(String(rest), isError: isError) }
        return items
    }

    /// What is left at the end of the script: a message that never ended is text after all.
    package mutating func finish() -> [Item] {
        let left = unfinished
        unfinished = [:]
        return left.flatMap { line($0.value, isError: $0.key) }
    }

    private func line(_ text: String, isError: Bool) -> [Item] {
        guard let level = isError ? errorLevel : outputLevel else { return [] }
        return [.line(level, text)]
    }

    private mutating func message(_ body: Substring) -> [Item] {
        guard let message = ServiceMessage(body: body) else {
            return [.line(.warning, "Could not parse '##octopus[\(body)]'")]
        }
        switch message.name {
        case "stdout-default": outputLevel = .info
        case "stdout-verbose": outputLevel = .verbose
        case "stdout-warning": outputLevel = .warning
        case "stdout-error": outputLevel = .error
        case "stdout-highlight": outputLevel = .highlight
        case "stdout-wait": outputLevel = .wait
        case "stdout-ignore": outputLevel = nil
        case "stderr-default", "stderr-error": errorLevel = .error
        case "stderr-progress": errorLevel = .verbose
        case "stderr-ignore": errorLevel = nil
        default: return [.message(message)]
        }
        return []
    }
}

/// The texts a task's log must not show (deployment-steps.md 4.4).
package struct SecretMask: Sendable {
    private static let minimumLength = 4
    private var secrets: [String] = []

    package init() {}

    package mutating func add(_ secret: String) {
        let needle = secret.filter { !$0.isNewline }
        guard needle.count >= Self.minimumLength, !needle.trimmingSpaces.isEmpty, !secrets.contains(needle) else {
            return
        }
        secrets.append(needle)
        secrets.sort { $0.count > $1.count }
    }

    package func apply(to text: String) -> String {
        secrets.reduce(text) { $0.contains($1) ? $0.replacing($1, with: "********") : $0 }
    }
}
