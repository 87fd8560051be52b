// Package reqbody reads the bodies of requests under a common budget of bytes.
//
// A body arrives in a list of chunks of one size, which grows with the bytes
// that have come, whatever length the client announced. Every chunk is charged
// to the Budget before it is taken, and so is what a door makes of the body: a
// door decides by the declared sizes and counts of a message, takes what they
// cost, and only then decodes.
//
// A body has to keep a minimum rate (pace.go): one that stalls, or trickles
// below the rate, is given up after a grace period, while one that is slow but
// steady may take as long as it needs. When the budget is used up, unfinished
// bodies that have fallen behind yield, the one with the least progress first,
// so that requests that are complete are not refused for those that may never
// be.
//
// gRPC keeps messages to itself until they are complete. So its connections are
// followed frame by frame (rpcconn.go), and the messages that are not complete
// are charged and have to keep the rate like bodies; what ends is the connection.
package reqbody
