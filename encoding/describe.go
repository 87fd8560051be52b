package encoding

import (
	"fmt"
	"strings"
)

// Kind is the type of the values of a column.
type Kind uint8

// The kinds of columns.
const (
	KindTimestamps Kind = iota
	KindStartTimestamps
	KindFloats
	KindHistograms
	KindBucketTimes  // of the buckets of a rollup
	KindBucketValues // likewise: see BucketFields
)

var kindNames = [...]string{"timestamps", "start timestamps", "floats", "histograms", "bucket times", "bucket values"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Info describes how a column is stored, for people inspecting a file.
type Info struct {
	Kind       Kind
	Form       string // start timestamps, histograms, buckets: which form; else empty
	Zstd       bool   // histograms
	Transform  Transform
	Order      Order
	Coder      Coder
	GCD        uint64 // 1 if not divided
	Width      uint   // PACK: bits a residual
	Patches    int    // PACK
	Streams    int    // TOK: Huffman streams, 1 or 4
	ExtraBytes int    // TOK: bytes of extra bits after the tokens
	Points     int    // restart points
	Changes    int    // SPARSE
	Exceptions int
	Exponent   int  // DEC, DECM, DECDD
	Corrected  bool // DEC, DECM, DECDD: a correction column
	Bytes      int  // of the column
}

// Codec names the choice of codec in a few words, equal for all columns that are
// stored alike.
func (i Info) Codec() string {
	if i.Bytes == 0 {
		return "empty"
	}
	var parts []string
	add := func(on bool, what string) {
		if on {
			parts = append(parts, what)
		}
	}
	add(i.Form != "", i.Form)
	switch {
	case i.Kind == KindHistograms:
		add(i.Zstd, "zstd")
	case i.Kind >= KindBucketTimes:
		add(i.Exceptions > 0, "exceptions")
	case i.Kind == KindFloats && i.Transform == TransformConst:
		add(true, i.Transform.String())
	default:
		add(i.Kind == KindFloats, i.Transform.String())
		add(true, i.Order.String())
		add(true, i.Coder.String())
		add(i.GCD > 1, "gcd")
		add(i.Patches > 0, "patches")
		add(i.ExtraBytes > 0, "extra bits")
		add(i.Points > 0, "points")
		add(i.Exceptions > 0, "exceptions")
		add(i.Corrected, "corrections")
	}
	return strings.Join(parts, " ")
}

func (i Info) String() string {
	s := i.Codec()
	if i.Coder == CoderPack && i.Bytes > 0 && i.Kind <= KindFloats && i.Transform != TransformConst {
		s += fmt.Sprintf(" width=%d", i.Width)
	}
	if i.Streams > 0 {
		s += fmt.Sprintf(" streams=%d", i.Streams)
	}
	if i.ExtraBytes > 0 {
		s += fmt.Sprintf(" extra=%dB", i.ExtraBytes)
	}
	if i.Changes > 0 {
		s += fmt.Sprintf(" changes=%d", i.Changes)
	}
	if i.Exponent > 0 {
		s += fmt.Sprintf(" e=%d", i.Exponent)
	}
	if i.GCD > 1 {
		s += fmt.Sprintf(" gcd=%d", i.GCD)
	}
	if i.Patches > 0 {
		s += fmt.Sprintf(" patches=%d", i.Patches)
	}
	if i.Exceptions > 0 {
		s += fmt.Sprintf(" exceptions=%d", i.Exceptions)
	}
	return s
}

// ColumnInfo reads how the column src of n values is stored. It reads headers
// only: a column it describes may still be corrupt.
func ColumnInfo(k Kind, src []byte, n int) (Info, error) {
	info := Info{Kind: k, GCD: 1, Bytes: len(src)}
	if n < 0 || n > MaxValues {
		return info, checkDecode(k.String(), n)
	}
	if len(src) == 0 {
		return info, nil
	}
	if n == 0 {
		return info, corruptf("%s: %d bytes for no value", k, len(src))
	}
	switch k {
	case KindTimestamps:
		return info, info.ints(src, n)
	case KindStartTimestamps:
		m := startMode(src[0])
		if m < startRaw || m > startToBefore {
			return info, corruptf("start timestamps: unknown mode %d", m)
		}
		info.Form = startModeNames[m]
		return info, info.ints(src[1:], n)
	case KindFloats:
		return info, info.floats(src, n)
	case KindHistograms:
		if src[0] > packedZstd {
			return info, corruptf("packing mode %d", src[0])
		}
		info.Zstd = src[0] == packedZstd
		body, err := decodePacked(src)
		if err != nil {
			return info, err
		}
		if len(body) == 0 || body[0] > histogramColumns {
			return info, corruptf("histograms: unknown form")
		}
		info.Form = [...]string{"list", "columns"}[body[0]]
		return info, nil
	case KindBucketTimes, KindBucketValues:
		return info, info.buckets(src, n)
	}
	return info, corruptf("unknown kind of column %d", k)
}

func (i *Info) ints(src []byte, n int) error {
	var h intHeader
	if _, err := h.parse(src, n); err != nil {
		return err
	}
	i.Order, i.Coder, i.GCD, i.Width, i.Patches = h.order, h.coder, h.gcd, h.pack.width, h.pack.patches
	i.Streams, i.ExtraBytes, i.Changes = h.tokens.streams(), len(h.tokens.extra), h.sparse.changes
	if h.points != nil {
		i.Points = pointParts - 1
	}
	return nil
}

func (i *Info) floats(src []byte, n int) error {
	h, rest, err := parseFloatHeader(src, n)
	if err != nil {
		return err
	}
	i.Transform, i.Exponent = h.formula.transform, int(h.formula.e)
	i.Exceptions, i.Corrected = h.excs.n, h.corrections != nil
	switch {
	case i.Transform == TransformConst:
		return nil
	case i.Transform == TransformBits && len(rest) > 0 && rest[0] == xorByte:
		i.Coder = CoderXOR
		return nil
	}
	return i.ints(rest, n)
}
