// Package remote sends remote write 1: it encodes messages, sends them as fast as
// they are acknowledged, and counts the acknowledged samples.
package remote
