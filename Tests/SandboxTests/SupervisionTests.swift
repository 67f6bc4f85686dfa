import Testing

@testable import Sandbox

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
