import AgentConfiguration

/// One option of a command: how it is spelled and what it takes.
package struct OptionDefinition: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case flag
        case text
        case integer
        case integerOrBlank
        case boolean
        /// A literal IP address, or `any`.
        case listenAddress
    }

    /// All spellings, the canonical one first; matched in any case.
    package var names: [String]
    package var kind: Kind
    package var help: String
    /// What its value may be, where that is one of a few words: what shells offer.
    package var choices: [String]
    /// Left out of help.
    package var isHidden = false
    /// Its value is a secret: no log and no message shows it.
    package var isSensitive = false

    package init(
        _ names: String...,
        kind: Kind = .text,
        help: String,
        choices: [String] = [],
        isHidden: Bool = false,
        isSensitive: Bool = false
    ) {
        self.names = names
        self.kind = kind
        self.help = help
        self.choices = choices
        self.isHidden = isHidden
        self.isSensitive = isSensitive
    }

    package var name: String { self.names[0] }

    /// As help shows them: one-letter names first, as in the stock agent.
    package var namesInHelp: [String] { self.names.filter { $0.count == 1 } + self.names.filter { $0.count != 1 } }
}

/// What stands on a command line, by canonical names and in order.
package struct ParsedOptions: Hashable, Sendable {
    package struct Occurrence: Hashable, Sendable {
        package var name: String
        package var value: String
    }

    package var occurrences: [Occurrence] = []
    /// Tokens that are no option of the command, in order.
    package var unrecognised: [String] = []

    package init(occurrences: [Occurrence] = [], unrecognised: [String] = []) {
        self.occurrences = occurrences
        self.unrecognised = unrecognised
    }

    package func isSet(_ name: String) -> Bool { self.occurrences.contains { $0.name == name } }

    /// The last value given, blank ones included.
    package func rawText(_ name: String) -> String? { self.occurrences.last { $0.name == name }?.value }

    /// The last value given; a blank one counts as not given.
    package func text(_ name: String) -> String? {
        self.rawText(name).flatMap { $0.allSatisfy(\.isWhitespace) ? nil : $0 }
    }

    /// All values that are not blank.
    package func list(_ name: String) -> [String] {
        self.occurrences.filter { $0.name == name }.map(\.value).filter { !$0.allSatisfy(\.isWhitespace) }
    }

    package func integer(_ name: String) -> Int? { self.rawText(name).flatMap(OptionValue.integer) }
    package func boolean(_ name: String) -> Bool? { self.rawText(name).flatMap(OptionValue.boolean) }
}

/// Values as the stock agent reads them.
package enum OptionValue {
    package static func integer(_ text: String) -> Int? {
        Int32(text.trimmed).map(Int.init)
    }

    package static func boolean(_ text: String) -> Bool? {
        switch text.trimmed.lowercased() {
        case "true": true
        case "false": false
        default: nil
        }
    }

    package static func isListenAddress(_ text: String) -> Bool {
        text.lowercased() == "any" || LiteralAddress.isValid(text)
    }
}

/// The command line syntax of the stock agent (spec tentacle-cli.md 2): `--opt=value`, `--opt value`, `-opt`, `/opt:value`.
///
/// A pure function from tokens to options; no command sees the raw command line.
package struct OptionGrammar: Sendable {
    private let definitions: [OptionDefinition]
    private let byName: [String: OptionDefinition]
    private let operand: String?

    /// `operand` is the canonical name of the option whose value may also stand alone, once.
    package init(_ definitions: [OptionDefinition], operand: String? = nil) {
        self.definitions = definitions
        self.operand = operand
        var byName: [String: OptionDefinition] = [:]
        for definition in definitions {
            for name in definition.names where byName[name.lowercased()] == nil {
                byName[name.lowercased()] = definition
            }
        }
        self.byName = byName
    }

    struct Token {
        var flag: Substring
        var name: Substring
        /// With its separator, as typed.
        var tail: Substring
        var value: String?
    }

    package func parse(_ arguments: [String]) throws(CommandError) -> ParsedOptions {
        var result = ParsedOptions()
        var rest = arguments[...]
        // The option whose value may still stand alone.
        var operand = self.operand
        while let argument = rest.popFirst() {
            guard argument != "--" else {
                if let name = operand, let value = rest.popFirst() {
                    result.occurrences.append(.init(name: name, value: value))
                    if rest.isEmpty { break }
                }
                result.unrecognised += [argument] + rest
                break
            }
            guard let token = Self.token(argument) else {
                if let name = operand {
                    operand = nil
                    result.occurrences.append(.init(name: name, value: argument))
                } else {
                    result.unrecognised.append(argument)
                }
                continue
            }
            if let definition = self.byName[token.name.lowercased()] {
                let spelled = "\(token.flag)\(token.name)"
                try self.add(definition, spelled, token.value, &rest, to: &result)
            } else if let definition = self.switched(token) {
                result.occurrences.append(.init(name: definition.name, value: ""))
            } else if token.flag == "-", try self.addBundle(token, &rest, to: &result) {
                continue
            } else {
                result.unrecognised.append(argument)
            }
        }
        return result
    }

    /// The option that takes a value of an argument, and where in it the value begins: at its end for the next argument.
    func option(in argument: String) -> (OptionDefinition, valueStart: String.Index)? {
        guard let token = Self.token(argument) else { return nil }
        if let definition = self.byName[token.name.lowercased()] {
            let tail = token.tail
            return (definition, tail.isEmpty ? argument.endIndex : argument.index(after: tail.startIndex))
        }
        guard token.flag == "-" else { return nil }
        for index in argument.indices.dropFirst() {
            guard let definition = self.byName[argument[index].lowercased()] else { return nil }
            if definition.kind != .flag { return (definition, argument.index(after: index)) }
        }
        return nil
    }

    /// The parts of `^(--|-|/)(name)([:=](value))?$`.
    static func token(_ argument: String) -> Token? {
        guard let flag = ["--", "-", "/"].first(where: { argument.hasPrefix($0) }) else { return nil }
        let body = argument.dropFirst(flag.count)
        let nameEnd = body.firstIndex { $0 == ":" || $0 == "=" } ?? body.endIndex
        guard nameEnd > body.startIndex else { return nil }
        let value = nameEnd == body.endIndex ? nil : String(body[body.index(after: nameEnd)...])
        return Token(flag: argument.prefix(flag.count), name: body[..<nameEnd], tail: body[nameEnd...], value: value)
    }

    /// `--flag+` and `--flag-`: both switch on, as in the stock agent.
    private func switched(_ token: Token) -> OptionDefinition? {
        guard let last = token.name.last, last == "+" || last == "-",
            let definition = self.byName[token.name.dropLast().lowercased()], definition.kind == .flag
        else { return nil }
        return definition
    }

    private func add(
        _ definition: OptionDefinition,
        _ spelled: String,
        _ value: String?,
        _ rest: inout ArraySlice<String>,
        to result: inout ParsedOptions
    ) throws(CommandError) {
        guard definition.kind != .flag else {
            result.occurrences.append(.init(name: definition.name, value: ""))
            return
        }
        guard let value = value ?? rest.popFirst() else {
            throw CommandError(.failure, "Missing required value for option '\(spelled)'.")
        }
        try Self.check(value, definition.kind, spelled)
        result.occurrences.append(.init(name: definition.name, value: value))
    }

    /// `-abc`: one-letter options; the first that takes a value takes what is left.
    private func addBundle(
        _ token: Token,
        _ rest: inout ArraySlice<String>,
        to result: inout ParsedOptions
    ) throws(CommandError) -> Bool {
        let letters = Array(String(token.name) + token.tail)
        for (index, letter) in letters.enumerated() {
            guard let definition = self.byName[letter.lowercased()] else {
                if index == 0 { return false }
                throw CommandError(.failure, "Cannot bundle unregistered option '-\(letter)'.")
            }
            guard definition.kind != .flag else {
                result.occurrences.append(.init(name: definition.name, value: ""))
                continue
            }
            let value = String(letters[(index + 1)...])
            try self.add(definition, "-\(letter)", value.isEmpty ? nil : value, &rest, to: &result)
            return true
        }
        return true
    }

    /// Wrong values are found in command-line order, before unrecognised tokens are complained about.
    private static func check(
        _ value: String,
        _ kind: OptionDefinition.Kind,
        _ spelled: String
    ) throws(CommandError) {
        switch kind {
        case .flag, .text: return
        case .integerOrBlank where value.allSatisfy(\.isWhitespace): return
        case .integer, .integerOrBlank:
            guard OptionValue.integer(value) == nil else { return }
            throw CommandError(.failure, "The value '\(value)' of \(spelled) is not a whole number.")
        case .boolean:
            guard OptionValue.boolean(value) == nil else { return }
            throw CommandError(
                .failure,
                "The value '\(value)' of \(spelled) is not a valid boolean; use true or false."
            )
        case .listenAddress:
            guard !OptionValue.isListenAddress(value) else { return }
            throw CommandError(.failure, "The value '\(value)' of \(spelled) is not an IP address; give one or 'any'.")
        }
    }
}
