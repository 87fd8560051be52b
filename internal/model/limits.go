package model

// Limits shared by the WAL, the MANIFEST and the blocks. Encoders and decoders
// both enforce them.
const (
	// MaxMatchers is the largest number of matchers of a deletion.
	MaxMatchers = 1 << 10
	// MaxMatcherBytes bounds the name, and the value, of a matcher of a deletion.
	MaxMatcherBytes = 1 << 20
	// MaxExemplarLabels is the largest number of labels of an exemplar.
	MaxExemplarLabels = 1 << 10
)
