import Halibut

/// What one call orders: a class with its .NET name, so that a .NET peer finds it.
struct Order: RPCContract {
    static let wireTypeName = "Example.Contracts.Order, Example.Contracts"

    var greeting: String
    var names: [String]

    private enum CodingKeys: String, CodingKey {
        case greeting = "Greeting"
        case names = "Names"
    }
}

/// The service that the examples call.
func makeGreeter() -> RPCServices {
    var greeter = RPCService("IGreeter")
    greeter.method("SayHello") { (_, name: String) in
        "Hello, \(name)!"
    }
    greeter.method("SayHello") { (_, times: Int, name: String) in
        Array(repeating: "Hello, \(name)!", count: times).joined(separator: " ")
    }
    greeter.method("Deliver") { (request, order: Order) in
        guard !order.names.isEmpty else { throw RPCServiceError("There is nobody to greet.") }
        return "\(order.greeting), \(order.names.joined(separator: " and "))!"
    }
    return RPCServices([greeter])
}
