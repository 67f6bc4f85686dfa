/// All that is wrong with a file of settings; a program that only needs to know that shows the first.
package struct SettingsFileError: Error, Equatable, CustomStringConvertible {
    package struct Problem: Equatable, Sendable, CustomStringConvertible {
        package var path: String
        /// Nil when the file could not be read at all.
        package var line: Int?
        package var text: String

        package var description: String { line.map { "\(path):\($0): \(text)" } ?? "\(path): \(text)" }
    }

    /// At least one, by line.
    package var problems: [Problem]

    init(_ problems: [Problem]) {
        self.problems = problems
        // Settings that belong together are looked at behind all others.
        self.problems.sort { ($0.line ?? 0) < ($1.line ?? 0) }
    }

    init(_ path: String, line: Int? = nil, _ text: String) {
        problems = [Problem(path: path, line: line, text: text)]
    }

    package var description: String { problems.first?.description ?? "unknown" }
}
