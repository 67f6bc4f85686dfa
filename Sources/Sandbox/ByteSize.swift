/// Numbers of bytes as settings have them, by 1024.
package enum ByteSize {
    /// `0`, `4096`, `64K`, `512M`, `2G`, also `512MB` and `2 GiB`; nil for anything else.
    package static func parse(_ text: String) -> Int64? {
        var text = Substring(text)
        var number: Int64 = 0
        var hasDigits = false
        while let digit = text.utf8.first, (0x30...0x39).contains(digit) {
            let (product, isTooLarge) = number.multipliedReportingOverflow(by: 10)
            let (sum, isOver) = product.addingReportingOverflow(Int64(digit - 0x30))
            guard !isTooLarge, !isOver else { return nil }
            number = sum
            hasDigits = true
            text.removeFirst()
        }
        guard hasDigits else { return nil }
        let power: Int
        switch text.drop(while: { $0 == " " }).uppercased() {
        case "", "B": power = 0
        case "K", "KB", "KIB": power = 1
        case "M", "MB", "MIB": power = 2
        case "G", "GB", "GIB": power = 3
        case "T", "TB", "TIB": power = 4
        default: return nil
        }
        for _ in 0..<power {
            let (product, overflow) = number.multipliedReportingOverflow(by: 1024)
            guard !overflow else { return nil }
            number = product
        }
        return number
    }

    /// Exact, with the largest unit that allows it: `64K`, `1023`.
    package static func text(_ bytes: Int64) -> String {
        var number = bytes
        var unit = 0
        while unit < 4, number >= 1024, number % 1024 == 0 {
            number /= 1024
            unit += 1
        }
        return "\(number)" + ["", "K", "M", "G", "T"][unit]
    }
}
