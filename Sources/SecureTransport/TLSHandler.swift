package import NIOCore

/// What a ``TLSHandler`` tells the handlers behind it, as user inbound events.
package enum TLSEvent: Sendable, Hashable {
    /// The handshake is done; plaintext follows.
    case established(TLSConnectionDetails)
}

/// TLS on a NIO channel: plaintext `ByteBuffer`s on one side, ciphertext on the other.
///
/// ```
///  waiting ──active──▶ handshaking ──▶ established ──▶ inputClosed, outputClosed ──▶ ended
///     │                     │              │                       │                   ▲
///     └─────────────────────┴──────────────┴─── close, failure, end┴───────────────────┘
/// ```
/// Writes made before the handshake is done wait. Small writes between two flushes share a record; large ones are
/// encrypted piece by piece only while the channel is writable, so a large write does not exist twice in memory.
/// An end of the stream, with or without close_notify, is an ordinary end (halibut.md 2.8).
package final class TLSHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Plaintext encrypted at a time: enough for few system calls, little enough to stay in the processor's cache.
    private static let maximumChunk = 16 * TLSSession.maximumRecordPlaintext

    private enum State {
        /// The channel is not active yet. Exits: handshaking, ended.
        case waiting(TLSSession)
        /// Exits: established, ended.
        case handshaking(TLSSession, deadline: Scheduled<Void>?)
        /// Exits: inputClosed, outputClosed, ended.
        case established(TLSSession)
        /// The peer said that it sends no more; still writing. Exit: ended.
        case inputClosed(TLSSession)
        /// We said that we send no more; still reading. Exit: ended.
        case outputClosed(TLSSession)
        /// Closed or failed: nothing passes any more.
        case ended
    }

    private var state: State
    private let allowsHalfClosure: Bool
    private let handshakeTimeout: TimeAmount?
    private let speaksFirst: Bool
    private var pending = PendingWrites()
    private var plaintextBuffers = PlaintextBuffers()
    /// A listener's certificate has gone out and the dialler has not finished the handshake.
    private var certificateIsOut = false
    /// A flush came while writes had to wait.
    private var flushRequested = false
    /// Someone asked for data and got none so far.
    private var readRequested = false

    /// A handler for one connection.
    ///
    /// - Parameters:
    ///   - context: Role, identity, parameters.
    ///   - serverName: A dialler's name of its peer (sent as SNI unless it is an IP address).
    ///   - verification: What is asked of the peer's certificate; listeners pass `.any` and decide later.
    ///   - allowsHalfClosure: Whether a peer that sends no more may still be written to. Then its close_notify is an event,
    ///     `ChannelEvent.inputClosed`, and whoever handles it must close the channel; else it closes the channel.
    ///   - handshakeTimeout: Time allowed from the connection being active to the end of the handshake.
    /// - Throws: When libssl cannot set up a connection.
    package init(
        context: TLSContext,
        serverName: String? = nil,
        verification: PeerVerification,
        allowsHalfClosure: Bool = false,
        handshakeTimeout: TimeAmount? = .seconds(60)
    ) throws(TLSError) {
        self.state = .waiting(
            try TLSSession(context: context, serverName: serverName, verification: verification)
        )
        self.allowsHalfClosure = allowsHalfClosure
        self.handshakeTimeout = handshakeTimeout
        self.speaksFirst = context.role == .client
    }

    // MARK: Life of the channel

    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { startHandshake(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        end()
        pending.failAll(TLSError(code: .closed))
    }

    package func channelActive(context: ChannelHandlerContext) {
        startHandshake(context)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        switch state {
        case .waiting, .handshaking: fail(context, TLSError(code: .closedDuringHandshake))
        case .established, .inputClosed, .outputClosed, .ended: end()
        }
        pending.failAll(ChannelError.eof)
        context.fireChannelInactive()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent, case .handshaking = state {
            fail(context, TLSError(code: .closedDuringHandshake))
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func startHandshake(_ context: ChannelHandlerContext) {
        guard case .waiting(let session) = state else { return }
        let deadline = handshakeTimeout.map { timeout in
            context.eventLoop.assumeIsolated().scheduleTask(in: timeout) { [weak self] in
                guard let self, case .handshaking = self.state else { return }
                self.fail(context, TLSError(code: .handshakeTimedOut))
            }
        }
        state = .handshaking(session, deadline: deadline)
        // A listener has nothing to say before the peer has, and libssl's buffers cost 32 KB from its first call on.
        if speaksFirst { advanceHandshake(context, session) }
    }

    private func advanceHandshake(_ context: ChannelHandlerContext, _ session: TLSSession) {
        let result = session.advanceHandshake()
        let hasAnswered = sendOutput(context, session)
        switch result {
        case .needsInput: if hasAnswered, !speaksFirst { certificateIsOut = true }
        case .failed(let error): fail(context, error)
        case .established(let details):
            guard case .handshaking(_, let deadline) = state else { return }
            deadline?.cancel()
            state = .established(session)
            context.fireUserInboundEventTriggered(TLSEvent.established(details))
            encryptPending(context)
        }
    }

    // MARK: Inbound

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .waiting(let session): session.feed(unwrapInboundIn(data))
        case .handshaking(let session, _):
            session.feed(unwrapInboundIn(data))
            advanceHandshake(context, session)
            // The peer's first data may have come with the end of its handshake.
            if case .established(let session) = state { deliver(context, session) }
        case .established(let session), .outputClosed(let session):
            session.feed(unwrapInboundIn(data))
            deliver(context, session)
        case .inputClosed, .ended: break
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        // Half a record is no answer to a read: ask again on behalf of whoever did.
        if readRequested, context.channel.isActive { context.read() }
    }

    package func read(context: ChannelHandlerContext) {
        readRequested = true
        context.read()
    }

    private func deliver(_ context: ChannelHandlerContext, _ session: TLSSession) {
        guard session.unreadPlaintextBound > 0 else { return }
        var plaintext = plaintextBuffers.take(
            capacity: session.unreadPlaintextBound,
            allocator: context.channel.allocator
        )
        let result = session.read(into: &plaintext)
        plaintextBuffers.keep(plaintext)
        sendOutput(context, session)
        if plaintext.readableBytes > 0 {
            readRequested = false
            context.fireChannelRead(wrapInboundOut(plaintext))
        }
        switch result {
        case .needsInput: break
        case .closedByPeer: inputClosed(context)
        case .failed(let error): fail(context, error)
        }
    }

    private func inputClosed(_ context: ChannelHandlerContext) {
        guard allowsHalfClosure, case .established(let session) = state else {
            context.channel.close(promise: nil)
            return
        }
        state = .inputClosed(session)
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }

    // MARK: Outbound

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch state {
        case .waiting, .handshaking, .established, .inputClosed: pending.append(unwrapOutboundIn(data), promise)
        case .outputClosed, .ended: promise?.fail(TLSError(code: .closed))
        }
    }

    package func flush(context: ChannelHandlerContext) {
        flushRequested = true
        encryptPending(context)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { encryptPending(context) }
        context.fireChannelWritabilityChanged()
    }

    /// The session, while it takes plaintext.
    private var sendingSession: TLSSession? {
        switch state {
        case .established(let session), .inputClosed(let session): session
        case .waiting, .handshaking, .outputClosed, .ended: nil
        }
    }

    /// Encrypts what is to be flushed, while the channel takes more.
    private func encryptPending(_ context: ChannelHandlerContext, evenIfNotWritable: Bool = false) {
        while flushRequested, let session = sendingSession {
            guard evenIfNotWritable || context.channel.isWritable else { return }
            guard let chunk = pending.takeChunk(maximumBytes: Self.maximumChunk) else {
                flushRequested = false
                return
            }
            if let error = session.write(chunk.plaintext) {
                chunk.promise?.fail(error)
                return fail(context, error)
            }
            guard let output = session.takeOutput() else {
                // An empty write: its promise waits for those before it.
                context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: chunk.promise)
                continue
            }
            context.writeAndFlush(wrapOutboundOut(output), promise: chunk.promise)
        }
    }

    @discardableResult
    private func sendOutput(_ context: ChannelHandlerContext, _ session: TLSSession) -> Bool {
        guard let output = session.takeOutput() else { return false }
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        return true
    }

    // MARK: Ends

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch mode {
        case .input: break
        case .output:
            flushRequested = true
            encryptPending(context, evenIfNotWritable: true)
            guard let session = sendingSession else { break }
            state = .outputClosed(session)
            session.closeOutput()
            sendOutput(context, session)
        case .all:
            let session = sendingSession
            end()
            if let session {
                session.closeOutput()
                sendOutput(context, session)
            }
            pending.failAll(ChannelError.ioOnClosedChannel)
        }
        context.close(mode: mode, promise: promise)
    }

    private func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        var error = error
        switch state {
        case .ended: return
        case .handshaking: error.isAfterCertificate = certificateIsOut
        case .waiting, .established, .inputClosed, .outputClosed: break
        }
        end()
        pending.failAll(error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    private func end() {
        if case .handshaking(_, let deadline) = state { deadline?.cancel() }
        state = .ended
    }
}

@available(*, unavailable)
extension TLSHandler: Sendable {}
