package encoding

import (
	"math"
	"math/bits"
	"slices"
)

// Gorilla writes samples to a compressed stream one by one: the head's form of
// a run. It is the state between two appends; the stream itself lies in bytes
// of the caller, who passes them to every Append. The zero value is an empty
// stream. It holds no pointers, takes 40 bytes and may be copied to go back to
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
	xor  xorState
	n    uint32
	used uint8 // bits used in the last byte, 0 if all are
}

// GorillaMaxSample is the largest number of bytes that one Append adds.
const GorillaMaxSample = 20

// gorillaSteps are the classes of steps but the last: control bits and bits of
// the step.
var gorillaSteps = [4]struct{ control, width uint8 }{{1, 0}, {2, 6}, {3, 13}, {4, 20}}

// Len returns the number of samples appended.
func (g *Gorilla) Len() int { return int(g.n) }

// LastTime returns the time of the last sample, 0 if there is none.
func (g *Gorilla) LastTime() int64 { return g.t }

// Append adds a sample to the stream in dst, which ends with all that earlier
// calls wrote, and returns the longer stream. It goes on in the last byte: who
// reads the stream meanwhile needs the lock of who writes it.
func (g *Gorilla) Append(dst []byte, t int64, v float64) []byte {
	w := g.writer(dst)
	g.append(&w, t, v)
	g.used = uint8(w.n % 8)
	return w.finish()
}

// AppendAll adds samples as Append does one by one, in less time. ts and vs are
// of one length.
func (g *Gorilla) AppendAll(dst []byte, ts []int64, vs []float64) []byte {
	w := g.writer(dst)
	for i, t := range ts {
		g.append(&w, t, vs[i])
	}
	g.used = uint8(w.n % 8)
	return w.finish()
}

// writer returns a writer that goes on where the stream ends.
func (g *Gorilla) writer(dst []byte) bitWriter {
	if g.used == 0 {
		return bitWriter{dst: dst}
	}
	last := len(dst) - 1
	// What stands above the used bits may be left of appends that were undone.
	return bitWriter{dst: dst[:last], acc: uint64(dst[last]) & (1<<g.used - 1), n: uint(g.used)}
}

func (g *Gorilla) append(w *bitWriter, t int64, v float64) {
	b := math.Float64bits(v)
	if g.n == 0 {
		w.write(uint64(t), 64)
		w.write(b, 64)
		g.xor.v = b
	} else {
		step := t - g.t
		code, width := stepCode(step - g.step)
		if width > 64 {
			w.write(code, gorillaEscape)
			code, width = uint64(step-g.step), 64
		}
		g.step = step
		g.xor.append(w, b, code, width)
	}
	g.t = t
	g.n++
}

// gorillaEscape is the width of the control bits of the last class.
const gorillaEscape = 4

// stepCode returns the code of a difference of steps, which is followed by the
// 64 bits of d if its width is above 64.
func stepCode(d int64) (code uint64, width uint) {
	switch {
	case d == 0:
		return 0, 1
	case d >= -1<<5 && d < 1<<5:
		return 1 | uint64(d)<<2&(1<<8-1), 8
	case d >= -1<<12 && d < 1<<12:
		return 3 | uint64(d)<<3&(1<<16-1), 16
	case d >= -1<<19 && d < 1<<19:
		return 7 | uint64(d)<<4&(1<<24-1), 24
	}
	return 15, gorillaEscape + 64
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
	if len(src) < 16 {
		return corruptf("Gorilla: %d bytes", len(src))
	}
	g := Gorilla{t: int64(le64(src)), xor: xorState{v: le64(src[8:])}}
	ts[0], vs[0] = g.t, math.Float64frombits(g.xor.v)
	src, vs = src[16:], vs[:len(ts)]
	i, at, ok := g.read(ts, vs, 1, src, 0)
	if ok && i < len(ts) {
		var pad [2 * bitReach]byte
		tail, begin := padTail(src, at, &pad)
		i, at, ok = g.read(ts, vs, i, tail, at-begin)
		at += begin
	}
	if !ok {
		return corruptf("Gorilla: no such window at sample %d of %d", i, len(ts))
	}
	if i < len(ts) || !endsAt(src, at) {
		return corruptf("Gorilla: %d bytes for %d samples", len(src)+16, len(ts))
	}
	return nil
}

// read takes the samples from i on off src, from bit at on, as far as bitReach
// bytes are at hand: a sample has less than 20, and a load reaches nine bytes
// from its first. It returns the first sample and the first bit it did not
// read, and false if that sample is corrupt.
func (g *Gorilla) read(ts []int64, vs []float64, i int, src []byte, at uint) (int, uint, bool) {
	t, step, v := g.t, g.step, g.xor.v
	leading, size := uint(g.xor.leading), uint(g.xor.size)
	ok := true
	for i < len(ts) {
		j := at / 8
		if j+bitReach > uint(len(src)) {
			break
		}
		c := le64(src[j:]) >> (at % 8)
		if c&1 == 0 {
			at++
			c >>= 1
		} else if class := bits.TrailingZeros64(^c); class < len(gorillaSteps) {
			k := gorillaSteps[class]
			c >>= k.control & 63
			unused := (64 - uint(k.width)) & 63
			step += int64(c<<unused) >> unused
			c >>= k.width & 63
			at += uint(k.control + k.width)
		} else {
			at += gorillaEscape
			step += int64(load64(src, at))
			at += 64
			c = le64(src[at/8:]) >> (at % 8)
		}
		t += step
		if c&1 == 0 {
			at++
		} else {
			if c&2 == 0 {
				at += xorControl
			} else {
				at += xorNewWindow
				leading, size = uint(c>>2&63), uint(c>>8&63)+1
			}
			if size-1 >= 64-leading { // also a window of size 0, which is none
				ok = false
				break
			}
			x := load64(src, at) & (math.MaxUint64 >> ((64 - size) & 63))
			v ^= x << ((64 - leading - size) & 63)
			at += size
		}
		ts[i], vs[i] = t, math.Float64frombits(v)
		i++
	}
	g.t, g.step = t, step
	g.xor = xorState{v: v, leading: uint8(leading), size: uint8(size)}
	return i, at, ok
}
