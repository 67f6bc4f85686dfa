// One import for users: the values that our signatures name live in these modules, and how we divide the wire among
// targets is our own affair. What is not `public` in them stays inside this package.
@_exported public import BSON
@_exported public import HalibutProtocol
@_exported public import SecureTransport
