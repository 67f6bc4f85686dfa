import DeploymentServer
import Foundation
import ServerDomain
import ServerStore
import Synchronization
import TentacleContracts
import Testing

@Suite(.timeLimit(.minutes(4))) struct OrchestrationTests {
    @Test("the seed use case: both machines at the same time, output on the target nodes")
    func parallel() async throws {
        let barrier = Barrier(2)
        let gateway = FakeGateway(start: { command, _ in
            // Passes only when both scripts have been started before either has ended.
            await barrier.arrive()
            return .complete(command.scriptTicket, ["##octopus[stdout-verbose]", "quiet", command.scriptBody])
        })
        try await TestServer.with(gateway) { server in
            try await server.makeProject(script: "Hello from #{Octopus.Machine.Name}", machines: ["web01", "web02"])
            let details = try await server.finished(try await server.deploy())
            #expect(details.state == "Success")
            #expect(details.task.flag("FinishedSuccessfully"))
            #expect(details.steps.map { $0.text("Name") } == ["Step 1: Say hello"])
            #expect(Set(details.targets.compactMap { $0.text("Name") }) == ["web01", "web02"])
            for target in details.targets {
                #expect(target.text("Status") == "Success")
                let lines = TaskDetails.lines(target, category: "Verbose")
                #expect(lines.suffix(2) == ["quiet", "Hello from \(target.text("Name") ?? "")"])
            }
        }
    }

    @Test("one failing machine fails the task, the other one finishes")
    func failure() async throws {
        let gateway = FakeGateway(start: { command, endpoint in
            .complete(command.scriptTicket, ["x"], exitCode: endpoint.uri.contains("web01") ? 3 : 0)
        })
        try await TestServer.with(gateway) { server in
            try await server.makeProject(machines: ["web01", "web02"])
            let details = try await server.finished(try await server.deploy())
            #expect(details.state == "Failed")
            #expect(details.error == "web01: Script exited with code 3")
            #expect(!details.task.flag("FinishedSuccessfully"))
            #expect(details.task.flag("HasWarningsOrErrors"))
            let status = Dictionary(details.targets.map { ($0.text("Name"), $0.text("Status")) }) { first, _ in first }
            #expect(status == ["web01": "Failed", "web02": "Success"])
        }
    }

    @Test("a machine that cannot be reached fails with its name and reason")
    func unreachable() async throws {
        let gateway = FakeGateway(capabilities: { _ in
            throw TentacleCallError(.network, phase: .connecting, "no route to host")
        })
        try await TestServer.with(gateway) { server in
            try await server.makeProject()
            let details = try await server.finished(try await server.deploy())
            #expect(details.state == "Failed")
            #expect(details.error == "web01: no route to host")
            #expect(
                TaskDetails.lines(details.targets[0], category: "Error").last?.contains("https://web01:10933/") == true
            )
        }
    }

    @Test("cancelled through the API while the script runs")
    func cancel() async throws {
        let started = CancelSignal()
        let gateway = FakeGateway(
            start: { command, _ in
                started.cancel()
                return .running(command.scriptTicket, ["working"], next: 8)
            },
            status: { ticket, _, _ in .running(ticket, [], next: 8) }
        )
        try await TestServer.with(gateway) { server in
            try await server.makeProject()
            let id = try await server.deploy()
            await started.wait()
            let answer = try await server.api("POST", "/api/spaces/Spaces-1/tasks/\(id)/cancel")
            #expect(answer.members?.text("State") == "Cancelling")
            let details = try await server.finished(id)
            #expect(details.state == "Canceled")
            #expect(gateway.calls.contains("cancel 8"))
            #expect(gateway.calls.last == "complete")
            let again = try await server.api("POST", "/api/tasks/\(id)/cancel", expecting: 400)
            #expect(again.members?["Errors"]?.items?.isEmpty == false)
        }
    }

    @Test("a queued task is cancelled at once and never runs")
    func cancelQueued() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject()
            let id = try await server.deploy()
            #expect(try await server.api("POST", "/api/tasks/\(id)/cancel").members?.text("State") == "Canceled")
            #expect(server.gateway.calls.isEmpty)
        }
    }

    @Test("tasks that a crash interrupted end as failed, with a clear text")
    func interrupted() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject()
            let id = try await server.deploy()
            try await server.store.write { tx in
                var task = try #require(try tx.find(ServerTask.self, id: id))
                task.state = .executing
                try tx.update(task)
            }
            try await server.runner.failInterruptedTasks()
            let details = try await server.finished(id)
            #expect(details.state == "Failed")
            #expect(details.error.contains("The server stopped while this task ran"))
            #expect(details.root.text("Status") == "Failed")
            #expect(TaskDetails.lines(details.root, category: "Fatal") == [details.error])
        }
    }

    @Test("no machine with the role: refused, and nothing is stored")
    func noMachines() async throws {
        try await TestServer.with { server in
            try await server.makeProject(machines: [])
            let release = try await server.api("POST", "/api/Spaces-1/releases/create/v1", ["projectName": "Web"])
            #expect(release.members?.text("ReleaseVersion") == "0.0.1")
            let wish: JSONValue = ["projectName": "Web", "releaseVersion": "0.0.1", "environmentNames": ["Test"]]
            let path = "/api/Spaces-1/deployments/create/untenanted/v1"
            let answer = try await server.api("POST", path, wish, expecting: 400)
            let errors = answer.members?["Errors"]?.texts ?? []
            #expect(
                errors.first?.contains("There are no machines in the environment 'Test' with the role 'web'") == true
            )
            let (tasks, deployments) = try await server.store.read { tx in
                (try tx.all(ServerTask.self), try tx.all(Deployment.self))
            }
            #expect(tasks.isEmpty && deployments.isEmpty)
        }
    }

    @Test("a release keeps the process it was made of")
    func snapshot() async throws {
        let bodies = Mutex<[String]>([])
        let gateway = FakeGateway(start: { command, _ in
            bodies.withLock { $0.append(command.scriptBody) }
            return .complete(command.scriptTicket, [])
        })
        try await TestServer.with(gateway) { server in
            try await server.makeProject(script: "old")
            try await server.api(
                "POST",
                "/api/Spaces-1/releases/create/v1",
                ["projectName": "Web", "releaseVersion": "1.0"]
            )
            try await server.setProcess(script: "new", version: 1)
            let wish: JSONValue = ["projectName": "Web", "releaseVersion": "1.0", "environmentNames": ["test"]]
            let answer = try await server.api("POST", "/api/Spaces-1/deployments/create/untenanted/v1", wish)
            let id = try #require(answer.members?["DeploymentServerTasks"]?.items?.first?.members?.text("ServerTaskId"))
            _ = try await server.finished(id)
            #expect(bodies.withLock { $0 } == ["old"])
        }
    }

    @Test("registration checks the machine's health and remembers what it is")
    func health() async throws {
        let gateway = FakeGateway(start: { command, _ in
            let value = Data("Debian GNU/Linux 12".utf8).base64EncodedString()
            let name = Data("OperatingSystem".utf8).base64EncodedString()
            return .complete(command.scriptTicket, ["##octopus[setVariable name='\(name)' value='\(value)']"])
        })
        try await TestServer.with(gateway) { server in
            try await server.makeProject(machines: [])
            var machine = try #require(TestServer.machine("web01").members)
            machine["SkipInitialHealthCheck"] = false
            try await server.api("POST", "/api/Spaces-1/machines", .object(machine), expecting: 201)
            #expect(try await server.finished("ServerTasks-1").state == "Success")
            let found = try await server.api("GET", "/api/Spaces-1/machines/Machines-1").members
            #expect(found?.text("HealthStatus") == "Healthy")
            #expect(found?.text("OperatingSystem") == "Debian GNU/Linux 12")
        }
    }

    @Test("steps run by their conditions")
    func conditions() async throws {
        let gateway = FakeGateway(start: { command, _ in
            .complete(command.scriptTicket, [], exitCode: command.scriptBody == "fail" ? 1 : 0)
        })
        try await TestServer.with(gateway) { server in
            try await server.makeProject()
            func step(_ name: String, _ script: String, _ condition: String) -> JSONValue {
                [
                    "Name": .string(name), "Condition": .string(condition),
                    "Properties": ["Octopus.Action.TargetRoles": "web"],
                    "Actions": [
                        [
                            "ActionType": "Octopus.Script",
                            "Properties": ["Octopus.Action.Script.ScriptBody": .string(script)],
                        ]
                    ],
                ]
            }
            let process: JSONValue = [
                "Version": 1,
                "Steps": [
                    step("early", "x", "Failure"), step("breaks", "fail", "Success"), step("after", "x", "Success"),
                    step("rescue", "x", "Failure"), step("always", "x", "Always"),
                ],
            ]
            try await server.api("PUT", "/api/Spaces-1/projects/web/deploymentprocesses", process)
            let details = try await server.finished(try await server.deploy())
            #expect(details.state == "Failed")
            #expect(details.steps.map { $0.text("Status") } == ["Skipped", "Failed", "Skipped", "Success", "Success"])
        }
    }

    @Test("secrets that a script names are masked in what follows")
    func masks() async throws {
        let gateway = FakeGateway(start: { command, _ in
            let value = Data("hunter2".utf8).base64EncodedString()
            return .complete(command.scriptTicket, ["##octopus[mask value='\(value)']", "password is hunter2"])
        })
        try await TestServer.with(gateway) { server in
            try await server.makeProject()
            let details = try await server.finished(try await server.deploy())
            #expect(TaskDetails.lines(details.targets[0], category: "Info") == ["password is ********"])
        }
    }
}
