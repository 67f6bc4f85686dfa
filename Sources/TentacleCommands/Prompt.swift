import Glibc
import TentacleLog

/// A person at a terminal, who can be asked (issue 6: only `register` does, and never in a script).
package struct Prompt: Sendable {
    /// Asks one question and takes one line; nil when the person wants no more: end of input or an interruption.
    package var ask: @Sendable (_ question: String, _ isSecret: Bool) -> String?

    package init(_ ask: @escaping @Sendable (_ question: String, _ isSecret: Bool) -> String?) {
        self.ask = ask
    }

    /// The terminal of this process; nil unless both its input and its output are one.
    package static func terminal() -> Prompt? {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else { return nil }
        return Prompt { question, isSecret in
            func ask() { TextOutput.write(question, to: STDOUT_FILENO) }
            guard !isSecret else { return TerminalLine.readSecret(STDIN_FILENO, ask) }
            ask()
            return TerminalLine.read(STDIN_FILENO)
        }
    }
}

/// One line from a terminal.
package enum TerminalLine {
    /// No answer is longer; what follows is left out.
    private static let maximumBytes = 16 * 1024

    package static func read(_ descriptor: CInt) -> String? {
        var line: [UInt8] = []
        while let byte = Self.byte(descriptor) {
            if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            if line.count < Self.maximumBytes { line.append(byte) }
        }
        return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
    }

    /// Without an echo, which is off when `ask` is called.
    ///
    /// The terminal hands over each byte for itself meanwhile, Control-C included: a process that a signal ends in the middle
    /// would leave a terminal without an echo behind.
    package static func readSecret(_ descriptor: CInt, _ ask: () -> Void) -> String? {
        var before = termios()
        guard tcgetattr(descriptor, &before) == 0 else { return nil }
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO | ECHONL | ICANON | ISIG)
        withUnsafeMutableBytes(of: &silent.c_cc) { bytes in
            bytes[Int(VMIN)] = 1
            bytes[Int(VTIME)] = 0
        }
        tcsetattr(descriptor, TCSAFLUSH, &silent)
        defer {
            tcsetattr(descriptor, TCSAFLUSH, &before)
            _ = write(descriptor, "\n", 1)
        }
        ask()
        var line: [UInt8] = []
        while let byte = Self.byte(descriptor) {
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"): return String(decoding: line, as: UTF8.self)
            // Control-C, Control-\ and Control-D.
            case 0x03, 0x1C, 0x04: return nil
            // Backspace in both spellings takes a character back, Control-U all of them.
            case 0x08, 0x7F:
                while let last = line.popLast(), last & 0xC0 == 0x80 {}
            case 0x15: line = []
            default: if line.count < Self.maximumBytes { line.append(byte) }
            }
        }
        return nil
    }

    private static func byte(_ descriptor: CInt) -> UInt8? {
        var byte: UInt8 = 0
        while true {
            let count = Glibc.read(descriptor, &byte, 1)
            if count < 0, errno == EINTR { continue }
            return count == 1 ? byte : nil
        }
    }
}
