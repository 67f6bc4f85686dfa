import Halibut

/// What a browser sees on the listening port (tentacle-services.md 14.1).
enum AgentPage {
    static let page = FriendlyPage(
        html: """
            <!doctype html><html lang="en"><head><title>Octopus Tentacle</title></head>\
            <body><h1>Octopus Tentacle configured successfully</h1>\
            <p>This agent waits for its Octopus Server. There is nothing to see here.</p></body></html>
            """
    )
}
