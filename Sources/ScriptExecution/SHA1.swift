/// SHA-1 for the hash an upload is answered with (tentacle-services.md 12): a checksum here, not a protection.
struct SHA1 {
    private var state: (UInt32, UInt32, UInt32, UInt32, UInt32) = (
        0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0
    )
    private var rest: [UInt8] = []
    private var length: UInt64 = 0

    mutating func update(_ bytes: ArraySlice<UInt8>) {
        length += UInt64(bytes.count)
        var bytes = bytes
        if !rest.isEmpty {
            let taken = min(64 - rest.count, bytes.count)
            rest += bytes.prefix(taken)
            bytes = bytes.dropFirst(taken)
            guard rest.count == 64 else { return }
            let whole = rest
            rest.removeAll(keepingCapacity: true)
            block(whole.span, at: 0)
        }
        let span = bytes.span
        var offset = 0
        while offset + 64 <= span.count {
            block(span, at: offset)
            offset += 64
        }
        rest += bytes.dropFirst(offset)
    }

    /// 40 lower-case hexadecimal digits.
    consuming func hexDigest() -> String {
        let bits = length * 8
        var padding: [UInt8] = [0x80]
        while (rest.count + padding.count) % 64 != 56 { padding.append(0) }
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            padding.append(UInt8(truncatingIfNeeded: bits >> shift))
        }
        update(padding[...])
        var text = ""
        for word in [state.0, state.1, state.2, state.3, state.4] {
            let digits = String(word, radix: 16)
            text += String(repeating: "0", count: 8 - digits.count) + digits
        }
        return text
    }

    private mutating func block(_ bytes: borrowing Span<UInt8>, at start: Int) {
        var words = InlineArray<80, UInt32>(repeating: 0)
        for index in 0..<16 {
            let at = start + index * 4
            words[index] =
                UInt32(bytes[at]) << 24 | UInt32(bytes[at + 1]) << 16 | UInt32(bytes[at + 2]) << 8
                | UInt32(bytes[at + 3])
        }
        for index in 16..<80 {
            let word = words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16]
            words[index] = word << 1 | word >> 31
        }
        var (a, b, c, d, e) = state
        for index in 0..<80 {
            let (choice, constant): (UInt32, UInt32) =
                switch index {
                case ..<20: ((b & c) | (~b & d), 0x5A82_7999)
                case ..<40: (b ^ c ^ d, 0x6ED9_EBA1)
                case ..<60: ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC)
                default: (b ^ c ^ d, 0xCA62_C1D6)
                }
            let next = (a << 5 | a >> 27) &+ choice &+ e &+ constant &+ words[index]
            (e, d, c, b, a) = (d, c, b << 30 | b >> 2, a, next)
        }
        state = (state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d, state.4 &+ e)
    }
}
