/// Why a package could not be unpacked; `message` is one line for the operator.
package struct PackageError: Error, Equatable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// The file is no archive that we know, or a damaged one.
        case format
        /// An entry would be written outside of the destination, or the archive is built to harm.
        case malicious
        /// A file could not be read or written: may be over soon.
        case file
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}
