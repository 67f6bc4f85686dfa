import Testing

@testable import Sandbox

@Suite struct MachineSettingsTests {
    static func settings(_ text: String) throws(SettingsFileError) -> MachineSettings {
        try MachineSettings(Array(text.utf8), path: "/l.toml")
    }

    @Test("what is not said is as it was")
    func defaults() throws {
        #expect(try Self.settings("# nothing") == MachineSettings())
    }

    @Test("every key has its place")
    func everything() throws {
        let settings = try Self.settings(
            """
            work = ["/srv/second/Work/", "/srv/third/Work"]
            policy = "strict"
            forbid = ["none", "web"]
            control-groups = "off"
            log-limit = "2G"
            disk-reserve = 0
            workspace-quota = 4096
            time-limit = 60
            [[rule]]
            policy = "web"
            instance = "Tentacle"
            mutex = "deploy-*"
            [[rule]]
            policy = "standard"
            task = "ServerTasks-?"
            work = "/srv/*"
            """
        )
        var expected = MachineSettings()
        expected.workDirectories = ["/srv/second/Work", "/srv/third/Work"]
        expected.policyName = "strict"
        expected.forbidden = ["none", "web"]
        expected.usesControlGroups = false
        expected.logBytes = 2 << 30
        expected.reserveBytes = 0
        expected.workspaceBytes = 4096
        expected.timeSeconds = 60
        expected.rules = [
            .init(policyName: "web", instance: "Tentacle", mutex: "deploy-*", place: "/l.toml:9"),
            .init(policyName: "standard", task: "ServerTasks-?", work: "/srv/*", place: "/l.toml:13"),
        ]
        #expect(settings == expected)
    }

    static let size = "a number of bytes, or a text like \"512M\" that ends in K, M, G or T"
    static let refused: [(String, String)] = [
        ("work = \"/srv\"", "1: work is a list of absolute paths, not \"/srv\""),
        ("work = [\"srv\"]", "1: work: \"srv\" is no absolute path"),
        ("work = /srv", "1: expected a value: a text in quotes, a number, true, false, a list or a table"),
        ("policy = \"Web\"", "1: policy is a policy's name: \(PolicyName.form), not \"Web\""),
        ("policy = 1", "1: policy is a policy's name: \(PolicyName.form), not 1"),
        ("forbid = [\"../x\"]", "1: forbid: \"../x\" is no policy's name, which has \(PolicyName.form)"),
        ("forbid = \"none\"", "1: forbid is a list of policies' names, not \"none\""),
        ("control-groups = true", "1: control-groups is \"auto\" or \"off\", not true"),
        ("log-limit = \"many\"", "1: log-limit is \(size), not \"many\""),
        ("disk-reserve = -1", "1: disk-reserve is \(size), not -1"),
        ("workspace-quota = []", "1: workspace-quota is \(size), not a list"),
        ("time-limit = \"1h\"", "1: time-limit is a number of seconds, not \"1h\""),
        ("time-limit = 3162240001", "1: time-limit is a number of seconds, not 3162240001"),
        (
            "colour = 1",
            "1: unknown key colour; known are work, policy, forbid, control-groups, log-limit, disk-reserve, workspace-quota, time-limit and [[rule]]"
        ),
        ("\n[rule]\npolicy = \"web\"", "2: rule is a list of tables, each with the header [[rule]], not a table"),
        ("[[rule]]\nmutex = \"x\"", "1: a rule needs a policy: policy = \"NAME\""),
        (
            "[[rule]]\npolicy = \"x\"\nhost = \"x\"",
            "3: unknown key host in [[rule]]; known are policy, instance, mutex, task and work"
        ),
        (
            "[[rule]]\npolicy = \"x\"\nmutex = 1",
            "3: mutex is a text, in which * stands for any text and ? for one character, not 1"
        ),
        ("[[rule]]\npolicy = \"X\"", "2: policy is a policy's name: \(PolicyName.form), not \"X\""),
        ("[[rule]]\npolicy = \"x\"\n\npolicy = \"y\"", "4: policy is already there, on line 2"),
    ]

    @Test("what is wrong is refused with its line and what is allowed", arguments: refused)
    func refuses(text: String, problem: String) {
        let error = #expect(throws: SettingsFileError.self) { try Self.settings(text) }
        #expect(error?.problems.map(\.description) == ["/l.toml:\(problem)"])
    }

    @Test("rules have a limit")
    func rules() throws {
        func rules(_ count: Int) -> String { String(repeating: "[[rule]]\npolicy = \"x\"\n", count: count) }
        #expect(try Self.settings(rules(256)).rules.count == 256)
        let error = #expect(throws: SettingsFileError.self) { try Self.settings(rules(257)) }
        #expect(error?.description == "/l.toml:1: there are 257 rules; at most 256 are allowed")
    }

    // MARK: Choosing

    static func script(
        instance: String? = "Tentacle",
        mutex: String = "deploy-web",
        task: String = "ServerTasks-12",
        work: String = "/var/lib/tentacle/Work",
        named: String? = nil
    ) -> MachineSettings.Script {
        MachineSettings.Script(instance: instance, mutex: mutex, task: task, work: work, policyName: named)
    }

    static let rule = """
        policy = "standard"
        [[rule]]
        policy = "strict"
        instance = "Tentacle"
        mutex = "deploy-*"
        task = "ServerTasks-1?"
        work = "/var/*"
        [[rule]]
        policy = "second"
        mutex = "deploy-*"
        """

    static let choices: [(MachineSettings.Script, String)] = [
        (script(), "strict"), (script(named: "none"), "strict"), (script(instance: nil, named: "none"), "second"),
        (script(instance: "tentacle"), "second"), (script(task: "ServerTasks-112"), "second"),
        (script(work: "/srv/Work"), "second"),
        (script(mutex: "RunningScript"), "standard"), (script(mutex: "RunningScript", named: "web"), "web"),
    ]

    @Test("the first rule that matches in all its keys wins, then the agent, then the machine's default")
    func choose() throws {
        let settings = try Self.settings(Self.rule)
        for (script, name) in Self.choices { #expect(settings.choose(script) == .policy(name), "\(script)") }
    }

    @Test("a forbidden policy is never used, whoever names it")
    func forbidden() throws {
        var settings = try Self.settings("forbid = [\"none\", \"web\"]\n[[rule]]\npolicy = \"web\"\nmutex = \"x\"")
        #expect(
            settings.choose(Self.script(mutex: "x"))
                == .refusal(
                    "the policy web, named by the rule in /l.toml:2, is forbidden on this machine; change the rule"
                )
        )
        #expect(
            settings.choose(Self.script(named: "none"))
                == .refusal(
                    "the policy none, named by the agent, is forbidden on this machine; name another with: tentacle "
                        + "configure --sandbox NAME"
                )
        )
        #expect(settings.choose(Self.script()) == .policy("standard"))
        settings.policyName = "none"
        #expect(
            settings.choose(Self.script())
                == .refusal(
                    "the policy none, named by the machine's default, is forbidden on this machine; change policy in the "
                        + "launcher's settings"
                )
        )
        #expect(
            settings.choose(Self.script(named: "../etc"))
                == .refusal("the agent names a policy that cannot exist; a policy's name has \(PolicyName.form)")
        )
    }
}

@Suite struct GlobPatternTests {
    @Test(
        "patterns match whole texts",
        arguments: [
            ("", "", true), ("", "a", false), ("a", "a", true), ("a", "b", false), ("a", "ab", false), ("*", "", true),
            ("*", "anything", true), ("?", "", false), ("?", "a", true), ("?", "ä", true), ("??", "ä", false),
            ("?", "😀", true),
            ("a*", "a", true), ("a*", "ba", false), ("*a", "bca", true), ("*a", "ab", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false), ("*ab", "aab", true), ("a**b", "ab", true), ("a?*", "a", false),
            ("a?*", "ab", true),
            ("[a]", "a", false), ("[a]", "[a]", true), ("deploy-*", "deploy-", true), ("A", "a", false),
            ("*?", "ä", true),
        ]
    )
    func matches(pattern: String, text: String, isMatch: Bool) {
        #expect(GlobPattern.matches(pattern, text) == isMatch)
    }

    @Test("many stars cost no more than the product of the lengths", .timeLimit(.minutes(4)))
    func stars() {
        let pattern = String(repeating: "*a", count: 2000) + "b"
        #expect(!GlobPattern.matches(pattern, String(repeating: "a", count: 4000)))
    }
}
