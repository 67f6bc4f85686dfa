/// The version that the programs report; the packages carry the same one.
///
/// A bare SemVer (spec tentacle-cli.md 4.12), in the series of the stock agent whose behaviour this is: servers compare it.
package enum ProductVersion {
    package static let major = 9
    package static let text = "\(Self.major).0.0"
}
