import BSON
import FoundationEssentials
import Testing

@Suite("Golden vectors")
struct GoldenVectorTests {
    static let streamID = UUID(
        uuid: (0x9a, 0x4b, 0x47, 0xb7, 0x74, 0x63, 0x47, 0x40, 0x84, 0x2e, 0xeb, 0x1d, 0xa0, 0xad, 0xe3, 0x9b)
    )
    static let activityID = UUID(
        uuid: (0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff)
    )

    /// halibut.md 18.3, member by member.
    static let uploadRequest: BSONDocument = [
        "Message": [
            "$type": "Halibut.Transport.Protocol.RequestMessage, Halibut",
            "id": "IFileTransferService::UploadFileAsync[1] / 00112233-4455-6677-8899-aabbccddeeff",
            "activityId": .uuid(activityID),
            "endpoint": [
                "PollingRequestQueueTimeout": "00:02:00",
                "RetryListeningSleepInterval": "00:00:01",
                "RetryCountLimit": .int32(5),
                "ConnectionErrorRetryTimeout": "00:05:00",
                "TcpClientConnectTimeout": "00:01:00",
                "BaseUri": "poll://abc/",
                "RemoteThumbprint": "76225C0717A16C1D0BA4A7FFA76519D286D8A248",
                "Proxy": nil,
                "ForceResolveHost": nil,
                "IsWebSocketEndpoint": false,
            ],
            "service": "IFileTransferService",
            "method": "UploadFile",
            "params": [
                "/tmp/x",
                BSONDataStream(id: streamID, length: 5).value(typed: true),
            ],
        ]
    ]

    /// halibut.md 18.5.
    static let uploadResponse: BSONDocument = [
        "Message": [
            "$type": "Halibut.Transport.Protocol.ResponseMessage, Halibut",
            "id": "IFileTransferService::UploadFileAsync[1] / 00112233-4455-6677-8899-aabbccddeeff",
            "error": nil,
            "result": [
                "$type": "Octopus.Shared.Contracts.UploadResult, Octopus.Shared",
                "FullPath": "/tmp/x",
                "Hash": "aaf4c61d",
                "Length": .int64(5),
            ],
        ]
    ]

    /// halibut.md 18.6.
    static let errorResponse: BSONDocument = [
        "Message": [
            "$type": "Halibut.Transport.Protocol.ResponseMessage, Halibut",
            "id": "IFoo::BarAsync[1] / x",
            "error": [
                "message": "Service not found: IFoo",
                "details": "Halibut.Exceptions.ServiceNotFoundHalibutClientException: Service not found: IFoo",
                "HalibutErrorType": "Halibut.Exceptions.ServiceNotFoundHalibutClientException",
            ],
            "result": nil,
        ]
    ]

    @Test(
        "A document and its bytes are the same both ways",
        arguments: [
            ("request-nul", 14, ["Message": .null]), ("request-upload-file", 708, uploadRequest),
            ("response-upload-file", 311, uploadResponse), ("response-service-not-found", 343, errorResponse),
        ] as [(String, Int, BSONDocument)]
    )
    func bothWays(name: String, count: Int, document: BSONDocument) throws {
        let bytes = try WireVector.load(name)
        #expect(bytes.count == count)
        #expect(try document.encoded() == bytes)
        #expect(try BSONDocument(bytes: bytes) == document)
    }

    @Test("The request of 18.3 ends with the size bytes of the outer documents")
    func requestTail() throws {
        let bytes = try WireVector.load("request-upload-file")
        #expect(bytes[0x24f...0x25a].elementsEqual(hex("04 70 61 72 61 6d 73 00 6b 00 00 00")))
        #expect(try BSONDocument(bytes: bytes)["message"]?.document?.typeName?.hasPrefix("Halibut.Transport") == true)
    }

    @Test(
        "A vector cut at any byte is an error",
        arguments: ["request-nul", "request-upload-file", "response-status-v2", "start-script-v1", "start-script-v2"]
    )
    func truncation(name: String) throws {
        let bytes = try WireVector.load(name)
        for count in 0..<bytes.count {
            #expect(throws: BSONError.self, "cut at \(count)") { try BSONDocument(bytes: bytes[..<count]) }
        }
    }

    @Test("A vector with any one byte changed is a document or an error, and never reads past its end")
    func corruption() throws {
        let bytes = try WireVector.load("request-upload-file")
        for position in bytes.indices {
            for change: UInt8 in [0x01, 0x80, 0xff] {
                var changed = bytes
                changed[position] ^= change
                let document = try? BSONDocument(bytes: changed)
                // What was accepted has a form that reads back as the same.
                if let document, let encoded = try? document.encoded() {
                    #expect(try BSONDocument(bytes: encoded).elements.count == document.elements.count)
                }
            }
        }
    }

    @Test("The data stream of a request is found, typed and nested")
    func dataStreams() throws {
        let expected = [BSONDataStream(id: Self.streamID, length: 5)]
        #expect(try BSONDocument(bytes: WireVector.load("request-upload-file")).dataStreams == expected)
        #expect(try BSONDocument(bytes: WireVector.load("start-script-v1")).dataStreams == expected)
        #expect(try BSONDocument(bytes: WireVector.load("request-nul")).dataStreams == [])
    }
}
