/// The space that a command works in: its links stand before those of the root document.
package struct OctopusSpace: Sendable {
    /// Nil on servers without spaces.
    package let id: String?
    package let name: String?
    private let home: JSONValue
    private let root: JSONValue

    init(id: String?, name: String?, home: JSONValue, root: JSONValue) {
        self.id = id
        self.name = name
        self.home = home
        self.root = root
    }

    /// Link of a collection; the plain path where a server does not list it.
    package func link(_ name: String) -> String {
        self.home.link(name) ?? self.root.link(name) ?? "~/api/\(self.id.map { "\($0)/" } ?? "")\(name.lowercased())"
    }
}

extension OctopusSession {
    /// Finds the space to work in (spec tentacle-cli.md 12.3).
    package func space(_ wanted: String?) throws(OctopusError) -> OctopusSpace {
        let root = try self.root()
        guard root.link("Spaces") != nil else {
            guard let wanted else { return OctopusSpace(id: nil, name: nil, home: root, root: root) }
            throw OctopusError(
                .refused,
                "A space with name \"\(wanted)\" was requested, but this version of Octopus Server does not support "
                    + "spaces. Please upgrade Octopus Server to a version which supports spaces, or remove the \"space\" "
                    + "parameter."
            )
        }
        return try self.open(try Self.choose(from: try self.documentsOfSpaces(root), wanted), root)
    }

    /// The only space on servers without spaces, else every one that the user has access to.
    package func spaces() throws(OctopusError) -> [OctopusSpace] {
        let root = try self.root()
        guard root.link("Spaces") != nil else { return [try self.space(nil)] }
        return try self.documentsOfSpaces(root).map { space throws(OctopusError) in try self.open(space, root) }
    }

    private func documentsOfSpaces(_ root: JSONValue) throws(OctopusError) -> [JSONValue] {
        let user = try self.get(root.link("CurrentUser") ?? "~/api/users/me")
        return try self.items(user.link("Spaces") ?? "~/api/users/\(user.text("Id") ?? "me")/spaces")
    }

    private func open(_ space: JSONValue, _ root: JSONValue) throws(OctopusError) -> OctopusSpace {
        let home = try self.get(space.link("SpaceHome") ?? "~/api/\(space.text("Id") ?? "")")
        return OctopusSpace(id: space.text("Id"), name: space.text("Name"), home: home, root: root)
    }

    private static func choose(from spaces: [JSONValue], _ wanted: String?) throws(OctopusError) -> JSONValue {
        guard let wanted else {
            if let standard = spaces.first(where: { $0["IsDefault"]?.bool == true }) { return standard }
            throw OctopusError(
                .refused,
                "No \"space\" was specified, and the default space is disabled or inaccessible to this user. "
                    + "Please select a space using the \"space\" parameter."
            )
        }
        for member in ["Name", "Id", "Slug"] {
            if let space = spaces.first(where: { $0.text(member)?.comparable == wanted.comparable }) { return space }
        }
        throw OctopusError(
            .refused,
            "A space with name \"\(wanted)\" could not be found. Ensure you have spelled the space name correctly and that "
                + "the user has access to this space."
        )
    }

    /// Thumbprint of the certificate with which the server talks to agents.
    package func serverThumbprint() throws(OctopusError) -> String {
        let root = try self.root()
        let link =
            root.link("CertificateConfiguration") ?? root.link("Certificates")
            ?? "~/api/configuration/certificates{/id}"
        let certificate = try self.get(link, ["id": "certificate-global"])
        guard let thumbprint = certificate.text("Thumbprint") else {
            throw OctopusError(.server, "The server at \(self.address) did not tell its certificate's thumbprint.")
        }
        return thumbprint
    }
}

extension String {
    /// Names are compared without surrounding blanks and in any case.
    var comparable: String {
        var text = self[...]
        text = text.drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        return text.lowercased()
    }
}
