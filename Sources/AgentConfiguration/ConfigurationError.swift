/// Why instances, the configuration file or its secrets could not be read or written.
///
/// `message` is one line for the operator: what was wrong and, where it is not obvious, what to do.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// The instance or configuration file asked for cannot be selected (spec 5.4): exit code 1.
        case instance
        /// The user running the program may not write the file: exit code 1.
        case permission
        /// A file could not be read or written: exit code 100.
        case file
        /// The file was read but is not what it should be: exit code 100.
        case format
        /// A protected value cannot be decrypted or encrypted: exit code 100.
        case secret
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}
