package encoding

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/klauspost/compress/huff0"
)

// tokenShape describes one of the two TOK coders: a token of one byte per residual,
// Huffman-coded, followed by the extra bits that the tokens do not determine.
//
//	┌──────────┬────────────────┬────────┬──────────────────┐
//	│ mode (1) │ [uv length]    │ tokens │ [extra bits, LE] │
//	└──────────┴────────────────┴────────┴──────────────────┘
//
// Length and extra bits are present if intExtra is set in the id. A residual x,
// signed and near 0, has the magnitude m = x or, below 0, m = -x-1, of l bits,
// and the sign s. Its token is
//
//	TOK-A   m < 8    2m + s                    TOK-B   m < 64   2m + s
//	        else     4l + 2·(next bit) + s             else     2l + 114 + s
//
// where the next bit is the one below the highest of m. The token does not contain
// the low l - 2 or l - 1 bits of x: it stands for a range of residuals of one sign,
// and x is the low end of the range plus the extra bits.
type tokenShape struct {
	direct     uint // tokens below it stand for one residual each
	directBits uint // bit length of the longest magnitude of these
	top        uint // high bits of all others that are in their token, with its sign as one
	tokens     uint // number of tokens
	// By bit length of the magnitude m: the number of low bits that are extra, and
	// the number to be added to 2·(m >> extra) + s.
	extra, add [128]uint8
	ranges     [256]tokenRange // by token
}

// tokenRange is the range of residuals that a token stands for: base plus the next
// extra bits, selected by mask.
type tokenRange struct {
	base, mask uint64
	bits       uint
	_          uint // a power of two in size is found by a shift
}

// noToken marks a byte that is not a token: it consumes more bits than any column
// has.
const noToken = 1 << 40

const (
	tokenMaxExtra = 57 // so that one load of 64 bits always holds them
	tokenModeOne  = 2  // one Huffman stream, as huff0 has it
	tokenModeFour = 3  // four streams: faster to read, six bytes more
	tokenFourFrom = 1024
)

var (
	shapeA = newTokenShape(3, 2)
	shapeB = newTokenShape(6, 1)
)

func newTokenShape(directBits, top uint) *tokenShape {
	s := &tokenShape{direct: 2 << directBits, directBits: directBits, top: top}
	for l := directBits + 1; l <= 64; l++ {
		s.extra[l] = uint8(l - top)
		s.add[l] = uint8(s.direct + (l-directBits-1)<<top - 1<<top)
	}
	s.tokens = s.direct + (tokenMaxExtra+top-directBits)<<top
	for t := range uint(256) {
		if t >= s.tokens {
			s.ranges[t].bits = noToken
			continue
		}
		base, extra := s.base(t)
		s.ranges[t] = tokenRange{base: base, mask: 1<<extra - 1, bits: extra}
	}
	return s
}

func shapeOf(c Coder) *tokenShape {
	if c == CoderTokB {
		return shapeB
	}
	return shapeA
}

// base returns the lowest residual that a token stands for, and the number of extra
// bits of the token.
func (s *tokenShape) base(token uint) (x uint64, extra uint) {
	m, sign := uint64(token>>1), -uint64(token&1)
	if token >= s.direct {
		at := token - s.direct
		extra = s.directBits + 1 + at>>s.top - s.top
		next := uint64(1)<<(s.top-1) - 1
		m = (next + 1 | uint64(at>>1)&next) << extra
	}
	return (m ^ sign) &^ (1<<extra - 1), extra
}

// tokenize sets tokens to the tokens of xs and returns the total number of extra
// bits.
func (s *tokenShape) tokenize(tokens []byte, xs []uint64) (extra int) {
	tokens = tokens[:len(xs)]
	for i, x := range xs {
		sign := uint64(int64(x) >> 63)
		m := x ^ sign
		l := bits.Len64(m) & 127
		e := s.extra[l]
		tokens[i] = s.add[l] + byte(m>>(e&63))<<1 + byte(sign&1)
		extra += int(e)
	}
	return extra
}

// appendExtra appends the size extra bits of xs.
func (s *tokenShape) appendExtra(dst []byte, xs []uint64, tokens []byte, size int) []byte {
	at := len(dst)
	dst = slices.Grow(dst, size/8+9)
	b := dst[at : at+size/8+9]
	acc, fill, p := uint64(0), uint(0), 0
	xs = xs[:len(tokens)]
	for i, t := range tokens {
		if uint(t) < s.direct {
			continue
		}
		x := xs[i]
		e := uint(s.extra[bits.Len64(x^uint64(int64(x)>>63))&127])
		acc |= x & (1<<(e&63) - 1) << (fill & 63)
		fill += e
		binary.LittleEndian.PutUint64(b[p:], acc)
		p += int(fill >> 3)
		acc >>= fill &^ 7
		fill &= 7
	}
	return dst[:at+(size+7)/8]
}

// tokenizeAll sets s.tokens to the tokens of xs, all of which the coder c can hold,
// and returns the number of extra bits in each part.
func (s *scratch) tokenizeAll(xs []uint64, c Coder) (extra [pointParts]int) {
	s.tokens = sized(s.tokens, len(xs))
	part := c.partLen(len(xs))
	for k := range extra {
		from, to := min(k*part, len(xs)), min((k+1)*part, len(xs))
		extra[k] = shapeOf(c).tokenize(s.tokens[from:to], xs[from:to])
	}
	return extra
}

// appendTokens appends the residuals xs, whose tokens are in s.tokens and have size
// extra bits. It returns false if Huffman coding does not make the tokens shorter.
func (s *scratch) appendTokens(dst []byte, xs []uint64, c Coder, size int) (_ []byte, ok bool) {
	mode, compress := byte(tokenModeOne), huff0.Compress1X
	if len(xs) >= tokenFourFrom {
		mode, compress = tokenModeFour, huff0.Compress4X
	}
	s.huff.Reuse = huff0.ReusePolicyNone // the bytes follow from xs alone
	packed, _, err := compress(s.tokens, &s.huff)
	if err != nil {
		return dst, false
	}
	dst = append(dst, mode)
	if size == 0 {
		return append(dst, packed...), true
	}
	dst = AppendBytes(dst, packed)
	return shapeOf(c).appendExtra(dst, xs, s.tokens, size), true
}
