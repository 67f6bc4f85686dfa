extension OctopusSession {
    /// Machines (or workers) of the space that have this agent's certificate.
    package func machines(
        withThumbprint thumbprint: String,
        workers: Bool,
        in space: OctopusSpace
    ) throws(OctopusError) -> [JSONValue] {
        try self.items(space.link(workers ? "Workers" : "Machines"), ["id": "all", "thumbprint": thumbprint])
            // A server that does not know the filter answers with all of them: those must not be deleted.
            .filter { machine in
                let own = machine["Endpoint"]?.text("Thumbprint") ?? machine.text("Thumbprint")
                return own.map { $0.comparable == thumbprint.comparable } ?? false
            }
    }

    /// Deletes a machine; one that somebody else has deleted meanwhile is what was wanted.
    package func delete(_ machine: JSONValue) throws(OctopusError) {
        do throws(OctopusError) {
            try self.delete(try Self.link(toDelete: machine))
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }

    package func url(toDelete machine: JSONValue) throws(OctopusError) -> String {
        self.address.resolve(try Self.link(toDelete: machine))
    }

    private static func link(toDelete machine: JSONValue) throws(OctopusError) -> String {
        guard let link = machine.link("Self") else {
            throw OctopusError(.server, "The server did not tell how to delete '\(machine.text("Name") ?? "")'.")
        }
        return link
    }

    /// The documents of a collection with these ids, in the server's order.
    package func documents(
        _ collection: String,
        withIDs ids: [String],
        in space: OctopusSpace
    ) throws(OctopusError) -> [JSONValue] {
        guard !ids.isEmpty else { return [] }
        return try self.items(space.link(collection), ["ids": ids.joined(separator: ",")])
            .filter { item in ids.contains { $0.comparable == item.text("Id")?.comparable } }
    }

    /// One document of a collection.
    package func document(
        _ collection: String,
        withID id: String,
        in space: OctopusSpace
    ) throws(OctopusError) -> JSONValue {
        let link = space.link(collection)
        // A link without a place for the id is that of the whole collection.
        guard LinkTemplate.expand(link, ["id": id]) != LinkTemplate.expand(link) else {
            return try self.get("\(link)/\(LinkTemplate.encoded(id))")
        }
        return try self.get(link, ["id": id])
    }
}
