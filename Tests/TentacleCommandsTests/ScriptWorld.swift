import AgentConfiguration
import Glibc
import LauncherProtocol
import ProcessTesting
import TentacleCommands
import Testing

/// Scripts on disk as agent and launcher leave them, and a moment at which they are looked at.
struct ScriptWorld {
    static let now = UTCMicroseconds(text: "2024-05-09T10:11:12.000000Z".utf8) ?? .now

    let world: TestWorld
    var work: String { self.world.path + "/home/Work" }
    var past: String { self.world.path + "/home/Logs/Scripts" }

    static func with<Result>(_ body: (ScriptWorld) async throws -> Result) async throws -> Result {
        try await TestWorld.with { world in
            try world.makeInstance()
            world.context.now = { Self.now }
            return try await body(ScriptWorld(world: world))
        }
    }

    static func ago(_ seconds: Int64) -> UTCMicroseconds {
        UTCMicroseconds(sinceEpoch: Self.now.sinceEpoch - seconds * 1_000_000)
    }

    /// A script that came `age` seconds ago; `T-1` is of the task `ServerTasks-1`.
    @discardableResult
    func add(
        _ ticket: String,
        age: Int64,
        full: Bool = false,
        mutex: String = "RunningScript",
        timeoutSeconds: Int64? = nil,
        in directory: String? = nil,
        _ change: (inout ScriptStateRecord) -> Void = { _ in }
    ) throws -> String {
        let path = (directory ?? self.work) + "/" + ticket
        try DurableFile.makeDirectory(path)
        let workspace = WorkspaceDirectory(takingOver: open(path, O_RDONLY | O_DIRECTORY))
        let specification = ScriptSpecification(
            ticket: try ScriptTicketName(ticket),
            service: 2,
            taskID: "ServerTasks-\(ticket.drop { $0 != "-" }.dropFirst())",
            fullIsolation: full,
            mutexName: mutex,
            mutexTimeoutMilliseconds: timeoutSeconds.map { $0 * 1000 },
            arguments: [],
            environment: [:]
        )
        try workspace.replace(
            ScriptSpecification.fileName,
            with: specification.encoded(),
            mode: 0o600,
            durable: false
        )
        // As the agent does it: the file of the lock is there before anybody holds it.
        _ = try workspace.claim(.openFileDescription)
        var state = ScriptStateRecord(specification, created: Self.ago(age), boot: currentBootID())
        change(&state)
        try workspace.writeState(state, durable: false)
        return path
    }

    func beat(secondsAgo: Int64) throws {
        try self.world.write("", "home/livez.heartbeat")
        let time = Self.ago(secondsAgo).sinceEpoch / 1_000_000
        let times = [timespec(tv_sec: Int(time), tv_nsec: 0), timespec(tv_sec: Int(time), tv_nsec: 0)]
        #expect(utimensat(AT_FDCWD, self.world.path + "/home/livez.heartbeat", times, 0) == 0)
    }

    /// A process that holds the locks of these scripts, as a launcher does (`byte` 0) or its keeper (1).
    func whileLocked<Result>(
        _ tickets: [String],
        byte: Int = 0,
        _ body: (_ process: pid_t) async throws -> Result
    ) async throws -> Result {
        let program = """
            use Fcntl; $| = 1; my @held;
            for (@ARGV) {
                open(my $file, "+<", $_) or die "$_: $!";
                my $lock = pack("s s x4 q q i x4", F_WRLCK, 0, \(byte), 1, 0);
                fcntl($file, F_SETLK, $lock) or die "lock: $!";
                push @held, $file;
            }
            print "locked\\n"; sleep;
            """
        let files = tickets.map { "\(self.work)/\($0)/\(WorkspaceDirectory.lockFileName)" }
        let holder = try RunningProgram("perl", ["-e", program] + files)
        return try await holder.whileRunning {
            #expect(await holder.line(containing: "locked") != nil)
            return try await body(holder.processIdentifier)
        }
    }

    func run(_ arguments: String...) -> TestWorld.Outcome { self.world.run(arguments) }
}
