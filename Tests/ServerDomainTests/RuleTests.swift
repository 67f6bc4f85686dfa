import ServerDomain
import Testing

@Suite struct SlugTests {
    @Test(
        "slugs as rest-api.md 5.3 wants them",
        arguments: zip(["Hello World", "  Größe 2! ", "---", "a__b"], ["hello-world", "gr-e-2", "", "a-b"])
    )
    func made(name: String, slug: String) { #expect(Slug.make(from: name) == slug) }

    @Test("a taken slug gets a number")
    func unique() {
        let taken: Set = ["web", "web-1"]
        #expect(Slug.unique(for: "Web") { taken.contains($0) } == "web-2")
    }
}

@Suite struct ReleaseVersionTests {
    @Test("the next version by the template")
    func next() {
        let template = ReleaseVersion.defaultTemplate
        #expect(ReleaseVersion.next(template: template, after: nil) == "0.0.1")
        #expect(ReleaseVersion.next(template: template, after: "1.2.3-beta") == "1.2.4")
        #expect(ReleaseVersion.next(template: "2026.#{Octopus.Version.NextMinor}.0", after: "2026.7.1") == "2026.8.0")
        #expect(ReleaseVersion.next(template: "1.0.#{Custom}", after: nil) == nil)
    }

    @Test("unusable versions are refused", arguments: ["", "1 0", "../x", "-1", "#{x}"])
    func refused(version: String) { #expect(ReleaseVersion.problem(with: version) != nil) }
}

@Suite struct VariableBindingTests {
    @Test("plain names are bound, everything else stays")
    func substitute() {
        let values = ["Octopus.Machine.Name": "web01"]
        let text = "echo #{octopus.machine.name} #{ Octopus.Machine.Name } #{Other} #{if x}y#{/if} #{open ${#a[@]}"
        let expected = "echo web01 web01 #{Other} #{if x}y#{/if} #{open ${#a[@]}"
        #expect(VariableBinding.substitute(values, in: text) == expected)
    }
}

@Suite struct TargetScopeTests {
    static func target(
        _ id: String,
        environments: [String] = ["Environments-1"],
        roles: [String] = ["web"]
    ) -> DeploymentTarget {
        DeploymentTarget(
            id: id,
            spaceID: "Spaces-1",
            name: id,
            slug: id,
            environmentIDs: environments,
            roles: roles,
            endpoint: AgentEndpoint(
                style: .listening,
                uri: "https://h:1/",
                thumbprint: String(repeating: "A", count: 40)
            )
        )
    }

    @Test("a target needs the environment and any of the roles")
    func matching() {
        let target = Self.target("a", roles: ["web", "db"])
        #expect(target.matches(environmentID: "Environments-1", roles: ["DB", "other"]))
        #expect(!target.matches(environmentID: "Environments-2", roles: ["web"]))
        #expect(!target.matches(environmentID: "Environments-1", roles: ["other"]))
        #expect(!target.matches(environmentID: "Environments-1", roles: []))
        var disabled = target
        disabled.isDisabled = true
        #expect(!disabled.matches(environmentID: "Environments-1", roles: ["web"]))
        let excluded = TargetSelection(excludedIDs: ["a"])
        #expect(!target.matches(environmentID: "Environments-1", roles: ["web"], selection: excluded))
    }

    @Test("the plan leaves out disabled, excluded and skipped actions")
    func plan() {
        func step(_ name: String, _ action: DeploymentAction) -> DeploymentStep {
            DeploymentStep(
                id: name,
                name: name,
                slug: name,
                properties: ["Octopus.Action.TargetRoles": "web, api"],
                actions: [action]
            )
        }
        func action(_ id: String, disabled: Bool = false, excluded: [String] = []) -> DeploymentAction {
            DeploymentAction(
                id: id,
                name: id,
                slug: id,
                actionType: "Octopus.Script",
                isDisabled: disabled,
                excludedEnvironmentIDs: excluded
            )
        }
        let process = DeploymentProcess(
            id: "p",
            spaceID: "Spaces-1",
            projectID: "Projects-1",
            steps: [
                step("one", action("a1")), step("two", action("a2", disabled: true)),
                step("three", action("a3", excluded: ["Environments-1"])), step("four", action("a4")),
            ]
        )
        let plan = DeploymentPlan(
            process: process,
            environmentID: "Environments-1",
            channelID: "Channels-1",
            targets: [Self.target("m1"), Self.target("m2", roles: ["api"]), Self.target("m3", roles: ["db"])],
            skippedActionIDs: ["a4"]
        )
        #expect(plan.activeSteps.map(\.step.name) == ["one"])
        #expect(plan.targetIDs == ["m1", "m2"])
    }
}

@Suite struct LifecycleTests {
    static let phased = Lifecycle(
        id: "Lifecycles-2",
        spaceID: "Spaces-1",
        name: "Two",
        slug: "two",
        phases: [
            LifecyclePhase(id: "1", name: "Test", optionalEnvironmentIDs: ["T1", "T2"]),
            LifecyclePhase(id: "2", name: "Prod", optionalEnvironmentIDs: ["P"]),
        ]
    )

    @Test("a phase opens when the one before is complete")
    func promotion() {
        #expect(Self.phased.allows(environmentID: "T2", deployed: []))
        #expect(!Self.phased.allows(environmentID: "P", deployed: ["T1"]))
        #expect(Self.phased.allows(environmentID: "P", deployed: ["T1", "T2"]))
        #expect(!Self.phased.allows(environmentID: "X", deployed: ["T1", "T2", "P"]))
    }

    @Test("without phases every environment is open")
    func open() {
        let lifecycle = Lifecycle(id: "Lifecycles-1", spaceID: "Spaces-1", name: "Default", slug: "default")
        #expect(lifecycle.allows(environmentID: "anything", deployed: []))
    }
}

@Suite struct ValidationTests {
    @Test("endpoints are compared in one form")
    func normalised() {
        func uri(_ text: String) -> String { AgentEndpoint(style: .polling, uri: text, thumbprint: "").normalisedURI }
        #expect(uri("poll://SQ-ABC") == "poll://sq-abc/")
        #expect(uri("https://Host:10933/path?x") == "https://host:10933/")
    }

    @Test(
        "unusable endpoints are refused",
        arguments: ["http://h:1/", "poll://a/", "https:///", "", "h:1"]
    )
    func endpoints(uri: String) {
        let endpoint = AgentEndpoint(style: .listening, uri: uri, thumbprint: String(repeating: "A", count: 40))
        #expect(endpoint.problem != nil)
    }

    @Test("a machine's problems are all named")
    func machine() {
        var target = TargetScopeTests.target("a")
        #expect(target.problems == [])
        (target.name, target.roles, target.environmentIDs, target.endpoint.thumbprint) = (" ", [], [], "xyz")
        #expect(target.problems.count == 4)
        #expect(target.problems.contains("Please specify at least one environment"))
        #expect(target.problems.contains("Please specify at least one role"))
    }

    @Test("names of steps and actions are unique in any case")
    func process() {
        let action = DeploymentAction(id: "1", name: "A", slug: "a", actionType: "Octopus.Script")
        let step = DeploymentStep(id: "1", name: "A", slug: "a", actions: [action])
        var other = step
        (other.name, other.actions[0].name) = ("a", "a")
        let process = DeploymentProcess(id: "p", spaceID: "s", projectID: "q", steps: [step, other])
        #expect(process.problems.count == 2)
    }

    @Test(
        "scripts that cannot be run here say why",
        arguments: [
            ("Octopus.TentaclePackage", JSONObject()), ("Octopus.Script", ["Octopus.Action.RunOnServer": "True"]),
            ("Octopus.Script", ["Octopus.Action.Script.ScriptSource": "Package"]),
            (
                "Octopus.Script",
                ["Octopus.Action.Script.Syntax": "PowerShell", "Octopus.Action.Script.ScriptBody": "x"]
            ),
            ("Octopus.Script", ["Octopus.Action.Script.ScriptBody": " \n"]),
        ] as [(String, JSONObject)]
    )
    func unsupported(type: String, properties: JSONObject) {
        let action = DeploymentAction(id: "1", name: "A", slug: "a", actionType: type, properties: properties)
        #expect(throws: InlineScript.Unsupported.self) { try InlineScript(action) }
    }

    @Test("keys have the shape that clients accept", arguments: ["API-", "API-abc", "APX-ABC", "", "API-A B"])
    func keys(text: String) {
        #expect(!APIKey.isWellFormed(text))
        #expect(APIKey.isWellFormed("API-ABC123"))
    }
}
