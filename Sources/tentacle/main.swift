import Glibc
import TentacleCommands

StandardStreams.prepare()
exit(TentacleProgram(.current()).run(Array(CommandLine.arguments.dropFirst())).rawValue)
