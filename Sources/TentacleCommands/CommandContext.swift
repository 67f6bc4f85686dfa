package import AgentConfiguration
import Glibc
package import LauncherProtocol
package import OctopusClient

/// Everything through which a command touches the world, so that tests bring a world of their own.
package struct CommandContext: Sendable {
    package var host: HostFiles
    package var console: Console
    package var transport: any HTTPTransport
    /// Path of the running executable, links resolved: what units and messages name.
    package var programPath: String
    package var hostName: String
    package var processorCount: Int
    package var makeSubscriptionID: @Sendable () -> String
    package var pause: @Sendable (Duration) -> Void
    package var now: @Sendable () -> UTCMicroseconds = { .now }
    /// Becomes another program; returns only to say why not.
    package var replaceProcess: @Sendable (_ path: String, _ arguments: [String]) -> CInt
    /// Runs another program to its end; nil when it cannot be started.
    package var runProgram: @Sendable (_ path: String, _ arguments: [String]) -> ProgramEnd? = ProgramEnd.run
    /// Secrets that no command line and no file shall hold come this way.
    package var readStandardInput: @Sendable () throws(ConfigurationError) -> [UInt8] =
        DurableFile.readStandardInput
    /// Somebody who can be asked; nil in scripts, pipes and units.
    package var prompt: Prompt?
    package var isRoot = geteuid() == 0
    package var findUser: @Sendable (String) -> UserAccount? = UserAccount.find
    package var changeOwner: @Sendable (OwnershipChange) -> CInt = { $0.apply() }
    /// Why the host's resolver does not know a name; nil when it does.
    package var resolveName: @Sendable (String) -> String? = NameLookup.failure
    /// Nil when the file system does not tell.
    package var diskSpace: @Sendable (String) -> DiskSpace? = DiskSpace.measure
    /// Readable when the command shall end; -1 for never.
    package var interruption: CInt = -1
    /// `--noninteractive` was given; only `agent` minds.
    package var isNonInteractive = false
    /// Keeps a log file, as the program does.
    package var keepsLog = false

    package init(
        host: HostFiles,
        console: Console,
        transport: any HTTPTransport,
        programPath: String,
        hostName: String,
        processorCount: Int = 1,
        makeSubscriptionID: @escaping @Sendable () -> String = { SubscriptionID.make() },
        pause: @escaping @Sendable (Duration) -> Void,
        replaceProcess: @escaping @Sendable (String, [String]) -> CInt
    ) {
        self.host = host
        self.console = console
        self.transport = transport
        self.programPath = programPath
        self.hostName = hostName
        self.processorCount = processorCount
        self.makeSubscriptionID = makeSubscriptionID
        self.pause = pause
        self.replaceProcess = replaceProcess
    }

    package var programName: String { FilePathText.name(of: self.programPath) }

    /// The program that runs scripts and explains their sandbox, as the agent finds it; nil when there is none.
    package var launcherPath: String? {
        if let path = self.host.environment["TENTACLE_LAUNCHER"], !path.isEmpty { return path }
        let path = FilePathText.directory(of: self.programPath) + "/tentacle-launcher"
        return access(path, X_OK) == 0 ? path : nil
    }

    /// The world of the real program.
    package static func current() -> CommandContext {
        var context = CommandContext(
            host: .current(),
            console: .standard,
            transport: CurlTransport(),
            programPath: HostFiles.programPath() ?? CommandLine.arguments.first ?? "tentacle",
            hostName: Self.shortHostName(),
            processorCount: max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN))),
            pause: { duration in
                var rest = timespec()
                rest.tv_sec = Int(duration.components.seconds)
                rest.tv_nsec = Int(duration.components.attoseconds / 1_000_000_000)
                while true {
                    var wanted = rest
                    guard nanosleep(&wanted, &rest) != 0, errno == EINTR else { return }
                }
            },
            replaceProcess: { path, arguments in
                var pointers: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
                pointers.append(nil)
                StandardStreams.restore()
                execv(path, pointers)
                return errno
            }
        )
        context.keepsLog = true
        context.prompt = .terminal()
        return context
    }

    /// Host name up to the first dot: the default name of a machine.
    private static func shortHostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return String(name.prefix { $0 != "." })
    }
}

/// Identity of a polling agent towards its server (spec tentacle-cli.md 8.4).
package enum SubscriptionID {
    package static let scheme = "poll://"
    private static let alphabet = Array("bcdefghjklmnpqrstuvwxyz23456789")
    private static let length = 20

    package static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        let characters = (0..<Self.length).map { _ in
            Self.alphabet[Int.random(in: 0..<Self.alphabet.count, using: &generator)]
        }
        return "\(Self.scheme)\(String(characters))/"
    }
}
