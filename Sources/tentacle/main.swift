import Glibc
import TentacleCommands

exit(TentacleProgram(.current()).run(Array(CommandLine.arguments.dropFirst())).rawValue)
