package import HTTPTypes
import ServerDomain
import ServerStore

/// A request that is refused, as rest-api.md 3 writes it.
package struct APIError: Error {
    package var status: HTTPResponse.Status
    package var message: String
    /// Present for rule violations only: with it in a 404, clients take the wrong path (rest-api.md 3).
    package var problems: [String]

    init(_ status: HTTPResponse.Status, _ message: String, problems: [String] = []) {
        (self.status, self.message, self.problems) = (status, message, problems)
    }

    static func invalid(_ problems: String...) -> APIError { invalid(problems) }
    static func invalid(_ problems: [String]) -> APIError {
        APIError(.badRequest, "There was a problem with your request.", problems: problems)
    }
    static func notFound(_ id: String) -> APIError { APIError(.notFound, "The resource '\(id)' was not found.") }
    static func nameTaken(_ name: String) -> APIError {
        .invalid("The name '\(name)' is already in use. Please choose a different name.")
    }
    static let unauthorized = APIError(
        .unauthorized,
        "You must be logged in to perform this action. Please provide a valid API key or log in again."
    )

    /// Any error as an answer; what is not foreseen tells the client no details.
    init(_ error: any Error) {
        switch error {
        case let error as APIError: self = error
        case let error as StoreError:
            switch error.code {
            case .duplicate, .reference: self = .invalid(error.description)
            case .notFound: self = APIError(.notFound, error.description)
            case .unavailable: self = APIError(.internalServerError, error.description)
            }
        default: self = APIError(.internalServerError, "An unexpected error occurred on the server.")
        }
    }

    var json: JSONValue {
        var object: JSONObject = ["ErrorMessage": .string(message)]
        if !problems.isEmpty {
            object["Errors"] = JSONValue(problems)
            for name in ["Details", "FullException", "HelpLink", "HelpText"] { object[name] = .null }
            object["ParsedHelpLinks"] = []
        }
        return .object(object)
    }
}
