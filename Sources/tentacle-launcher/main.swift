// Starts or cancels one script (DESIGN.md 2): one request on standard input or on the socket systemd hands over.
internal import Glibc

exit(Launcher.main(CommandLine.arguments))
