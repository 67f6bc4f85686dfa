/// What somebody who mistyped a command or an option probably meant.
package enum NameSuggestion {
    /// The known name that is closest to `typed`, ignoring case; nil when none is close enough to be meant.
    ///
    /// On a tie the first one: `names` come in the order in which they are preferred.
    package static func closest(to typed: String, among names: [String]) -> String? {
        let word = Array(typed.lowercased().unicodeScalars)
        // Longer words are not names of anything, and would only take time.
        guard word.count > 1, word.count <= Self.longestWord else { return nil }
        var best: (name: String, distance: Int)?
        for name in names where name.count > 1 {
            let distance = Self.distance(word, Array(name.lowercased().unicodeScalars))
            guard distance <= Self.tolerance(min(word.count, name.count)) else { continue }
            if best.map({ distance < $0.distance }) ?? true { best = (name, distance) }
        }
        return best?.name
    }

    private static let longestWord = 64

    /// A slip in a short word, two in a longer one, three in a long one: with more, a word is another one.
    private static func tolerance(_ length: Int) -> Int {
        switch length {
        case ...4: 1
        case ...9: 2
        default: 3
        }
    }

    /// How many letters are missing, too many, wrong, or exchanged with their neighbour (optimal string alignment).
    private static func distance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for row in left.indices {
            var current = [row + 1]
            for column in right.indices {
                let isSame = left[row] == right[column]
                var cost = min(last[column + 1] + 1, current[column] + 1, last[column] + (isSame ? 0 : 1))
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    cost = min(cost, beforeLast[column - 1] + 1)
                }
                current.append(cost)
            }
            (beforeLast, last) = (last, current)
        }
        return last[right.count]
    }
}

extension CommandTable {
    /// The command that a mistyped word is meant to be.
    static func suggestion(for word: String) -> String? {
        let commands = self.visible
        return NameSuggestion.closest(
            to: self.normalized(word),
            among: commands.map(\.name) + commands.flatMap(\.aliases)
        )
    }
}

extension CommandDefinition {
    /// The options that mistyped ones are meant to be, as they are written, in the order of the command line.
    func suggestions(for unrecognised: [String]) -> [String] {
        let names = self.options.filter { !$0.isHidden }.flatMap(\.names)
        var result: [String] = []
        for token in unrecognised where token.hasPrefix("-") {
            let name = token.drop { $0 == "-" }.prefix { $0 != "=" && $0 != ":" }
            guard let option = NameSuggestion.closest(to: String(name), among: names) else { continue }
            if !result.contains("--\(option)") { result.append("--\(option)") }
        }
        return result
    }
}
