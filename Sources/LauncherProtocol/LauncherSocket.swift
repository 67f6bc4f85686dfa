/// Where systemd listens for those who want a script started (systemd/tentacle-launcher.socket).
package enum LauncherSocket {
    package static let path = "/run/tentacle/launcher.sock"
}
