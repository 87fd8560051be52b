// Package remote is a sender of remote write 1: the bytes of its messages, and
// senders that keep them coming and count what was acknowledged.
package remote
