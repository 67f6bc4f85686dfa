import AgentConfiguration
import TentacleCommands
import Testing

@Suite struct ProxyCommandTests {
    /// Both commands and what they are about.
    enum Which: String, CaseIterable {
        case proxy
        case polling = "polling-proxy"

        func settings(_ configuration: TentacleConfiguration) throws -> ProxySettings {
            try self == .proxy ? configuration.proxy() : configuration.pollingProxy()
        }
    }

    private static let used = ProxySettings.custom(host: "proxy.local", port: 8080, username: "me", password: "s3cret")

    @Test("a proxy of one's own, and back to none", arguments: Which.allCases)
    func custom(which: Which) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let outcome = world.run(
                which.rawValue,
                "--proxyEnable=TRUE",
                "--proxyUsername=me",
                "--PROXYPASSWORD",
                "s3cret",
                "--proxyHost=http://Proxy.local:1234/path",
                "--proxyPort=8080"
            )
            #expect(
                outcome
                    == .init(
                        exitCode: 0,
                        output: """
                            Proxy username set to: me
                            Proxy password set to: *******
                            Proxy port set to: 8080
                            Using custom proxy at: proxy.local

                            """,
                        errors: ""
                    )
            )
            #expect(try which.settings(world.configuration()) == Self.used)
            #expect(!(try world.text("home/x.config").contains("s3cret")))
            // The other one is as it was.
            let other = Which.allCases.first { $0 != which }
            #expect(try other?.settings(world.configuration()) == .systemDefault)
            #expect(
                world.run(which.rawValue, "--proxyEnable=false", "--proxyHost=proxy.local")
                    == .init(exitCode: 0, output: "Proxy use is disabled\n", errors: "")
            )
            #expect(try which.settings(world.configuration()) == .direct)
            #expect(
                world.run(which.rawValue, "--proxyEnable=true")
                    == .init(exitCode: 0, output: "Using Internet Explorer Proxy\n", errors: "")
            )
            #expect(try which.settings(world.configuration()) == .systemDefault)
        }
    }

    @Test(
        "every option and its message",
        arguments: [
            ([], "Proxy use is disabled"), (["--proxyUsername=x"], "Proxy username set to: x\nProxy use is disabled"),
            (["--proxyUsername="], "Proxy username cleared\nProxy use is disabled"),
            (["--proxyPassword= "], "Proxy password cleared\nProxy use is disabled"),
            // Said only when the host came before.
            (["--proxyPort=1", "--proxyHost=h"], "Proxy use is disabled"),
            (["--proxyHost=h", "--proxyPort="], "Proxy port set to: 80\nProxy use is disabled"),
            (["--proxyHost=", "--proxyPort=1"], "Proxy use is disabled"),
            (["--proxyEnable=true", "--proxyHost="], "Using Internet Explorer Proxy"),
            (["--proxyEnable=true", "--proxyHost=Proxy"], "Using custom proxy at: Proxy"),
            (["--proxyEnable=true", "--proxyHost=::1"], "Using custom proxy at: ::1"),
            (["--proxyEnable=true", "--proxyHost=https://h/"], "Using custom proxy at: h"),
            (
                ["--proxyEnable=true", "--proxyHost=h:8080"],
                "The port 8080 of --proxyHost is not used. Give it as --proxyPort=8080\nUsing custom proxy at: h"
            ),
            (
                ["--proxyPort=8080", "--proxyEnable=true", "--proxyHost=h:8080"],
                "Using custom proxy at: h"
            ),
        ] as [([String], String)]
    )
    func messages(options: [String], output: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            #expect(world.run(["proxy"] + options) == .init(exitCode: 0, output: output + "\n", errors: ""))
        }
    }

    @Test("values are kept until they are given again")
    func kept() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            _ = world.run("proxy", "--proxyUsername=me", "--proxyPassword=s3cret", "--proxyPort=8080")
            #expect(world.run("proxy", "--proxyEnable=true", "--proxyHost=proxy.local").exitCode == 0)
            #expect(try world.configuration().proxy() == Self.used)
            #expect(world.run("proxy", "--proxyPort=", "--proxyPassword=").exitCode == 0)
            #expect(try world.configuration().text(.proxyPort) == "80")
            #expect(try world.configuration().text(.proxyPassword) == nil)
            #expect(try world.configuration().text(.proxyUsername) == "me")
        }
    }

    @Test("the password from a file, standard input, and, where a proxy is used, the environment")
    func passwords() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.write("from file\n", "cwd/password")
            world.context.readStandardInput = { Array("from input".utf8) }
            world.context.host.environment["TENTACLE_PROXY_PASSWORD"] = "from environment"
            let use = ["--proxyEnable=true", "--proxyHost=h"]
            for (options, password) in [
                (["--proxyUsername=me"], nil), (use, "from environment"),
                (["--proxyPassword-file=password"], "from file"),
                (use + ["--proxyPassword-file", "-"], "from input"), (use + ["--proxyPassword=given"], "given"),
                (use + ["--proxyPassword="], nil),
            ] {
                let outcome = world.run(["polling-proxy"] + options)
                #expect(outcome.exitCode == 0)
                #expect(outcome.output.contains("Proxy password set to: *******\n") == (password != nil))
                #expect(try world.configuration().secret(.pollingProxyPassword) == password)
            }
        }
    }

    @Test(
        "wrong values change nothing, not even the machine key",
        arguments: [
            (["--proxyEnable=yes"], 100, "The value 'yes' of --proxyEnable is not a valid boolean; use true or false."),
            (["--proxyPort=x", "--no-such"], 100, "The value 'x' of --proxyPort is not a whole number."),
            (["--proxyPort=0"], 1, "The port 0 of --proxyPort is not valid. Give a port from 1 to 65535."),
            (["--proxyPort=65536"], 1, "The port 65536 of --proxyPort is not valid. Give a port from 1 to 65535."),
            (
                ["--proxyHost=a b"], 1,
                "The proxy host 'a b' is not valid. Give a host name or an IP address, e.g. --proxyHost=proxy.example.com"
            ),
            (
                ["--proxyHost=h/path"], 1,
                "The proxy host 'h/path' is not valid. Give a host name or an IP address, e.g. "
                    + "--proxyHost=proxy.example.com"
            ),
            (
                ["--proxyPassword-file=password"], 1,
                "Please specify a --proxyPassword, or a --proxyPassword-file - not both."
            ),
            (
                ["--instance=B"], 1,
                "Instance B of Tentacle has not been configured on this machine. Available instances: Tentacle."
            ),
        ] as [([String], Int32, String)]
    )
    func refused(options: [String], code: Int32, message: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.write("too short for a key\n", "etc/machine-id")
            let before = try world.text("home/x.config")
            for which in Which.allCases {
                #expect(
                    world.run([which.rawValue, "--proxyPassword=p"] + options)
                        == .init(exitCode: code, output: "", errors: message + "\n")
                )
            }
            #expect(try world.text("home/x.config") == before)
            #expect(!world.names(in: "etc/octopus").contains("machinekey"))
        }
    }

    @Test("a password file that cannot be read or is empty")
    func passwordFiles() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.write("\n", "cwd/empty")
            #expect(
                world.run("proxy", "--proxyPassword-file=empty")
                    == .init(exitCode: 1, output: "", errors: "The password file 'empty' is empty.\n")
            )
            #expect(
                world.run("proxy", "--proxyPassword-file=none").errors
                    == "Could not read '\(world.path)/cwd/none': No such file or directory. Give the file that holds the "
                    + "password and nothing else as --proxyPassword-file.\n"
            )
        }
    }
}
