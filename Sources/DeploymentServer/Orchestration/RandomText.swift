/// Random parts of ids and keys, from the system's generator.
enum RandomText {
    private static let lowercase = Array("abcdefghijklmnopqrstuvwxyz0123456789")
    private static let uppercase = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")

    static func lowercased(_ count: Int) -> String { make(count, of: lowercase) }
    static func uppercased(_ count: Int) -> String { make(count, of: uppercase) }

    private static func make(_ count: Int, of alphabet: [Character]) -> String {
        var generator = SystemRandomNumberGenerator()
        return String((0..<count).map { _ in alphabet[Int.random(in: alphabet.indices, using: &generator)] })
    }
}
