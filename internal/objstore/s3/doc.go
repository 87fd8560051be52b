// Package s3 keeps objects in a bucket of S3, or of a service that speaks its protocol.
// It is about a Store, the writer of an object, an open object, and the Error of a request.
//
//	New ─▶ CheckConditions ─▶ Create ─▶ Write … ─▶ Commit
//	                      └─▶ Open, Head, List, Delete, PutIf, AbortUploads
//
// It is the only package that imports the SDK. Credentials and endpoint come from the
// caller; the package reads no environment and no files.
//
// # Requests
//
//	Create       none
//	Write        CreateMultipartUpload and UploadPart, once more than PartBytes are written
//	Commit       PutObject, or the last UploadPart and CompleteMultipartUpload, with
//	             If-None-Match: *
//	Abort        AbortMultipartUpload
//	Open         GetObject of the last 64 KiB, which stay in memory: the index of a block,
//	             or a whole small object, takes one request
//	ReadAt       GetObject with Range and If-Match
//	ReadRanges   one such request for each span
//	NewReader    one GetObject for the rest of the object; more if the connection breaks
//	Head         GetObject of the last 4 KiB; Content-Range has the size
//	List         ListObjectsV2, 1,000 keys at a time
//	Delete       DeleteObjects, up to 1,000 keys, an error for each
//	SetAside     CopyObject to lost+found/, then DeleteObjects
//	PutIf        GetObject of the last 4 KiB for the ETag, then PutObject with If-Match
//	AbortUploads ListMultipartUploads, then AbortMultipartUpload
//
// A writer has at most parallelParts parts under way and fills one more, so it holds
// (parallelParts + 1) × PartBytes. The context of Create governs its uploads. Each object
// and each part is sent with its CRC-32C, which the service verifies. All parts but the
// last have the same size, because some services demand it.
//
// # Conditions
//
// The promises of a store rest on conditional writes. A service that ignores conditions
// would let two backups overwrite each other's head, so CheckConditions asks it to
// refuse two writes, and nothing may be written unless it does.
//
// An answer can be lost. The repeated request then fails, because the object is there or
// the upload is gone. The object that is there decides: if it is identical the write
// has succeeded.
//
// # Failures
//
// The SDK's retryer repeats requests that fail for reasons that pass, with growing,
// random delays, up to maxAttempts times. A connection on which nothing moves for
// Options.Idle is closed; this is time of the network and not of a Clock. A body that
// ends early is read on from where it ended.
package s3
