import NIOCore
import NIOPosix
import Testing

@testable import Halibut

@Suite("A connection's task on its event loop")
struct LoopExecutorTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.any()

    @Test("waiting does not leave the loop, work that may block does")
    func staysOnTheLoop() async {
        let loop = self.loop
        await LoopExecutor.run(on: loop) {
            #expect(loop.inEventLoop)
            await self.wait { continuation in loop.execute { continuation.resume() } }
            #expect(loop.inEventLoop)
            await offLoop { #expect(!loop.inEventLoop) }
            #expect(loop.inEventLoop)
        }
        #expect(!loop.inEventLoop)
    }

    @Test("an actor's call runs on the loop, too, and comes back to the actor")
    @MainActor
    func actorsCall() async {
        let loop = self.loop
        await LoopExecutor.run(on: loop) { #expect(loop.inEventLoop) }
        MainActor.assertIsolated()
    }

    @Test("a wait resumes on the loop, and at once")
    func resumesOnTheLoop() async {
        let loop = self.loop
        await LoopExecutor.run(on: loop) {
            // Ticks of the loop between resuming and running: a change of threads takes many, staying takes one.
            for _ in 0..<100 {
                let resumedIn = NIOLoopBoundBox(false, eventLoop: loop)
                await self.wait { continuation in
                    loop.execute {
                        continuation.resume()
                        loop.execute { loop.execute { resumedIn.value = true } }
                    }
                }
                #expect(!resumedIn.value)
            }
        }
    }

    /// Waits the way ``WirePipe`` does.
    private func wait(_ body: @escaping @Sendable (CheckedContinuation<Void, Never>) -> Void) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { body($0) }
        } onCancel: {
        }
    }
}
