// Package remote encodes remote write 1, sends it and messages of other protocols as
// fast as they are acknowledged, and counts the acknowledged samples.
package remote
