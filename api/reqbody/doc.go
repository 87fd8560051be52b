// Package reqbody reads the bodies of requests under a common budget of bytes.
//
// A body is stored in a list of chunks of equal size. The list grows with the
// bytes received, regardless of the length announced. Every chunk is charged to
// the Budget before it is allocated, and so is the memory that a door needs to
// decode the body: the door computes it from the sizes and counts declared in the
// message and charges it before decoding.
//
// A body must keep a minimum rate (pace.go). One that stalls or stays below the
// rate is ended after a grace period; one that is slow but steady may take as
// long as it needs. When the budget is exhausted, unfinished bodies that have
// fallen behind yield, the one with the least progress first, so that complete
// requests are not refused in favor of bodies that may never be complete.
//
// gRPC keeps messages to itself until they are complete. So its connections are
// followed frame by frame (rpcconn.go), and the messages that are not complete
// are charged and have to keep the rate like bodies; what ends is the connection.
package reqbody
