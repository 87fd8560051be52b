package encoding

import (
	"encoding/binary"
	"math/bits"

	"github.com/klauspost/compress/fse"
)

// Huffman-coded tokens, in the format of zstd's literals, which huff0 writes:
// RFC 8878, sections 4.2 and 3.1.1.3.1.6. This decoder reads several tokens at a
// time: a table lookup by the next eight bits gives all tokens whose codes lie in
// them. For tokens of two bits this takes half of huff0's time (BenchmarkSets).

const (
	huffmanMaxBits = 11 // of a code
	// decodeTableBits is the number of bits that a lookup examines. With one more,
	// the tables take twice as long to prepare, 1.5 µs, and 4,096 tokens of two bits
	// are decoded only 0.3 µs sooner.
	decodeTableBits = 8
	maxEntryTokens  = 6
)

// decodeEntry is the result of a lookup: the number of bits consumed (bits 0-7), up
// to six tokens, the first lowest (bits 8-55), and the number of tokens (bits 56-63).
// It is 0 if the first code is longer than the bits examined.
type decodeEntry uint64

const (
	entryCountUnit      decodeEntry = 1 << 56
	entryTokensMask     decodeEntry = entryCountUnit - entryTokenUnit
	entryTokenUnit      decodeEntry = 1 << 8
	entryLastTokenShift             = 48 // bits before the last token
)

func (l decodeEntry) bits() uint  { return uint(l & (entryTokenUnit - 1)) }
func (l decodeEntry) count() uint { return uint(l / entryCountUnit) }

// bytes returns the tokens, the first lowest. The two highest bytes are not tokens.
func (l decodeEntry) bytes() uint64 { return bits.RotateLeft64(uint64(l), -8) }

// decodeTable has an entry for each value of the next decodeTableBits bits.
type decodeTable [1 << decodeTableBits]decodeEntry

// huffmanCode is the code of a column.
type huffmanCode struct {
	fse     fse.Scratch
	weights [256]uint8 // by token: longest+1 minus the length of its code; 0 for no code
	longest uint       // bits
	// tokens are sorted by weight, the longest codes first; first is the index of
	// the first token of a weight, code the first code of a weight, padded with
	// zeros to the longest length. The code is complete: code[longest+1] is
	// 1 << longest.
	tokens [256]uint8
	first  [huffmanMaxBits + 2]uint
	code   [huffmanMaxBits + 2]uint64
	// tables[1<<w+x] is the entry of x, the next w bits, in the table of w bits.
	tables [2 << decodeTableBits]decodeEntry
}

// read sets c to the code at the start of src and returns the rest of src.
func (c *huffmanCode) read(src []byte) ([]byte, error) {
	n, rest, err := c.readWeights(src)
	if err != nil {
		return nil, err
	}
	total := uint(0)
	for _, w := range c.weights[:n] {
		if w > huffmanMaxBits {
			return nil, corruptf("TOK: weight %d", w)
		}
		total += 1 << w >> 1
	}
	// The last token's weight is not stored: it is the one that completes the code.
	c.longest = uint(bits.Len(total))
	last := uint(1)<<c.longest - total
	if total == 0 || c.longest > huffmanMaxBits || last&(last-1) != 0 {
		return nil, corruptf("TOK: weights of %d together", total)
	}
	c.weights[n] = uint8(bits.Len(last))
	return rest, c.sort(n + 1)
}

// readWeights reads the weights of all tokens but the last one with a code, and
// returns their number.
func (c *huffmanCode) readWeights(src []byte) (n int, rest []byte, err error) {
	if len(src) < 2 {
		return 0, nil, corruptf("TOK: no weights")
	}
	head, rest := int(src[0]), src[1:]
	size := head // of weights coded with FSE
	if head > 127 {
		n = head - 127
		size = (n + 1) / 2 // of four bits each
	}
	if size > len(rest) {
		return 0, nil, corruptf("TOK: weights of %d bytes, of which there are %d", size, len(rest))
	}
	if head > 127 {
		for i, b := range rest[:size] {
			c.weights[2*i], c.weights[2*i+1] = b>>4, b&15
		}
		return n, rest[size:], nil
	}
	c.fse.DecompressLimit = len(c.weights) - 1
	c.fse.Out = c.weights[:0]
	ws, err := fse.Decompress(rest[:size], &c.fse)
	c.fse.Out = nil
	if err != nil || len(ws) >= len(c.weights) {
		return 0, nil, corruptf("TOK: weights: %v", err)
	}
	return copy(c.weights[:], ws), rest[size:], nil
}

// sort orders the tokens by weight and assigns their codes, from the weights of the
// first n tokens.
func (c *huffmanCode) sort(n int) error {
	var count [huffmanMaxBits + 2]uint
	for _, w := range c.weights[:n] {
		count[w]++
	}
	if count[1] < 2 || count[1]%2 != 0 {
		return corruptf("TOK: %d codes of the longest", count[1])
	}
	at, code := uint(0), uint64(0)
	for w := uint(1); w < uint(len(count)); w++ {
		c.first[w], c.code[w] = at, code
		at += count[w]
		code += uint64(count[w]) << (w - 1)
	}
	next := c.first
	for t, w := range c.weights[:n] {
		if w > 0 {
			c.tokens[next[w]] = uint8(t)
			next[w]++
		}
	}
	return nil
}

// ofWeight returns the tokens whose code has the given weight.
func (c *huffmanCode) ofWeight(w uint) []uint8 { return c.tokens[c.first[w]:c.first[w+1]] }

// prepare fills the tables. An entry for w bits is a code of l bits followed by the
// entry for the following w-l bits, so the narrower tables are filled first.
func (c *huffmanCode) prepare() {
	shortest := uint(1)
	for len(c.ofWeight(c.longest+1-shortest)) == 0 {
		shortest++
	}
	clear(c.tables[1 : 1<<shortest])
	for width := shortest; width <= decodeTableBits; width++ {
		if decodeTableBits-shortest < width && width < decodeTableBits {
			continue // no code is short enough to leave that many bits
		}
		// Codes longer than the width come first.
		longest := min(width, c.longest)
		at := uint(c.code[c.longest+1-longest]) >> (c.longest - longest) << (width - longest)
		clear(c.tables[1<<width : 1<<width+at])
		at += 1 << width
		for l := longest; l >= shortest; l-- {
			following := c.tables[1<<(width-l) : 2<<(width-l)]
			full := width-l >= maxEntryTokens*shortest // some entries of the shortest codes may be full
			for _, t := range c.ofWeight(c.longest + 1 - l) {
				one := entryCountUnit + entryTokenUnit*decodeEntry(t) + decodeEntry(l)
				to := c.tables[at:][:len(following)]
				at += uint(len(following))
				if full {
					for i, b := range following {
						to[i] = c.cut(b).after(one)
					}
					continue
				}
				for i, b := range following {
					to[i] = b.after(one)
				}
			}
		}
	}
}

// after returns the entry of one, which has one token, followed by those of l.
func (l decodeEntry) after(one decodeEntry) decodeEntry {
	return l&^entryTokensMask + l&entryTokensMask<<8&entryTokensMask + one
}

// cut returns l without its last token if l has no room for another.
func (c *huffmanCode) cut(l decodeEntry) decodeEntry {
	if l.count() < maxEntryTokens {
		return l
	}
	return l - entryCountUnit - decodeEntry(c.longest+1) + decodeEntry(c.weights[uint8(l>>entryLastTokenShift)])
}

// one returns the first token of bits and the length of its code in bits.
func (c *huffmanCode) one(bits uint64) (t byte, n uint) {
	x := bits >> (64 - c.longest)
	w := uint(1)
	for x >= c.code[w+1] {
		w++
	}
	return c.tokens[c.first[w]+uint((x-c.code[w])>>(w-1))], c.longest + 1 - w
}

// decode decodes tokens [from, to) into out[from:to]. src is one stream or, if four
// is set, four of them with their sizes; from is 0 or the first token of a stream.
func (c *huffmanCode) decode(out, src []byte, four bool, from, to int) error {
	var ss [4]huffmanStream
	var err error
	if four {
		ss, err = fourStreams(src, len(out))
	} else {
		err = ss[0].begin(src, 0, len(src), 0, len(out))
	}
	if err != nil {
		return err
	}
	if from > 0 || to < len(out) {
		for i := range ss {
			ss[i].limit(uint(from), uint(to))
		}
	}
	c.decodeAll(&ss, out, src)
	for i := range ss {
		c.decodeOne(&ss[i], out, src)
		if err := c.finish(&ss[i], out, src); err != nil {
			return err
		}
	}
	return nil
}

// streamLen returns the number of tokens in each of four streams of n tokens; the
// last stream may have fewer.
func streamLen(n int) int { return (n + 3) / 4 }

// fourStreams splits src into the four streams of n tokens.
func fourStreams(src []byte, n int) (ss [4]huffmanStream, err error) {
	const sizes = 3 * 2 // of all streams but the last
	if len(src) < sizes {
		return ss, corruptf("TOK: no sizes of streams")
	}
	part := streamLen(n)
	from := sizes
	for i := range ss {
		to := len(src)
		if i < 3 {
			to = from + int(binary.LittleEndian.Uint16(src[2*i:]))
		}
		if err := ss[i].begin(src, from, to, min(i*part, n), min((i+1)*part, n)); err != nil {
			return ss, err
		}
		from = to
	}
	return ss, nil
}

// huffmanStream is a stream of codes and the range of tokens that it yields. It is
// read from its end: the highest set bit is a mark, the bits below it are the first
// code, its own first bit highest.
type huffmanStream struct {
	from, to uint // bytes of the source
	left     uint // unread bits
	at, end  uint // of the tokens
	cut      bool // the stream has tokens after end
}

func (s *huffmanStream) begin(src []byte, from, to, at, end int) error {
	if to > len(src) || from >= to || src[to-1] == 0 {
		return corruptf("TOK: stream from %d to %d of %d bytes", from, to, len(src))
	}
	left := 8*(to-from-1) + bits.Len8(src[to-1]) - 1
	*s = huffmanStream{from: uint(from), to: uint(to), left: uint(left), at: uint(at), end: uint(end)}
	return nil
}

// limit restricts the stream to tokens [from, to); a stream without any of them
// becomes empty.
func (s *huffmanStream) limit(from, to uint) {
	if s.end <= from || s.at >= to {
		*s = huffmanStream{}
	} else if s.end > to {
		s.end, s.cut = to, true
	}
}

// next returns the next bits, at least 56, the first highest. The lowest bit is set
// as a mark: its position reports how many bits have been shifted out. At least 57
// bits must be left.
func (s *huffmanStream) next(src []byte) uint64 {
	size := (s.left + 7) / 8
	return wordAt(src, s.from+size-8)<<((8*size-s.left)&63) | 1
}

// last returns the remaining bits, fewer than 57, followed by zeros.
func (s *huffmanStream) last(src []byte) uint64 {
	size := (s.left + 7) / 8
	word := uint64(0)
	for _, b := range src[s.from : s.from+size] {
		word = word>>8 | uint64(b)<<56
	}
	return word << ((8*size - s.left) & 63)
}

const (
	lookupsPerRefill = 5 // with one more code, 51 bits at most
	// refillRoom is the maximum number of tokens that these lookups yield, plus the
	// two bytes that a lookup writes past its tokens.
	refillRoom = lookupsPerRefill*maxEntryTokens + 2
)

// near reports whether the stream is close enough to its end that every step must
// be checked.
func (s *huffmanStream) near() bool { return s.left < 64 || s.at+refillRoom > s.end }

// decodeAll decodes the streams until each is near its end. The lookups of a stream
// depend on each other, so two streams are interleaved; the state of more than two
// does not fit the processor's registers.
func (c *huffmanCode) decodeAll(ss *[4]huffmanStream, out, src []byte) {
	table := (*decodeTable)(c.tables[1<<decodeTableBits:])
	for busy := true; busy; {
		busy = false
		for k := 0; k < 4; k += 2 {
			a, b := &ss[k], &ss[k+1]
			if a.near() || b.near() {
				continue
			}
			busy = true
			x, y := a.next(src), b.next(src)
			i, j := a.at, b.at
			x, i = table.take(x, i, out)
			y, j = table.take(y, j, out)
			x, i = table.take(x, i, out)
			y, j = table.take(y, j, out)
			x, i = table.take(x, i, out)
			y, j = table.take(y, j, out)
			x, i = table.take(x, i, out)
			y, j = table.take(y, j, out)
			x, i = table.take(x, i, out)
			y, j = table.take(y, j, out)
			a.left -= uint(bits.TrailingZeros64(x))
			b.left -= uint(bits.TrailingZeros64(y))
			a.at, b.at = i, j
			if table[x>>(64-decodeTableBits)] == 0 { // possibly every time
				c.step(a, x, out)
			}
			if table[y>>(64-decodeTableBits)] == 0 {
				c.step(b, y, out)
			}
		}
	}
}

// decodeOne is decodeAll for one stream.
func (c *huffmanCode) decodeOne(s *huffmanStream, out, src []byte) {
	table := (*decodeTable)(c.tables[1<<decodeTableBits:])
	for !s.near() {
		x, at := s.next(src), s.at
		x, at = table.take(x, at, out)
		x, at = table.take(x, at, out)
		x, at = table.take(x, at, out)
		x, at = table.take(x, at, out)
		x, at = table.take(x, at, out)
		s.left -= uint(bits.TrailingZeros64(x))
		s.at = at
		if table[x>>(64-decodeTableBits)] == 0 {
			c.step(s, x, out)
		}
	}
}

// take looks up bits and writes the tokens to out[at:], which has at least eight
// bytes.
func (table *decodeTable) take(bits uint64, at uint, out []byte) (uint64, uint) {
	l := table[bits>>(64-decodeTableBits)]
	putWord(out, at, l.bytes())
	return bits << (l & 63), at + l.count()
}

// step decodes the first code of bits.
func (c *huffmanCode) step(s *huffmanStream, bits uint64, out []byte) {
	t, n := c.one(bits)
	out[s.at] = t
	s.at++
	s.left -= n
}

// finish decodes the rest of a stream.
func (c *huffmanCode) finish(s *huffmanStream, out, src []byte) error {
	table := (*decodeTable)(c.tables[1<<decodeTableBits:])
	at, end := s.at, s.end
	for at < end && s.left > 0 {
		left := s.left
		var x uint64
		if left < 57 {
			x = s.last(src)
		} else {
			x = s.next(src)
		}
		for range lookupsPerRefill {
			l := table[x>>(64-decodeTableBits)]
			if n := l.bits(); l != 0 && n <= left && at+8 <= end {
				putWord(out, at, l.bytes())
				at += l.count()
				left -= n
				x <<= n & 63
				continue
			}
			if at == end || left == 0 {
				break
			}
			t, n := c.one(x)
			if n > left {
				return corruptf("TOK: code of %d bits, of which %d are left", n, left)
			}
			out[at] = t
			at++
			left -= n
			x <<= n & 63
		}
		s.left = left
	}
	if at < end || s.left > 0 && !s.cut {
		return corruptf("TOK: %d tokens to come from %d bits", end-at, s.left)
	}
	return nil
}
