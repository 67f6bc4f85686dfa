extension StringProtocol where SubSequence == Substring {
    /// Without the white space around it.
    package var trimmed: Substring {
        var text = self[...].drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
