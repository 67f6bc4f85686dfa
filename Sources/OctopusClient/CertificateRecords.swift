/// A machine or worker that a server keeps, and where.
package struct MachineRecord: Sendable {
    package var name: String
    package var spaceName: String?
    package var isWorker: Bool
    let document: JSONValue
}

extension OctopusSession {
    /// Everything that the server knows by a thumbprint: targets and workers, in one space or in all that the user sees.
    package func records(withThumbprint thumbprint: String, in space: String?) throws(OctopusError) -> [MachineRecord] {
        var result: [MachineRecord] = []
        let spaces = if let space { [try self.space(space)] } else { try self.spaces() }
        for space in spaces {
            for isWorker in [false, true] {
                for machine in try self.machines(withThumbprint: thumbprint, workers: isWorker, in: space) {
                    result.append(
                        MachineRecord(
                            name: machine.text("Name") ?? "",
                            spaceName: space.name,
                            isWorker: isWorker,
                            document: machine
                        )
                    )
                }
            }
        }
        return result
    }

    /// Makes the server expect another thumbprint; all else of the machine stays as it was read.
    package func change(_ record: MachineRecord, toThumbprint thumbprint: String) throws(OctopusError) {
        guard let link = record.document.link("Self"), let endpoint = record.document["Endpoint"] else {
            throw OctopusError(.server, "The server at \(self.address) did not tell where a machine is changed.")
        }
        let body = record.document.replacing([
            "Endpoint": endpoint.replacing(["Thumbprint": .string(thumbprint)])
        ])
        _ = try self.send("PUT", link, body: body)
    }
}
