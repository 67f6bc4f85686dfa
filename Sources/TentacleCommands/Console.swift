import Glibc
import Synchronization
package import TentacleLog

/// Where commands print (spec tentacle-cli.md 1.6): messages on standard output, errors on standard error.
package struct Console: Sendable {
    /// Messages are not printed, results and errors are.
    package var isQuiet = false
    /// Standard output is a terminal, which obeys control characters.
    package var isTerminal = false
    /// Where messages are kept as well; knows the secrets that none of them shows.
    package var log = OperationLog()
    /// Results may be coloured: standard output is a terminal that shows colours, and nobody asked for none.
    package var usesColours = false
    /// Returns the error with which it could not be written, 0 for none.
    private let output: @Sendable (String) -> CInt
    private let errorOutput: @Sendable (String) -> Void
    private let loss = Loss()

    /// The first error with which a part of a result could not be written; 0 for none.
    private final class Loss: Sendable {
        let code = Mutex<CInt>(0)
    }

    package init(
        output: @escaping @Sendable (String) -> CInt,
        errorOutput: @escaping @Sendable (String) -> Void
    ) {
        self.output = output
        self.errorOutput = errorOutput
    }

    package static let standard = {
        var console = Console(
            output: { TextOutput.write($0, to: STDOUT_FILENO) },
            errorOutput: { TextOutput.write($0, to: STDERR_FILENO) }
        )
        console.isTerminal = isatty(STDOUT_FILENO) == 1
        console.usesColours = console.isTerminal && Self.wantsColours
        return console
    }()

    /// See no-color.org; a terminal that calls itself dumb shows control sequences as text.
    private static var wantsColours: Bool {
        let isRefused = getenv("NO_COLOR").map { $0.pointee != 0 } ?? false
        let terminal = getenv("TERM").map { String(cString: $0) } ?? "dumb"
        return !isRefused && terminal != "dumb"
    }

    /// What a word of a result means for its reader.
    package enum Style: String, Sendable {
        case plain = ""
        case good = "32"
        case doubtful = "33"
        case bad = "31"
    }

    /// The text in the colour of its meaning where colours are shown, else the text as it is.
    package func styled(_ text: String, _ style: Style) -> String {
        self.usesColours && style != .plain ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    package func info(_ message: String) { self.report(.info, message) }

    package func warning(_ message: String) { self.report(.warning, message) }

    package func error(_ message: String) { self.report(.error, message) }

    /// A message of any level, as bare text, from Error on to standard error; the file gets it, too.
    package func report(_ level: LogLevel, _ message: String) {
        self.log.write(level, message)
        guard level >= self.log.threshold else { return }
        if level >= .error {
            self.writeError(self.log.masker.masked(message))
        } else if !self.isQuiet {
            // What the command does is done, and the log has it, whether or not anybody can be told.
            _ = self.output(self.log.masker.masked(message) + "\n")
        }
    }

    /// A line on standard error that is nobody's log.
    package func writeError(_ line: String) { self.errorOutput(line + "\n") }

    /// The command's result, exactly as given.
    package func write(_ text: String) {
        let code = self.output(text)
        guard code != EPIPE else { StandardStreams.endWithoutReader() }
        guard code != 0 else { return }
        self.loss.code.withLock { $0 = $0 == 0 ? code : $0 }
    }

    /// Whoever wants the result would take what has come of it for the whole.
    package func checkResult() throws(CommandError) {
        let code = self.loss.code.withLock { $0 }
        guard code != 0 else { return }
        throw CommandError(
            .failure,
            "The result could not be written to standard output: \(String(cString: strerror(code)))."
        )
    }

    /// Lines that others wrote: a terminal does not get their control characters, but tabs.
    package func writeForeign(_ lines: String) {
        self.write(self.isTerminal ? ReadableText.escapingControls(lines, except: ["\t", "\n"]) : lines)
    }
}
