package door

import "unicode/utf8"

// Names is how doors of protocols with names such as disk.used-bytes write them.
type Names int

const (
	NamesUTF8        Names = iota // as they are sent
	NamesUnderscores              // with _ for each character that PromQL takes in quotes only, and before a leading digit
)

// Metric returns the name of a metric in the form of the names. It may be part of b,
// and has at most one byte more.
func (n Names) Metric(b []byte) []byte { return n.name(b, true) }

// Label returns the name of a label in the form of the names. It may be part of b, and
// has at most one byte more.
func (n Names) Label(b []byte) []byte { return n.name(b, false) }

func (n Names) name(b []byte, colons bool) []byte {
	if n == NamesUTF8 || len(b) == 0 {
		return b
	}
	legal := func(c byte) bool {
		return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || colons && c == ':'
	}
	digit := b[0] >= '0' && b[0] <= '9'
	same := !digit
	for _, c := range b {
		same = same && legal(c)
	}
	if same {
		return b
	}
	out := make([]byte, 0, len(b)+1)
	if digit {
		out = append(out, '_')
	}
	for i := 0; i < len(b); {
		c, size := b[i], 1
		if !legal(c) {
			_, size = utf8.DecodeRune(b[i:])
			c = '_'
		}
		out = append(out, c)
		i += size
	}
	return out
}
