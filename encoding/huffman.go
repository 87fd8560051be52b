package encoding

import (
	"encoding/binary"
	"math/bits"

	"github.com/klauspost/compress/fse"
)

// Huffman-coded tokens, in the format of zstd's literals, which huff0 writes:
// RFC 8878, sections 4.2 and 3.1.1.3.1.6. Here they are read several at a time: a
// look at the next eight bits gives all tokens whose codes lie in them. Of tokens
// of two bits that takes half of huff0's time (BenchmarkSets).

const (
	huffmanMaxBits = 11 // of a code
	// lookWidth is how many bits a look sees. With one more, the looks take twice
	// as long to prepare, 1.5 µs, and 4,096 tokens of two bits are read only 0.3 µs
	// sooner.
	lookWidth = 8
	lookMost  = 6 // tokens
)

// look is what the next bits stand for: bits 0-7 how many of them, 8-55 tokens,
// the first lowest, 56-63 how many these are. It is 0 if the first code is longer
// than what a look sees.
type look uint64

const (
	lookCount  look = 1 << 56
	lookTokens look = lookCount - lookToken
	lookToken  look = 1 << 8
	lookLast        = 48 // bits before the last token
)

func (l look) bits() uint  { return uint(l & (lookToken - 1)) }
func (l look) count() uint { return uint(l / lookCount) }

// bytes returns the tokens, the first lowest. The two highest bytes are no tokens.
func (l look) bytes() uint64 { return bits.RotateLeft64(uint64(l), -8) }

// lookTable has a look for all bits it may see.
type lookTable [1 << lookWidth]look

// huffmanCode is the code of a column.
type huffmanCode struct {
	fse     fse.Scratch
	weights [256]uint8 // of tokens: how many bits their codes are shorter than longest+1; 0 for no code
	longest uint       // bits
	// Tokens by weight, so those with the longest codes first, and where those of
	// a weight begin; and the first code of the weight, with zeros behind it to
	// the length of the longest. The code of all is complete: code[longest+1] is
	// 1 << longest.
	tokens [256]uint8
	first  [huffmanMaxBits + 2]uint
	code   [huffmanMaxBits + 2]uint64
	// looks[1<<w+x] is what x, the next w bits, stands for.
	looks [2 << lookWidth]look
}

// read sets c to the code that src begins with and returns the rest of it.
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
	// The last token's weight is what makes the code complete.
	c.longest = uint(bits.Len(total))
	last := uint(1)<<c.longest - total
	if total == 0 || c.longest > huffmanMaxBits || last&(last-1) != 0 {
		return nil, corruptf("TOK: weights of %d together", total)
	}
	c.weights[n] = uint8(bits.Len(last))
	return rest, c.sort(n + 1)
}

// readWeights reads the weights of all tokens but the last that has a code, and
// returns how many they are.
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

// sort sets what follows from the weights of n tokens.
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

// ofWeight returns the tokens of a weight.
func (c *huffmanCode) ofWeight(w uint) []uint8 { return c.tokens[c.first[w]:c.first[w+1]] }

// prepare sets the looks. A look at w bits is a code of l bits and a look at the
// w-l bits behind it: so those of all widths up to w-l are set first.
func (c *huffmanCode) prepare() {
	shortest := uint(1)
	for len(c.ofWeight(c.longest+1-shortest)) == 0 {
		shortest++
	}
	clear(c.looks[1 : 1<<shortest])
	for width := shortest; width <= lookWidth; width++ {
		if lookWidth-shortest < width && width < lookWidth {
			continue // no code is so short that it leaves that many bits
		}
		// Codes longer than the width come first.
		most := min(width, c.longest)
		at := uint(c.code[c.longest+1-most]) >> (c.longest - most) << (width - most)
		clear(c.looks[1<<width : 1<<width+at])
		at += 1 << width
		for l := most; l >= shortest; l-- {
			behind := c.looks[1<<(width-l) : 2<<(width-l)]
			full := width-l >= lookMost*shortest // some may be, of the shortest codes
			for _, t := range c.ofWeight(c.longest + 1 - l) {
				one := lookCount + lookToken*look(t) + look(l)
				to := c.looks[at:][:len(behind)]
				at += uint(len(behind))
				if full {
					for i, b := range behind {
						to[i] = c.cut(b).behind(one)
					}
					continue
				}
				for i, b := range behind {
					to[i] = b.behind(one)
				}
			}
		}
	}
}

// behind returns the look of one, of one token, and then l.
func (l look) behind(one look) look { return l&^lookTokens + l&lookTokens<<8&lookTokens + one }

// cut returns l without its last token if it has no room for one more.
func (c *huffmanCode) cut(l look) look {
	if l.count() < lookMost {
		return l
	}
	return l - lookCount - look(c.longest+1) + look(c.weights[uint8(l>>lookLast)])
}

// one returns the first token of bits, and how many bits its code has.
func (c *huffmanCode) one(bits uint64) (t byte, n uint) {
	x := bits >> (64 - c.longest)
	w := uint(1)
	for x >= c.code[w+1] {
		w++
	}
	return c.tokens[c.first[w]+uint((x-c.code[w])>>(w-1))], c.longest + 1 - w
}

// decode sets the tokens of one stream, or of four, which src is all of, that out
// has from from on, 0 or the first of a stream, up to to.
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
	c.most(&ss, out, src)
	for i := range ss {
		c.alone(&ss[i], out, src)
		if err := c.finish(&ss[i], out, src); err != nil {
			return err
		}
	}
	return nil
}

// streamLen returns how many of n tokens each of four streams has but the last,
// which may have fewer.
func streamLen(n int) int { return (n + 3) / 4 }

// fourStreams finds the streams of n tokens that src is all of.
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

// huffmanStream is a stream of codes and where its tokens go. It is read from its
// end: the highest bit that is set is a mark, the next lower ones are the first
// code, its own first bit highest.
type huffmanStream struct {
	from, to uint // bytes of the source
	left     uint // bits not read yet
	at, end  uint // of the tokens
	cut      bool // the stream has tokens behind end
}

func (s *huffmanStream) begin(src []byte, from, to, at, end int) error {
	if to > len(src) || from >= to || src[to-1] == 0 {
		return corruptf("TOK: stream from %d to %d of %d bytes", from, to, len(src))
	}
	left := 8*(to-from-1) + bits.Len8(src[to-1]) - 1
	*s = huffmanStream{from: uint(from), to: uint(to), left: uint(left), at: uint(at), end: uint(end)}
	return nil
}

// limit leaves out the tokens from to on, and all if none is from from on.
func (s *huffmanStream) limit(from, to uint) {
	if s.end <= from || s.at >= to {
		*s = huffmanStream{}
	} else if s.end > to {
		s.end, s.cut = to, true
	}
}

// next returns the bits that come next, the first highest: 56 at least, behind
// which the lowest is set, so that it tells how many have been shifted out. There
// are 57 left or more.
func (s *huffmanStream) next(src []byte) uint64 {
	size := (s.left + 7) / 8
	return wordAt(src, s.from+size-8)<<((8*size-s.left)&63) | 1
}

// last returns what is left, fewer than 57 bits, and zeros behind it.
func (s *huffmanStream) last(src []byte) uint64 {
	size := (s.left + 7) / 8
	word := uint64(0)
	for _, b := range src[s.from : s.from+size] {
		word = word>>8 | uint64(b)<<56
	}
	return word << ((8*size - s.left) & 63)
}

const (
	looksAtOnce = 5 // and one code: 51 bits at most
	// roomAtOnce is how many tokens all looks at once give at most, and the two
	// bytes behind that a look writes.
	roomAtOnce = looksAtOnce*lookMost + 2
)

// near reports whether the stream is so near to its end that each step has to be
// checked.
func (s *huffmanStream) near() bool { return s.left < 64 || s.at+roomAtOnce > s.end }

// most reads the streams up to near their ends. The looks of one depend on each
// other, and so two streams take turns; of more the state has no room in the
// processor's registers.
func (c *huffmanCode) most(ss *[4]huffmanStream, out, src []byte) {
	looks := (*lookTable)(c.looks[1<<lookWidth:])
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
			x, i = looks.take(x, i, out)
			y, j = looks.take(y, j, out)
			x, i = looks.take(x, i, out)
			y, j = looks.take(y, j, out)
			x, i = looks.take(x, i, out)
			y, j = looks.take(y, j, out)
			x, i = looks.take(x, i, out)
			y, j = looks.take(y, j, out)
			x, i = looks.take(x, i, out)
			y, j = looks.take(y, j, out)
			a.left -= uint(bits.TrailingZeros64(x))
			b.left -= uint(bits.TrailingZeros64(y))
			a.at, b.at = i, j
			if looks[x>>(64-lookWidth)] == 0 { // maybe all the time
				c.step(a, x, out)
			}
			if looks[y>>(64-lookWidth)] == 0 {
				c.step(b, y, out)
			}
		}
	}
}

// alone is most for one stream.
func (c *huffmanCode) alone(s *huffmanStream, out, src []byte) {
	looks := (*lookTable)(c.looks[1<<lookWidth:])
	for !s.near() {
		x, at := s.next(src), s.at
		x, at = looks.take(x, at, out)
		x, at = looks.take(x, at, out)
		x, at = looks.take(x, at, out)
		x, at = looks.take(x, at, out)
		x, at = looks.take(x, at, out)
		s.left -= uint(bits.TrailingZeros64(x))
		s.at = at
		if looks[x>>(64-lookWidth)] == 0 {
			c.step(s, x, out)
		}
	}
}

// take takes a look at bits and writes its tokens to out from at on, where there
// are eight bytes or more.
func (looks *lookTable) take(bits uint64, at uint, out []byte) (uint64, uint) {
	l := looks[bits>>(64-lookWidth)]
	putWord(out, at, l.bytes())
	return bits << (l & 63), at + l.count()
}

// step takes the first code of bits.
func (c *huffmanCode) step(s *huffmanStream, bits uint64, out []byte) {
	t, n := c.one(bits)
	out[s.at] = t
	s.at++
	s.left -= n
}

// finish reads the rest of a stream.
func (c *huffmanCode) finish(s *huffmanStream, out, src []byte) error {
	looks := (*lookTable)(c.looks[1<<lookWidth:])
	at, end := s.at, s.end
	for at < end && s.left > 0 {
		left := s.left
		var x uint64
		if left < 57 {
			x = s.last(src)
		} else {
			x = s.next(src)
		}
		for range looksAtOnce {
			l := looks[x>>(64-lookWidth)]
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
