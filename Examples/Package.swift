// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "halibut-examples",
    dependencies: [.package(name: "tentacle", path: "..")],
    targets: [
        .executableTarget(
            name: "halibut-examples",
            dependencies: [.product(name: "Halibut", package: "tentacle")],
            path: "Sources/Examples"
        )
    ]
)
