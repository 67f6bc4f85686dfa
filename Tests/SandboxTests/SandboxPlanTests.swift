import Testing

@testable import Sandbox

@Suite struct SandboxPlanTests {
    static let command = SandboxedCommand(
        path: "/bin/bash",
        arguments: ["/bin/bash", "x"],
        environment: [:],
        directory: "/w"
    )

    @Test("a standard plan with privileges puts the script into namespaces of its own")
    func standard() {
        let plan = SandboxPlan(
            policy: .standard,
            privileges: SandboxPrivileges(canMakeNamespaces: true),
            command: Self.command
        )
        #expect(
            plan.description == """
                1. new PID and mount namespace
                2. adopt orphans
                3. hold the claim on the workspace
                4. keep mounts inside the namespace
                5. mount /proc of the PID namespace
                6. number processes from the launcher's own number
                7. die with the keeper
                8. begin a session
                9. input from /dev/null, output and errors into the pipes
                10. close every other descriptor at execution
                11. enter /w
                12. default action for every signal, none blocked
                13. execute /bin/bash with 2 arguments
                """
        )
    }

    @Test(
        "without privileges, or without a sandbox, the script starts directly",
        arguments: [(SandboxPolicy.standard, false), (SandboxPolicy.none, true), (SandboxPolicy.none, false)]
    )
    func direct(policy: SandboxPolicy, canMakeNamespaces: Bool) {
        let plan = SandboxPlan(
            policy: policy,
            privileges: SandboxPrivileges(canMakeNamespaces: canMakeNamespaces),
            command: Self.command
        )
        #expect(!plan.ownNamespaces)
        #expect(plan.keeperOperations == [.adoptOrphans, .holdClaim])
        #expect(plan.operations.last == .execute(path: "/bin/bash", arguments: ["/bin/bash", "x"]))
    }
}

@Suite struct SupervisionTests {
    @Test("a script is over when it exited and both pipes are at their end, in any order")
    func everyOrder() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            var machine = Supervision()
            var events: [Supervision.OnEvent] = []
            for event in order {
                switch event {
                case 0: events.append(machine.streamEnded(.output))
                case 1: events.append(machine.streamEnded(.error))
                default: events.append(machine.scriptExited(7))
                }
            }
            #expect(events == [.goOn, .goOn, .finish(.exited(7))])
            let late = machine.cancelRequested()
            #expect(late == .goOn)
        }
    }

    @Test("a cancel stops the tree once and wins over everything later")
    func cancel() {
        var machine = Supervision()
        let first = machine.cancelRequested()
        let again = machine.cancelRequested()
        let failed = machine.logFailed("x")
        _ = machine.streamEnded(.output)
        _ = machine.streamEnded(.error)
        let exited = machine.scriptExited(137)
        let gone = machine.treeGone()
        #expect([first, again, failed, exited, gone] == [.stopTree, .goOn, .goOn, .goOn, .finish(.cancelled)])
    }

    @Test("a log that cannot be written, and a start that fails, end the script with their reason")
    func failures() {
        var machine = Supervision()
        let failed = machine.logFailed("disk full")
        let gone = machine.treeGone()
        #expect([failed, gone] == [.stopTree, .finish(.logFailed("disk full"))])
        var other = Supervision()
        let notStarted = other.startFailed("no bash")
        let over = other.treeGone()
        #expect([notStarted, over] == [.stopTree, .finish(.notStarted("no bash"))])
    }

    @Test("a keeper that ends before the script takes it along; later it is only right")
    func keeper() {
        var machine = Supervision()
        let lost = machine.keeperEnded()
        let gone = machine.treeGone()
        #expect([lost, gone] == [.stopTree, .finish(.keeperLost)])
        var other = Supervision()
        _ = other.scriptExited(3)
        let right = other.keeperEnded()
        #expect(right == .goOn)
    }

    @Test("the tree being gone means nothing while the script runs")
    func spurious() {
        var machine = Supervision()
        let event = machine.treeGone()
        #expect(event == .goOn)
    }
}

@Suite struct ProcessTableTests {
    @Test("descendants are found through every generation, the dead left out")
    func descendants() {
        func row(_ id: Int32, _ parent: Int32, _ state: Character = "S") -> ProcessTable.Row {
            ProcessTable.Row(processID: id, parentID: parent, state: state, name: "x")
        }
        let rows = [row(2, 1), row(3, 2, "Z"), row(4, 3), row(5, 9), row(6, 4, "D")]
        #expect(ProcessTable.descendants(of: 1, in: rows).map(\.processID) == [2, 4, 6])
    }

    @Test("this process is in the table")
    func own() {
        #expect(ProcessTable.rows().contains { $0.processID == 1 })
    }
}
