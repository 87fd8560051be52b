package model

// Limits that the log, the MANIFEST and the blocks share, on both sides: an
// encoder refuses what exceeds them, and so does a decoder.
const (
	// MaxMatchers is the largest number of matchers of a deletion.
	MaxMatchers = 1 << 10
	// MaxMatcherBytes bounds the name of a matcher of a deletion, and its value.
	MaxMatcherBytes = 1 << 20
	// MaxExemplarLabels is the largest number of labels of an exemplar.
	MaxExemplarLabels = 1 << 10
)
