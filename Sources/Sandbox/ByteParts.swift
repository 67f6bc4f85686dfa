/// The parts of a text of the kernel's between separators, one after the other.
///
/// Not `split`: its arrays of slices are types that a launcher would first have to make, for each script, and by that the
/// script starts later.
package struct ByteParts: IteratorProtocol {
    private var rest: ArraySlice<UInt8>
    private let separator: UInt8

    package init(of bytes: ArraySlice<UInt8>, separator: Unicode.Scalar) {
        rest = bytes
        self.separator = UInt8(ascii: separator)
    }

    /// Nil behind the last part; what follows a separator at the end is none.
    package mutating func next() -> ArraySlice<UInt8>? {
        guard !rest.isEmpty else { return nil }
        let end = rest.firstIndex(of: separator) ?? rest.endIndex
        defer { rest = rest[min(end + 1, rest.endIndex)...] }
        return rest[..<end]
    }
}
