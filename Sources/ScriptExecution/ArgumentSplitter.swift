/// The argument string → what bash gets, as .NET splits it on Unix (tentacle-services.md 7).
package enum ArgumentSplitter {
    /// Runs of spaces and tabs separate; `"` toggles quoting, `""` inside quotes is a quote; backslashes count only
    /// before a quote, where each pair is one and an odd one makes the quote literal.
    package static func split(_ text: String) -> [String] {
        let bytes = Array(text.utf8)
        var results: [String] = []
        var current: [UInt8] = []
        var inArgument = false
        var quoted = false
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\\"):
                let run = bytes[index...].prefix { $0 == byte }.count
                index += run
                inArgument = true
                guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else {
                    current += [UInt8](repeating: byte, count: run)
                    continue
                }
                current += [UInt8](repeating: byte, count: run / 2)
                if run % 2 == 1 {
                    current.append(bytes[index])
                    index += 1
                }
                continue
            case UInt8(ascii: "\""):
                inArgument = true
                if quoted, index + 1 < bytes.count, bytes[index + 1] == byte {
                    current.append(byte)
                    index += 1
                } else {
                    quoted.toggle()
                }
            case UInt8(ascii: " ") where !quoted, UInt8(ascii: "\t") where !quoted:
                if inArgument { results.append(String(decoding: current, as: UTF8.self)) }
                current.removeAll()
                inArgument = false
            default:
                inArgument = true
                current.append(byte)
            }
            index += 1
        }
        if inArgument { results.append(String(decoding: current, as: UTF8.self)) }
        return results
    }
}
