import AgentConfiguration
import OctopusClient
import TentacleLog

/// What `register` asks a person at a terminal for: everything that a registration cannot do without (issue 6).
///
/// A complete command line is asked nothing, and nobody is asked but at a terminal.
struct RegistrationQuestions {
    let prompt: Prompt
    let context: CommandContext
    /// The configured agent does not listen: it will have to poll.
    let isPollingByDefault: Bool
    /// What the server has in a collection, once the options say which server.
    let documents: (_ collection: String, ParsedOptions) throws -> [JSONValue]

    private static let tries = 3
    /// More names than this help nobody.
    private static let shownNames = 20

    /// The options with the answers behind them.
    func completed(_ options: ParsedOptions) throws -> ParsedOptions {
        guard Self.isIncomplete(options, self.context) else { return options }
        var result = options
        if options.text("server") == nil { try self.askServer(&result) }
        if !Self.hasCredential(options, self.context) {
            try self.askCredential(&result)
        } else if Self.lacksPassword(options, self.context) {
            try self.askPassword(&result)
        }
        try self.askKind(&result)
        if options.text("comms-style") == nil { try self.askStyle(&result) }
        if options.text("name") == nil {
            let name = try self.ask("Name of this machine on the server", standard: self.context.hostName) { _ in nil }
            result.add("name", name)
        }
        let isListening = result.text("comms-style")?.lowercased() == "tentaclepassive"
        if isListening, options.text("publicHostName") == nil {
            let host = try self.ask(
                "Host name or IP address at which the server finds this machine",
                standard: self.context.hostName
            ) { _ in nil }
            result.add("publicHostName", host)
        }
        return result
    }

    private static func isIncomplete(_ options: ParsedOptions, _ context: CommandContext) -> Bool {
        guard options.text("server") != nil, Self.hasCredential(options, context), !Self.lacksPassword(options, context)
        else { return true }
        return options.list("workerpool").isEmpty && (options.list("env").isEmpty || options.list("role").isEmpty)
    }

    private static func hasCredential(_ options: ParsedOptions, _ context: CommandContext) -> Bool {
        ServerOptions.hasCredential(options)
            || [ServerOptions.apiKey, ServerOptions.bearerToken].contains { context.host.variable($0.variable) != nil }
    }

    private static func lacksPassword(_ options: ParsedOptions, _ context: CommandContext) -> Bool {
        let password = ServerOptions.password
        return options.text("username") != nil && !password.isGiven(options)
            && context.host.variable(password.variable) == nil
    }

    private func askServer(_ options: inout ParsedOptions) throws(CommandError) {
        let server = try self.ask("Octopus Server, e.g. https://octopus.example.com") { answer in
            do throws(OctopusError) {
                _ = try ServerAddress(answer)
                return nil
            } catch {
                return error.message
            }
        }
        options.add("server", server)
    }

    private func askCredential(_ options: inout ParsedOptions) throws(CommandError) {
        let key = try self.answer("API key, not shown (empty: user name and password): ", isSecret: true)
        guard key.isEmpty else { return options.add("apiKey", key) }
        options.add("username", try self.ask("User name") { _ in nil })
        try self.askPassword(&options)
    }

    private func askPassword(_ options: inout ParsedOptions) throws(CommandError) {
        options.add("password", try self.ask("Password, not shown", isSecret: true) { _ in nil })
    }

    private func askKind(_ options: inout ParsedOptions) throws {
        let isTarget = !options.list("env").isEmpty || !options.list("role").isEmpty
        guard options.list("workerpool").isEmpty else { return }
        if !isTarget {
            let kind = try self.choose("Deployment target or worker", ["target", "worker"], standard: "target")
            guard kind == "target" else {
                let pools = try self.documents("WorkerPools", options)
                return try self.askList("Worker pools", "workerpool", among: pools, &options)
            }
        }
        if options.list("env").isEmpty {
            try self.askList("Environments", "env", among: try self.documents("Environments", options), &options)
        }
        if options.list("role").isEmpty { try self.askList("Roles, e.g. web-server", "role", &options) }
    }

    private func askStyle(_ options: inout ParsedOptions) throws(CommandError) {
        let style = try self.choose(
            "Does this agent listen for the server (listening), or dial it (polling)",
            ["listening", "polling"],
            standard: self.isPollingByDefault ? "polling" : "listening"
        )
        options.add("comms-style", style == "polling" ? "TentacleActive" : "TentaclePassive")
    }

    private func askList(
        _ question: String,
        _ option: String,
        among documents: [JSONValue]? = nil,
        _ options: inout ParsedOptions
    ) throws(CommandError) {
        let names = (documents ?? []).compactMap { $0.text("Name") }
        if documents != nil, names.isEmpty {
            // No answer would do.
            throw CommandError(
                "The server has no \(question.lowercased()) that this user sees. Create one in its portal, or use the API key "
                    + "of a user who sees them. Nothing has been changed."
            )
        }
        var shown = names.prefix(Self.shownNames).map { ReadableText.escapingControls($0) }
        if names.count > shown.count { shown.append("and \(names.count - shown.count) more") }
        let offer = shown.isEmpty ? "" : "; " + shown.joined(separator: ", ")
        let answer = try self.ask("\(question) (several with commas between\(offer))") { answer in
            let items = Self.items(answer)
            guard !items.isEmpty else { return "At least one is needed." }
            let unknown = items.filter { item in !(documents?.contains { Self.names(item, $0) } ?? true) }
            return unknown.isEmpty ? nil : "The server does not have \(unknown.joined(separator: ", "))."
        }
        for item in Self.items(answer) { options.add(option, item) }
    }

    private static func items(_ answer: String) -> [String] {
        answer.split(separator: ",").map { String($0.trimmed) }.filter { !$0.isEmpty }
    }

    /// By name, slug or id.
    private static func names(_ text: String, _ document: JSONValue) -> Bool {
        ["Name", "Slug", "Id"].contains { document.text($0)?.lowercased() == text.lowercased() }
    }

    /// One of several words, or the start of one.
    private func choose(_ question: String, _ words: [String], standard: String) throws(CommandError) -> String {
        func word(_ answer: String) -> String? { words.first { $0.hasPrefix(answer.lowercased()) } }
        let answer = try self.ask(question, standard: standard) { answer in
            word(answer) == nil ? "Please answer \(words.joined(separator: " or "))." : nil
        }
        return word(answer) ?? standard
    }

    /// Asks until the answer will do, but not for ever.
    private func ask(
        _ question: String,
        standard: String? = nil,
        isSecret: Bool = false,
        problem: (String) -> String?
    ) throws(CommandError) -> String {
        let text = question + (standard.map { " [\($0)]" } ?? "") + ": "
        for _ in 0..<Self.tries {
            var answer = try self.answer(text, isSecret: isSecret)
            if answer.isEmpty, let standard { answer = standard }
            let trouble = answer.isEmpty ? "An answer is needed." : problem(answer)
            guard let trouble else { return answer }
            self.context.console.error(trouble)
        }
        throw CommandError("There was no answer that would do. Nothing has been changed.")
    }

    private func answer(_ question: String, isSecret: Bool) throws(CommandError) -> String {
        guard let answer = self.prompt.ask(question, isSecret) else {
            throw CommandError("The registration was called off. Nothing has been changed.")
        }
        guard isSecret else { return String(answer.trimmed) }
        self.context.console.log.masker.hide(answer)
        return answer
    }
}

extension ParsedOptions {
    fileprivate mutating func add(_ name: String, _ value: String) {
        self.occurrences.append(.init(name: name, value: value))
    }
}
