public import HalibutProtocol
public import Logging
public import NIOCore
public import NIOPosix

/// What the clients, services and listeners of a program have in common.
///
/// The defaults suit a program with one of each.
public struct HalibutConfiguration: Sendable {
    /// Bounds on what a peer may send and how long it may take.
    public var limits: HalibutLimits
    /// Where received data streams are kept until somebody takes them.
    public var spool: SpoolDirectory
    /// Runs the connections.
    public var eventLoopGroup: any EventLoopGroup
    /// Gets what a call cannot report: peers turned away, connections that ended, pauses between attempts.
    public var logger: Logger
    /// Is told what happens; nobody by default, which costs nothing.
    public var observer: (any HalibutObserver)?

    /// Creates a configuration: the limits of the real agent, a directory for temporary files of its own, the process's
    /// shared event loops, and a logger named `halibut`.
    public init(
        limits: HalibutLimits = HalibutLimits(),
        spool: SpoolDirectory = SpoolDirectory(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "halibut"),
        observer: (any HalibutObserver)? = nil
    ) {
        self.limits = limits
        self.spool = spool
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
        self.observer = observer
    }
}
