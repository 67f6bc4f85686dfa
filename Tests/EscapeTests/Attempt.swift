import Testing

/// One way to get out of a sandbox, and what is to become of it under each profile: a row of the table (README.md).
struct Attempt: Sendable {
    /// What the attempt wants, as a person says it.
    var name: String
    /// Bash that prints `succeeded` or `refused STEP ERROR`.
    ///
    /// `call` does so: a program of this project's, for the system calls that bash has no words for
    /// (Tests/EscapeAttempts). The variables are in `EscapeStage`.
    var script: String
    /// Bash that root runs outside when the script says `gate`; the script goes on behind it.
    var outside: String?
    /// Where the attempt succeeds, so that the test can fail.
    var control = Control.policyNone
    /// Without them the attempt says nothing.
    var requires: [Requirement] = []
    /// What the policies of this attempt have on top of the profile's.
    var settings: [PolicySetting] = []
    var outcomes: Outcomes

    enum Control: Sendable {
        /// As root under the policy `none`.
        case policyNone
        /// Without launcher: for what no policy can switch off.
        case bareBash
    }

    /// One column for each way to start a script.
    struct Outcomes: Sendable {
        /// As an ordinary user without a sandbox.
        ///
        /// `standard` has none for ordinary users: where sudo is to work, the kernel permits none without privileges.
        var user: Expectation
        var standardUser: Expectation
        var standard: Expectation
        var strict: Expectation
        var strictUser: Expectation
        /// On a host that gives ordinary users no namespaces: landlock and filters are all there is.
        ///
        /// Nil: nothing is said of it.
        var strictWithoutNamespaces: Expectation?
    }

    init(
        _ name: String,
        _ script: String,
        outside: String? = nil,
        control: Control = .policyNone,
        requires: [Requirement] = [],
        settings: [PolicySetting] = [],
        standard: Expectation,
        strict: Expectation,
        user: Expectation,
        standardUser: Expectation? = nil,
        strictUser: Expectation,
        withoutNamespaces: Expectation? = nil
    ) {
        self.name = name
        self.script = script
        self.outside = outside
        self.control = control
        self.requires = requires
        self.settings = settings
        outcomes = Outcomes(
            user: user,
            standardUser: standardUser ?? user,
            standard: standard,
            strict: strict,
            strictUser: strictUser,
            strictWithoutNamespaces: withoutNamespaces
        )
    }
}

/// What is to become of an attempt.
enum Expectation: Sendable {
    /// By the first of them. Each of the others refuses when those before it are switched off, and when all of them are,
    /// the attempt succeeds: defence in depth, each layer shown by itself.
    case refusals([Refusal])
    /// Permitted, and that is meant so.
    case succeeds(because: String)
    case notTested(because: String)

    static func refused(by refusals: Refusal...) -> Expectation { .refusals(refusals) }
}

/// How a script is started.
enum Profile: String, Sendable, CaseIterable {
    case none, standard, strict
}

enum Starter: String, Sendable {
    case root = "root"
    case user = "an ordinary user"
    case userWithoutNamespaces = "an ordinary user without namespaces"
}

/// One attempt under one profile by one starter.
struct EscapeCase: Sendable, CustomTestStringConvertible {
    var attempt: Attempt
    var profile: Profile
    var starter: Starter

    var testDescription: String { "\(attempt.name) [\(profile.rawValue), \(starter.rawValue)]" }

    static let all = Attempt.all.flatMap { attempt in
        var cases = Profile.allCases.flatMap { profile in
            [Starter.root, .user].map { EscapeCase(attempt: attempt, profile: profile, starter: $0) }
        }
        if attempt.outcomes.strictWithoutNamespaces != nil {
            cases.append(EscapeCase(attempt: attempt, profile: .strict, starter: .userWithoutNamespaces))
        }
        return cases
    }

    var expectation: Expectation {
        switch (profile, starter) {
        case (.none, .root): .succeeds(because: "nothing holds it back")
        case (.strict, .userWithoutNamespaces):
            attempt.outcomes.strictWithoutNamespaces ?? .notTested(because: "nothing is said of it")
        case (.none, .user), (_, .userWithoutNamespaces): attempt.outcomes.user
        case (.standard, .root): attempt.outcomes.standard
        case (.standard, .user): attempt.outcomes.standardUser
        case (.strict, .root): attempt.outcomes.strict
        case (.strict, .user): attempt.outcomes.strictUser
        }
    }
}

/// What a machine must have for an attempt.
enum Requirement: Sendable {
    case path(String)
    /// Root puts up what the attempt is after.
    case root
    /// A block device of the host's.
    case disk
    /// Control groups of version 2 that this process may make some in.
    case controlGroups
    /// And their controllers, here for the launcher to hand on.
    case controllers(String)
    /// Of the root user's: containers take some away.
    case capability(Int, String)
}

extension Attempt {
    /// The table.
    static let all = agentAttempts + fileAttempts + processAttempts + kernelAttempts + networkAttempts + limitAttempts
}
