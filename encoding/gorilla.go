package encoding

import (
	"math"
	"math/bits"
	"slices"
)

// Gorilla writes samples to a compressed stream one by one: the head's form of
// a run. It is the state between two appends; the stream itself lies in bytes
// of the caller, who passes them to every Append. The zero value is an empty
// stream. It holds no pointers, takes 32 bytes and may be copied to go back to
// an earlier end, with the bytes cut to their length then. Not safe for
// concurrent use.
//
// A sample is its time as the difference of differences, then its value in the
// XOR code (see xorState). The first sample has its time and value in 64 bits
// each.
//
//	0                     the step is the last one
//	1 0        step (6)   it differs by [-32, 32)
//	1 1 0      step (13)  by [-4096, 4096)
//	1 1 1 0    step (20)  by [-524288, 524288)
//	1 1 1 1    step (64)  by anything
type Gorilla struct {
	t    int64 // time of the last sample
	step int64 // difference of the last two times
	xor  uint64
	n    uint32
	used uint8 // bits used in the last byte, 0 if all
	lead uint8
	size uint8
}

// GorillaMaxSample is the largest number of bytes that one Append adds.
const GorillaMaxSample = 20

var gorillaSteps = [...]struct{ control, width uint }{{1, 0}, {2, 6}, {3, 13}, {4, 20}, {4, 64}}

// Len returns the number of samples appended.
func (g *Gorilla) Len() int { return int(g.n) }

// LastTime returns the time of the last sample, 0 if there is none.
func (g *Gorilla) LastTime() int64 { return g.t }

// Append adds a sample to the stream in dst, which holds all that earlier
// calls returned, and returns the longer stream.
func (g *Gorilla) Append(dst []byte, t int64, v float64) []byte {
	w := bitWriter{dst: dst}
	if g.used > 0 {
		last := len(dst) - 1
		w = bitWriter{dst: dst[:last], acc: uint64(dst[last]), n: uint(g.used)}
	}
	if g.n == 0 {
		w.write(uint64(t), 64)
		w.write(math.Float64bits(v), 64)
		g.xor = math.Float64bits(v)
	} else {
		step := t - g.t
		writeStep(&w, step-g.step)
		g.step = step
		s := xorState{v: g.xor, leading: g.lead, size: g.size}
		s.append(&w, math.Float64bits(v))
		g.xor, g.lead, g.size = s.v, s.leading, s.size
	}
	g.t = t
	g.n++
	g.used = uint8(w.n % 8)
	return w.finish()
}

func writeStep(w *bitWriter, d int64) {
	switch m := uint64(d ^ d>>63); {
	case m == 0 && d == 0:
		w.write(0, 1)
	case m < 1<<5:
		w.write(1|uint64(d)<<2&(1<<8-1), 8)
	case m < 1<<12:
		w.write(3|uint64(d)<<3&(1<<16-1), 16)
	case m < 1<<19:
		w.write(7|uint64(d)<<4&(1<<24-1), 24)
	default:
		w.write(15, 4)
		w.write(uint64(d), 64)
	}
}

// DecodeGorilla appends the n samples of the stream src to ts and vs. n is at
// most MaxValues. On an error both are returned as they were.
func DecodeGorilla(ts []int64, vs []float64, src []byte, n int) ([]int64, []float64, error) {
	if err := checkDecode("Gorilla", n); err != nil {
		return ts, vs, err
	}
	if n == 0 {
		if len(src) > 0 {
			return ts, vs, corruptf("Gorilla: %d bytes for no sample", len(src))
		}
		return ts, vs, nil
	}
	at, av := len(ts), len(vs)
	outT := slices.Grow(ts, n)[:at+n]
	outV := slices.Grow(vs, n)[:av+n]
	if err := decodeGorilla(outT[at:], outV[av:], src); err != nil {
		return ts, vs, err
	}
	return outT, outV, nil
}

func decodeGorilla(ts []int64, vs []float64, src []byte) error {
	vs = vs[:len(ts)]
	r := bitReader{src: src}
	t, step := int64(r.read(64)), int64(0)
	s := xorState{v: r.read(64)}
	ts[0], vs[0] = t, math.Float64frombits(s.v)
	for i := 1; i < len(ts); i++ {
		if c := r.peek(); c&1 == 0 {
			r.at++
		} else {
			class := bits.TrailingZeros64(^(c & 15))
			k := gorillaSteps[class]
			r.at += k.control
			d := int64(r.read(k.width))
			step += d << (64 - k.width) >> (64 - k.width)
		}
		t += step
		v, ok := s.read(&r)
		if !ok {
			return corruptf("Gorilla: no such window at sample %d", i)
		}
		ts[i], vs[i] = t, math.Float64frombits(v)
	}
	if r.overrun() || r.left() > 0 {
		return corruptf("Gorilla: %d bytes for %d samples", len(src), len(ts))
	}
	return nil
}
