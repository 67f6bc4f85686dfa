import TentacleLog

// Writes COUNT lines that begin with NAME into the log of DIRECTORY; tests start several at once.
let arguments = CommandLine.arguments
let log = OperationLog(directory: arguments[1])
for number in 0..<(Int(arguments[3]) ?? 0) { log.write(.info, "\(arguments[2]) \(number)") }
