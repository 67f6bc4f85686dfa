import AgentConfiguration
import Glibc
import OctopusClient
import SecureTransport
import Synchronization
import TentacleCommands
import Testing

/// A person who answers from a list.
private final class Person: Sendable {
    private let answers: Mutex<[String]>
    private let heard = Mutex<[String]>([])

    init(_ answers: String...) { self.answers = Mutex(answers) }

    /// Secret questions have a lock before them.
    var questions: [String] { self.heard.withLock { $0 } }

    var prompt: Prompt {
        Prompt { question, isSecret in
            self.heard.withLock { $0.append((isSecret ? "🔒" : "") + question) }
            return self.answers.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        }
    }
}

/// `register` on a terminal, and its summary (issue 6, item 1).
@Suite struct RegisterDialogueTests {
    @Test("everything is asked for, and registered")
    func everything() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let person = Person(
                "octopus",
                "http://octopus.local",
                "API-GOOD",
                "t",
                "Tset, prod",
                "Test, PROD",
                "web-server",
                "polling",
                ""
            )
            world.context.prompt = person.prompt
            // Steps on the way are for a terminal only.
            world.context.console.isTerminal = true
            let outcome = world.run("register")
            #expect(outcome.exitCode == 0, "\(outcome)")
            #expect(
                person.questions == [
                    "Octopus Server, e.g. https://octopus.example.com: ",
                    "Octopus Server, e.g. https://octopus.example.com: ",
                    "🔒API key, not shown (empty: user name and password): ", "Deployment target or worker [target]: ",
                    "Environments (several with commas between; Test, Production): ",
                    "Environments (several with commas between; Test, Production): ",
                    "Roles, e.g. web-server (several with commas between): ",
                    "Does this agent listen for the server (listening), or dial it (polling) [listening]: ",
                    "Name of this machine on the server [web01]: ",
                ]
            )
            #expect(outcome.errors.hasPrefix("The Octopus Server URI 'octopus' is invalid."))
            #expect(outcome.errors.hasSuffix("The server does not have Tset.\n"))
            let thumbprint = try TestIdentity.shared.get().thumbprint
            #expect(
                outcome.output == """
                    Checking connectivity on the server communications port 10943...
                    Connected successfully
                    Registering the tentacle with the server at http://octopus.local/
                    Asking the server for the space and its certificate...
                    Looking up the name 'web01' and what it will belong to...
                    Setting the polling connection count to 1
                    Telling the server...
                    Machine registered successfully
                    These changes require a restart of the Tentacle.

                    Name:                  web01 (Machines-1)
                    Server:                http://octopus.local/
                    Space:                 Default
                    Environments:          Test, Production
                    Roles:                 web-server
                    Style:                 polling, the agent dials https://octopus.local:10943 as poll://bcdfghjkmnpqrstvwxyz/
                    Thumbprint:            \(thumbprint)
                    Server's thumbprint:   \(FakeOctopus.serverThumbprint)

                    """
            )
            #expect(!outcome.output.contains("API-GOOD") && !outcome.errors.contains("API-GOOD"))
        }
    }

    @Test("a worker, with user name and password, listening at another name")
    func worker() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let person = Person("", "admin", "pass word", "worker", "default-worker-pool", "", "w9", "w9.example.com")
            world.context.prompt = person.prompt
            let outcome = world.run("register", "--server=http://octopus.local")
            #expect(outcome.exitCode == 0, "\(outcome)")
            #expect(person.questions.filter { $0.hasPrefix("🔒") }.count == 2)
            let body = try #require(try server.writes.last)
            #expect(body.text("Name") == "w9" && body["WorkerPoolIds"] == .strings(["WorkerPools-1"]))
            #expect(body["Endpoint"]?.text("Uri") == "https://w9.example.com:10933/")
            #expect(outcome.output.contains("Worker pools:          Default Worker Pool\n"))
            #expect(
                outcome.output.contains("Style:                 listening, the server dials https://w9.example.com:")
            )
        }
    }

    @Test("a user without a password is asked for it, and for the rest that is missing")
    func password() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let person = Person("pass word", "listening", "", "")
            world.context.prompt = person.prompt
            let outcome = world.run(
                ["register", "--server=http://octopus.local", "--user=admin", "--env=Test", "--role=r"]
            )
            #expect(outcome.exitCode == 0, "\(outcome)")
            #expect(person.questions.first == "🔒Password, not shown: ")
            #expect(person.questions.count == 4)
            #expect(!outcome.output.contains("pass word"))
        }
    }

    @Test("a key that is wrong is said before the next question")
    func wrongKey() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let person = Person("API-BAD", "target")
            world.context.prompt = person.prompt
            let outcome = world.run("register", "--server=http://octopus.local")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.hasPrefix("You must be logged in to perform this action.\n"))
            #expect(person.questions.count == 2)
        }
    }

    @Test("a server without environments: no question that has no answer")
    func noEnvironments() async throws {
        var behaviour = FakeOctopus.Behaviour()
        behaviour.oddities["GET /api/Spaces-1/environments"] = (200, #"{"Items":[],"Links":{}}"#)
        try await TestWorld.with(FakeOctopus(behaviour)) { world in
            try world.makeInstance()
            let person = Person("API-GOOD", "target", "Test")
            world.context.prompt = person.prompt
            let outcome = world.run("register", "--server=http://octopus.local")
            #expect(outcome.exitCode == 1)
            #expect(
                outcome.errors
                    == "The server has no environments that this user sees. Create one in its portal, or use the API key of "
                    + "a user who sees them. Nothing has been changed.\n"
            )
            #expect(person.questions.count == 2)
        }
    }

    @Test("of many environments twenty are named, and how many more there are; each will do")
    func manyEnvironments() async throws {
        var behaviour = FakeOctopus.Behaviour()
        let items = (1...45).map { #"{"Id":"Environments-\#($0)","Name":"E\#($0)","Type":"Static"}"# }
        let collection = #"{"Items":[\#(items.joined(separator: ","))],"Links":{}}"#
        for path in ["environments", "environments/v2"] {
            behaviour.oddities["GET /api/Spaces-1/\(path)"] = (200, collection)
        }
        let server = FakeOctopus(behaviour)
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let person = Person("API-GOOD", "target", "e45, E1", "web", "polling", "")
            world.context.prompt = person.prompt
            #expect(world.run("register", "--server=http://octopus.local").exitCode == 0)
            let names = (1...20).map { "E\($0)" }.joined(separator: ", ")
            #expect(
                person.questions.contains(
                    "Environments (several with commas between; \(names), and 25 more): "
                )
            )
            let body = try #require(try server.writes.last)
            #expect(body["EnvironmentIds"] == .strings(["Environments-45", "Environments-1"]))
        }
    }

    @Test("a complete command line is asked nothing; --workerpool makes a worker of it")
    func complete() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let person = Person()
            world.context.prompt = person.prompt
            let options = ["register", "--server=http://octopus.local", "--apiKey=API-GOOD"]
            #expect(world.run(options + ["--workerpool=WorkerPools-1"]).exitCode == 0)
            #expect(server.lines.contains("POST /api/Spaces-1/workers"))
            #expect(person.questions.isEmpty)
            let both = world.run(options + ["--workerpool=WorkerPools-1", "--env=Test"])
            #expect(
                both.errors
                    == "Option --env is for deployment targets, --workerpool for workers. Register one after the "
                    + "other: a machine may be both.\n"
            )
        }
    }

    @Test("an agent that does not listen is registered as a polling one, by `register` only")
    func defaultStyle() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            _ = world.run("configure", "--noListen=true")
            let options = ["--server=http://octopus.local", "--apiKey=API-GOOD", "--env=Test", "--role=r"]
            #expect(world.run(["register"] + options).exitCode == 0)
            #expect(try server.writes.last?["Endpoint"]?.text("CommunicationStyle") == "TentacleActive")
            #expect(world.run(["register-with", "--name=other"] + options).exitCode == 0)
            #expect(try server.writes.last?["Endpoint"]?.text("CommunicationStyle") == "TentaclePassive")
        }
    }

    @Test("nobody is asked without a terminal, with --noninteractive, or by the stock agent's commands")
    func silent() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let text = "Please specify an Octopus Server, e.g., --server=http://your-octopus-server\n"
            #expect(world.run("register").errors == text)
            let person = Person()
            world.context.prompt = person.prompt
            #expect(world.run("register", "--noninteractive").errors == text)
            #expect(world.run("register-with").errors == text)
            #expect(world.run("register-worker").errors == text)
            #expect(person.questions.isEmpty)
        }
    }

    @Test("whoever wants no more, or has no answer, changes nothing")
    func calledOff() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let before = try world.text("home/x.config")
            world.context.prompt = Person("http://octopus.local").prompt
            let outcome = world.run("register")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors == "The registration was called off. Nothing has been changed.\n")
            world.context.prompt = Person("", "", "").prompt
            #expect(
                world.run("register").errors.hasSuffix("There was no answer that would do. Nothing has been changed.\n")
            )
            #expect(server.lines.isEmpty)
            #expect(try world.text("home/x.config") == before)
        }
    }
}

@Suite struct TerminalLineTests {
    /// A terminal whose user is the test.
    private struct Terminal {
        let user: CInt
        let program: CInt

        init() throws {
            self.user = open("/dev/ptmx", O_RDWR | O_NOCTTY)
            // TIOCSPTLCK and TIOCGPTN, which the import leaves out: unlock, and tell the number.
            var (locked, number): (CInt, CInt) = (0, 0)
            try #require(ioctl(self.user, 0x4004_5431, &locked) == 0 && ioctl(self.user, 0x8004_5430, &number) == 0)
            self.program = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
            try #require(self.program >= 0)
        }

        var echoes: Bool {
            var attributes = termios()
            tcgetattr(self.program, &attributes)
            return attributes.c_lflag & tcflag_t(ECHO) != 0
        }

        func type(_ text: String) {
            let bytes = Array(text.utf8)
            _ = bytes.withUnsafeBytes { write(self.user, $0.baseAddress, $0.count) }
        }

        /// What the user sees, up to and with a text.
        func seen(until end: String) -> String {
            var text = ""
            var chunk = [UInt8](repeating: 0, count: 4096)
            while !text.contains(end) {
                let count = Glibc.read(self.user, &chunk, chunk.count)
                guard count > 0 else { break }
                text += String(decoding: chunk[..<count], as: UTF8.self)
            }
            return text
        }

        func close() {
            Glibc.close(self.user)
            Glibc.close(self.program)
        }
    }

    @Test(
        "a secret is read without an echo, and the terminal is as before",
        arguments: [
            ("geheim\n", "geheim"), ("gehx\u{7F}eim\r", "geheim"), ("weg\u{15}ü\u{8}ja\n", "ja"), ("\n", ""),
            ("geh\u{3}", nil), ("\u{4}", nil), ("geh\u{1C}", nil),
        ] as [(String, String?)]
    )
    func secret(typed: String, result: String?) throws {
        let terminal = try Terminal()
        defer { terminal.close() }
        let read = TerminalLine.readSecret(terminal.program) {
            #expect(!terminal.echoes)
            terminal.type(typed)
        }
        #expect(read == result)
        #expect(terminal.echoes)
        #expect(terminal.seen(until: "\r\n") == "\r\n")
    }

    @Test("a line is read as it is typed, two of them one by one")
    func line() throws {
        let terminal = try Terminal()
        defer { terminal.close() }
        terminal.type("first one\nsecond\n")
        #expect(TerminalLine.read(terminal.program) == "first one")
        #expect(TerminalLine.read(terminal.program) == "second")
        terminal.type("\u{4}")
        #expect(TerminalLine.read(terminal.program) == nil)
    }
}
