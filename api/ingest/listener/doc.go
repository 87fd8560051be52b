// Package listener receives lines over plain TCP and in UDP datagrams, for protocols
// whose clients do not wait for a response. A Listener serves the ports of one door and
// knows nothing of its protocol except where a line ends:
//
//	TCP connection ─▶ buffer ─▶ whole lines ─┐
//	                                         ├─▶ Options.Store ─▶ door ─▶ storage
//	UDP datagrams  ─▶ bounded queue ─────────┘
//
// Batches grow with the load: while lines are stored, the next ones collect in the
// buffer of the kernel or in the queue, and are stored together.
//
// While storage takes no lines, such as at the start, a connection is not read, so that
// its client waits; lines that have been read are stored later. Datagrams collect in
// the queue, and are dropped once it is full. Everything dropped is counted by reason
// in metrics, recorded like the refusals of requests, and logged at a bounded rate. A
// bad line is refused by the door, and the connection goes on.
package listener
