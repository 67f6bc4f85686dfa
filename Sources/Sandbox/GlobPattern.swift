/// A pattern with `*` for any text and `?` for one character; everything else stands for itself.
package enum GlobPattern {
    package static func matches(_ pattern: String, _ text: String) -> Bool {
        // What the last star took is only ever made longer: at worst one walk through the text for each part between stars.
        let pattern = Array(pattern.utf8)
        let text = Array(text.utf8)
        var (next, position) = (0, 0)
        var star: (next: Int, position: Int)?
        while position < text.count {
            let wanted = next < pattern.count ? pattern[next] : nil
            if wanted == UInt8(ascii: "*") {
                next += 1
                star = (next, position)
            } else if wanted == UInt8(ascii: "?") {
                next += 1
                position = behindCharacter(text, position)
            } else if wanted == text[position] {
                next += 1
                position += 1
            } else if let last = star {
                let longer = behindCharacter(text, last.position)
                star = (last.next, longer)
                (next, position) = (last.next, longer)
            } else {
                return false
            }
        }
        while next < pattern.count, pattern[next] == UInt8(ascii: "*") { next += 1 }
        return next == pattern.count
    }

    /// UTF-8 of more than one byte is one character.
    private static func behindCharacter(_ text: [UInt8], _ position: Int) -> Int {
        var position = position + 1
        while position < text.count, text[position] & 0xC0 == 0x80 { position += 1 }
        return position
    }
}
