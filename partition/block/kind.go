package block

import (
	"fmt"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Kind is the kind of the values in a chunk. A chunk of an unknown kind is an
// error, never skipped.
type Kind uint8

// The kinds of chunks.
const (
	KindFloats     Kind = 0
	KindHistograms Kind = 1
	kindEnd        Kind = 2
)

func (k Kind) valid() bool { return k < kindEnd }

func (k Kind) String() string {
	if !k.valid() {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"floats", "histograms"}[k]
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

// columnKind returns the kind of the column that holds the values of a chunk.
// It panics on an unknown kind: decoding a directory page never yields one.
func (k Kind) columnKind() encoding.Kind {
	switch k {
	case KindFloats:
		return encoding.KindFloats
	case KindHistograms:
		return encoding.KindHistograms
	}
	panic(fmt.Sprintf("BUG: column of chunk kind %d", uint8(k)))
}
