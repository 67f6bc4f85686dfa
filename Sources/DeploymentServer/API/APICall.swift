import Foundation
import HTTPTypes
import Hummingbird
import ServerDomain

/// A request that has been authenticated and read.
struct APICall: Sendable {
    var path: String
    var query: APIQuery
    var parameters: [String: String]
    var spaceID: String
    /// Nil only where anonymous access is allowed.
    var signedIn: User?
    /// The session that the request's cookie names, whether there is one or not.
    var sessionToken: String?
    var content: JSONValue?

    func parameter(_ name: String) -> String { parameters[name] ?? "" }

    func user() throws(APIError) -> User {
        guard let signedIn else { throw .unauthorized }
        return signedIn
    }

    /// The body, which has to be a JSON object.
    func body() throws(APIError) -> JSONObject {
        guard let object = content?.members else { throw .invalid("The request needs a JSON object as its body.") }
        return object
    }
}

/// The query of a request; names in any case, an empty value counts as absent (rest-api.md 4).
struct APIQuery: Sendable {
    private var values: [(name: String, value: String)]

    init(_ text: String?) {
        values = (text ?? "").split(separator: "&").compactMap { pair -> (name: String, value: String)? in
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard let name = parts.first, parts.count == 2 else { return nil }
            let value = String(parts[1].replacing("+", with: " "))
            return (String(name).removingPercentEncoding ?? String(name), value.removingPercentEncoding ?? value)
        }
    }

    subscript(name: String) -> String? {
        values.first { $0.name.equalsIgnoringASCIICase(name) && !$0.value.isEmpty }?.value
    }

    /// A comma-separated or repeated parameter; nil when it is absent or empty.
    func list(_ name: String) -> [String]? {
        let items = values.filter { $0.name.equalsIgnoringASCIICase(name) }
            .flatMap { $0.value.split(separator: ",").map(\.trimmingSpaces) }
            .filter { !$0.isEmpty }
        return items.isEmpty ? nil : items
    }

    /// A non-negative number; other text counts as absent.
    func number(_ name: String) -> Int? {
        guard let text = self[name], let value = Int(text), value >= 0 else { return nil }
        return value
    }

    /// The query again, with other values of `skip` and `take`.
    func with(skip: Int, take: Int) -> String {
        let kept = values.filter { !["skip", "take"].contains($0.name.lowercased()) && !$0.value.isEmpty }
        let pairs = [("skip", String(skip)), ("take", String(take))] + kept.map { ($0.name, $0.value) }
        return pairs.map { "\($0.0)=\($0.1.percentEncodedForQuery)" }.joined(separator: "&")
    }
}

extension String {
    /// Everything but letters, digits and `-._~,` as %XX.
    fileprivate var percentEncodedForQuery: String {
        let hexadecimal = Array("0123456789ABCDEF")
        return utf8.reduce(into: "") { result, byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: ","):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default: result += "%\(hexadecimal[Int(byte >> 4)])\(hexadecimal[Int(byte & 15)])"
            }
        }
    }
}

/// What a handler answers.
enum APIAnswer: Sendable {
    case json(JSONValue, HTTPResponse.Status = .ok)
    case text(String)
    case empty
    /// With a body or without, and with cookies.
    indirect case session(APIAnswer, cookies: [Cookie])

    var response: Response {
        switch self {
        case .json(let value, let status): Self.response(value, status)
        case .text(let text):
            Response(
                status: .ok,
                headers: [.contentType: "text/plain; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: text))
            )
        case .empty: Response(status: .ok, headers: [.contentLength: "0"])
        case .session(let answer, let cookies):
            cookies.reduce(into: answer.response) { $0.setCookie($1) }
        }
    }

    static func response(_ value: JSONValue, _ status: HTTPResponse.Status) -> Response {
        Response(
            status: status,
            headers: [.contentType: "application/json; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: value.serialized()))
        )
    }
}

/// A page of a collection (rest-api.md 4).
enum APIPage {
    static let defaultTake = 30

    static func json(_ items: [JSONValue], of itemType: String, call: APICall, template: String) -> JSONValue {
        let skip = call.query.number("skip") ?? 0
        let take = max(1, call.query.number("take") ?? defaultTake)
        let total = items.count
        let pages = max(1, total / take + (total % take == 0 ? 0 : 1))
        func link(_ skip: Int) -> JSONValue { "\(call.path)?\(call.query.with(skip: skip, take: take))" }
        var links: JSONObject = [
            "Self": link(skip), "Template": .string(call.path + template),
            "Page.All": "\(call.path)?\(call.query.with(skip: 0, take: 2_147_483_647))",
            "Page.Current": link(skip), "Page.Last": link((pages - 1) * take),
        ]
        let (next, isTooFar) = skip.addingReportingOverflow(take)
        if !isTooFar, next < total { links["Page.Next"] = link(next) }
        if skip > 0 { links["Page.Previous"] = link(max(0, skip - take)) }
        return [
            "ItemType": .string(itemType), "IsStale": false, "TotalResults": .integer(Int64(total)),
            "ItemsPerPage": .integer(Int64(take)), "NumberOfPages": .integer(Int64(pages)),
            "LastPageNumber": .integer(Int64(pages - 1)), "Items": .array(Array(items.dropFirst(skip).prefix(take))),
            "Links": .object(links),
        ]
    }
}

/// Dates and times as the wire has them (rest-api.md 5, rules 1–3).
enum WireTime {
    private static let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    static func text(_ date: Date) -> String { date.formatted(style).dropLast() + "+00:00" }
    static func json(_ date: Date?) -> JSONValue { JSONValue(orNull: date.map(text)) }
}
