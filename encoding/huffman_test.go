package encoding

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/huff0"
)

// packTokens returns tokens as huff0 writes them, nil if that takes no fewer bytes.
func packTokens(tokens []byte, four bool) []byte {
	s := huff0.Scratch{Reuse: huff0.ReusePolicyNone}
	compress := huff0.Compress1X
	if four {
		compress = huff0.Compress4X
	}
	packed, _, err := compress(tokens, &s)
	if err != nil {
		return nil
	}
	return packed
}

// unpackByTable and unpackByHuff0 decode n tokens with the decode table and with
// huff0.
func unpackByTable(packed []byte, n int, four bool) ([]byte, error) {
	var c huffmanCode
	rest, err := c.read(packed)
	if err != nil {
		return nil, err
	}
	c.prepare()
	out := make([]byte, n)
	return out, c.decode(out, rest, four, 0, len(out))
}

func unpackByHuff0(packed []byte, n int, four bool) ([]byte, error) {
	s, rest, err := huff0.ReadTable(packed, nil)
	if err != nil {
		return nil, err
	}
	if four {
		return s.Decoder().Decompress4X(make([]byte, 0, n), rest)
	}
	out, err := s.Decoder().Decompress1X(make([]byte, 0, n), rest)
	if err == nil && len(out) != n {
		err = errors.New("too few tokens")
	}
	return out, err
}

// skewed returns n tokens below m with a geometric distribution: a token is
// odds/(odds+1) times as likely as the one before, and the last gets the rest.
func skewed(r *rand.Rand, n, m int, odds float64) []byte {
	return fill(n, func(int) byte {
		t := 0
		for t < m-1 && r.Float64()*(odds+1) < odds {
			t++
		}
		return byte(t)
	})
}

func TestLooksReadWhatHuff0Writes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(tokens []byte, four bool) bool {
		t.Helper()
		packed := packTokens(tokens, four)
		if packed == nil {
			return false
		}
		got, err := unpackByTable(packed, len(tokens), four)
		if err != nil || !bytes.Equal(got, tokens) {
			t.Fatalf("%d tokens, four streams %v: %v", len(tokens), four, err)
		}
		return true
	}
	packed := 0
	for _, m := range []int{2, 3, 5, 17, 60, 128, 129, 240, 256} {
		for _, often := range []float64{0.05, 0.3, 0.7, 1, 2, 5, 20, 80} {
			for _, n := range []int{5, 20, 64, 100, 257, 400, 1023, 1024, 1025, 1026, 1027, 4096, 6144, 30000, MaxValues} {
				tokens := skewed(r, n, m, often)
				for _, four := range []bool{false, true} {
					if check(tokens, four) {
						packed++
					}
				}
			}
		}
	}
	if packed < 1000 {
		t.Errorf("only %d columns were packed", packed)
	}
	// Codes of one to eleven bits, and as many of the shortest as fit one lookup.
	tokens := make([]byte, 0, 6000)
	for i := range 12 {
		tokens = append(tokens, bytes.Repeat([]byte{byte(i)}, 1+3000>>i)...)
	}
	check(tokens, false)
	check(tokens, true)
	r.Shuffle(len(tokens), func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] })
	check(tokens, false)
	check(tokens, true)
}

// Modified bytes decode as with huff0 or are an error. They may be an error for the
// decode table only: huff0 accepts a stream after reading 256 bits beyond its end.
func TestLooksRefuseWhatHuff0Refuses(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	refused := 0
	for _, four := range []bool{false, true} {
		for _, tokens := range [][]byte{skewed(r, 300, 9, 1), skewed(r, 1500, 40, 2), skewed(r, 40, 3, 0.5)} {
			packed := packTokens(tokens, four)
			check := func(b []byte, n int) {
				t.Helper()
				got, err := unpackByTable(b, n, four)
				want, wantErr := unpackByHuff0(b, n, four)
				if err == nil && (wantErr != nil || !bytes.Equal(got, want)) {
					t.Fatalf("%x as %d tokens, four streams %v: %v, huff0 %v", b, n, four, err, wantErr)
				}
				if err != nil {
					if refused++; !errors.Is(err, ErrCorrupt) {
						t.Fatalf("%v is not said to be corrupt", err)
					}
				}
			}
			for _, n := range []int{0, 1, 3, len(tokens) - 1, len(tokens) + 1, len(tokens) + 4, 2 * len(tokens), MaxValues} {
				check(packed, n)
			}
			for i := range packed {
				check(packed[:i], len(tokens))
				changed := bytes.Clone(packed)
				changed[i] ^= 1 << r.IntN(8)
				check(changed, len(tokens))
				changed[i] = 0
				check(changed, len(tokens))
			}
			check(append(bytes.Clone(packed), 0), len(tokens))
			check(append(bytes.Clone(packed), 1), len(tokens))
		}
	}
	if refused < 1000 {
		t.Errorf("only %d were refused", refused)
	}
}

func FuzzHuffmanTokens(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{30, 257, 1024} {
		for _, four := range []bool{false, true} {
			tokens := skewed(r, n, 12, 1)
			f.Add(tokens, uint16(n), four)
			f.Add(packTokens(tokens, four), uint16(n), four)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint16, four bool) {
		got, err := unpackByTable(b, int(n), four)
		want, wantErr := unpackByHuff0(b, int(n), four)
		if err == nil && (wantErr != nil || !bytes.Equal(got, want)) {
			t.Fatalf("as they are, huff0: %v", wantErr)
		}
		if len(b) > MaxValues {
			return
		}
		if packed := packTokens(b, four); packed != nil {
			if got, err := unpackByTable(packed, len(b), four); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("packed: %v", err)
			}
		}
	})
}
