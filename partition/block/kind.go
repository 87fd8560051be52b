package block

import (
	"fmt"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Kind is the kind of the rows in a chunk. A chunk of an unknown kind is an error,
// never skipped.
type Kind uint8

// The kinds of chunks. A block of the raw tier has floats and histograms only, one
// of a rollup only buckets and stand-ins.
const (
	KindFloats     Kind = 0
	KindHistograms Kind = 1
	KindBuckets    Kind = 2
	// KindStandIn marks days whose samples, in blocks of the raw tier, stand in for
	// buckets. The chunk has no columns; its count is the number of samples, its
	// times are the first and the last millisecond of the days.
	KindStandIn Kind = 3
	kindEnd     Kind = 4
)

// sampleKinds is the number of kinds of samples, which are the first ones.
const sampleKinds = 2

func (k Kind) valid() bool { return k < kindEnd }

func (k Kind) String() string {
	if !k.valid() {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"floats", "histograms", "buckets", "samples that stand in"}[k]
}

// fits reports whether blocks of a tier have chunks of kind k.
func (k Kind) fits(t Tier) bool {
	if t == Raw {
		return k < sampleKinds
	}
	return k == KindBuckets || k == KindStandIn
}

// errKind returns the error of a chunk of an unknown kind.
func errKind(k Kind) error { return format.Corrupt("chunk of unknown kind %d", uint8(k)) }

// kindOf returns the kind of the chunks that hold samples of k.
func kindOf(k model.Kind) (Kind, error) {
	switch k {
	case model.KindFloat:
		return KindFloats, nil
	case model.KindHistogram:
		return KindHistograms, nil
	}
	return kindEnd, fmt.Errorf("sample of unknown kind %d", uint8(k))
}

// columnKinds returns the kinds of the columns that hold the times and the values
// of a chunk. It panics on a kind without columns and on an unknown one: decoding a
// directory page never yields the second.
func (k Kind) columnKinds() (times, values encoding.Kind) {
	switch k {
	case KindFloats:
		return encoding.KindTimestamps, encoding.KindFloats
	case KindHistograms:
		return encoding.KindTimestamps, encoding.KindHistograms
	case KindBuckets:
		return encoding.KindBucketTimes, encoding.KindBucketValues
	}
	panic(fmt.Sprintf("BUG: columns of chunk kind %d", uint8(k)))
}
