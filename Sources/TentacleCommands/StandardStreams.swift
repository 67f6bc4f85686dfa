import Glibc

/// The three descriptors that the caller of this process left it.
package enum StandardStreams {
    /// To be called before anything is opened.
    ///
    /// A closed one is opened as `/dev/null`: else the configuration file or a connection would get its number, and with it
    /// what is printed. A reader that has gone ends no command in the middle of its work, and no connection whose other end
    /// has gone ends the process.
    package static func prepare() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number is the one that was missing.
            _ = open("/dev/null", O_RDWR)
        }
        signal(SIGPIPE, SIG_IGN)
    }

    /// What other programs start with: an ignored signal would stay ignored.
    static func restore() { signal(SIGPIPE, SIG_DFL) }

    /// Ends as a filter does whose reader has gone.
    static func endWithoutReader() -> Never {
        Self.restore()
        raise(SIGPIPE)
        _exit(128 + SIGPIPE)
    }
}
