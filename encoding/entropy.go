package encoding

import (
	"math"
	"math/bits"
)

// Estimates of the size of entropy codes. They are integers, so that choices based
// on them are the same on every machine.

// log2Scale is the unit of log2: 1/log2Scale bit.
const log2Scale = 256

// log2Fractions[i] is log2(1 + (i+½)/128) in units of 1/log2Scale.
var log2Fractions = func() (t [128]uint16) {
	for i := range t {
		t[i] = uint16(math.Round(log2Scale * math.Log2(1+(float64(i)+0.5)/128)))
	}
	return t
}()

// log2 returns the logarithm of n ≥ 1 in units of 1/log2Scale bit, with an error of
// at most two units.
func log2(n uint32) int {
	l := bits.Len32(n)
	return (l-1)*log2Scale + int(log2Fractions[n<<(32-l)>>24&127])
}

// huffmanBits estimates the size in bits of Huffman-coded symbols with the given
// counts, including the table; n is the sum of the counts.
func huffmanBits(counts []uint32, n uint32) int {
	top, used, sum := uint32(0), 0, 0
	for _, c := range counts {
		if c > 0 {
			used++
			sum += int(c) * log2(c)
			top = max(top, c)
		}
	}
	entropy := (int(n)*log2(n) - sum) / log2Scale
	if rest := n - top; top > rest && rest > 0 {
		// Even the code of the most common symbol has one bit.
		entropy = int(n) + (int(rest)*log2(rest)-sum+int(top)*log2(top))/log2Scale
	}
	return entropy + used*tableSymbolBits + tableBits
}

// Estimated size of the table of a Huffman code.
const (
	tableSymbolBits = 5 // per symbol
	tableBits       = 32
)

// tokenBits estimates the size in bits of the residuals as tokens of the finer
// shape; it returns false if some are out of its range.
func (s *residualStats) tokenBits() (int, bool) {
	longest, extra := 0, 0
	for l := 64; l > 0; l-- {
		if c := int(s.count[2*l] + s.count[2*l+1]); c > 0 {
			longest = max(longest, l)
			extra += c * (l - 1)
		}
	}
	if longest > maxTokenLength {
		return 0, false
	}
	return extra + huffmanBits(s.count[:2*longest+2], uint32(s.n)), true
}

// maxTokenLength is the length in bits of the longest magnitudes that the
// tokens of both shapes stand for.
const maxTokenLength = tokenMaxExtra + 1

// shape returns the token coder to use: the one with more direct tokens, which is
// faster to decode, if many residuals are in the range where only it has direct
// tokens.
func (s *residualStats) shape() Coder {
	near, far := 0, 0
	for l := 4; l <= 64; l++ {
		if c := int(s.count[2*l] + s.count[2*l+1]); l <= 6 {
			near += c
		} else {
			far += c
		}
	}
	if near*20 >= s.n {
		return CoderTokB
	}
	return CoderTokA
}

// sparseBits estimates the size in bits of the residuals if only the non-zero ones
// and the gaps between them are stored, and returns the number of non-zero ones.
func (s *residualStats) sparseBits() (cost, changes int) {
	n := uint32(s.n)
	k := n - s.count[0]
	if k == 0 || k > n/sparsePart {
		return math.MaxInt, int(k)
	}
	longest, extra := 0, 0
	for l := 64; l > 0; l-- {
		if c := int(s.count[2*l] + s.count[2*l+1]); c > 0 {
			longest = max(longest, l)
			extra += c * (l - 1)
		}
	}
	gaps := int(k) * (log2(n) - log2(k) + 3*log2Scale/2) / log2Scale
	return gaps + extra + huffmanBits(s.count[1:2*longest+2], k) + sparseHeadBits, int(k)
}

const (
	sparsePart     = 4 // at most one residual in sparsePart may be a change
	sparseHeadBits = 8 * 12
)
