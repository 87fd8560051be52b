package wal

import (
	"math/rand"
	"testing"
)

// The strategy: random reservations, appends, flushes, rotations and new
// segments, with frames placed as the flusher does. The invariant: whatever the
// order, a frame whose bytes were granted always finds a segment, and a rotation
// is possible whenever there is a spare one and none is under way.
func TestReservedFramesAlwaysFit(t *testing.T) {
	type frame struct {
		size int64
		gen  uint64
		tail bool
	}
	for seed := range int64(300) {
		rng := rand.New(rand.NewSource(seed))
		segment := int64(minSegmentBytes << rng.Intn(3))
		b := newBudget(segment, rng.Intn(int(2*segment))+100)
		if b.pendingMax+b.frameMax > b.usable {
			t.Fatalf("pending %d, frame %d, usable %d", b.pendingMax, b.frameMax, b.usable)
		}
		var current *segmentModel
		var appended []frame
		gen := uint64(1)
		var reserved int64
		place := func(f frame) {
			if current == nil || !current.fits(f.size, f.gen, f.tail) {
				if b.spares == 0 {
					t.Fatalf("seed %d: no segment for %+v, budget %+v", seed, f, b)
				}
				b.spares--
				current = &segmentModel{segment: segmentWith(&b)}
			}
			current.place(f.size, f.gen, f.tail)
			if current.used += f.size; current.used > segment {
				t.Fatalf("seed %d: %d bytes in a segment of %d", seed, current.used, segment)
			}
		}
		for range 2000 {
			switch rng.Intn(12) {
			case 0, 1:
				if b.spares < b.wanted() {
					b.spares++
				}
			case 2:
				if b.spares > 0 && !b.rotating && current != nil {
					b.rotating = true
					gen++
					b.tailOutstanding += 64
					appended = append(appended, frame{64, gen, true})
				}
			case 3, 4:
				for _, f := range appended {
					place(f)
					b.release(f.size, f.tail)
				}
				appended = appended[:0]
				if current != nil {
					b.room, b.tailRoom = current.room, current.tailRoom
					b.rotating = current.gen != gen
				}
			case 5:
				n := 64 * (1 + rng.Int63n(3))
				if !b.rotating && b.fitsTail(n, rng.Intn(2) == 0) {
					b.tailOutstanding += n
					appended = append(appended, frame{n, gen, true})
				}
			case 6, 7, 8:
				n := 64 + 8*rng.Int63n(b.frameMax/2)
				if ok, _ := b.fits(n); ok {
					b.outstanding += n
					reserved += n
				}
			default:
				n := min(64+8*rng.Int63n(b.frameMax/8-8), b.frameMax)
				if n <= reserved {
					reserved -= n
					appended = append(appended, frame{n, gen, false})
				}
			}
			if b.room < 0 || b.tailRoom < 0 || b.outstanding < 0 || b.tailOutstanding < 0 {
				t.Fatalf("seed %d: %+v", seed, b)
			}
		}
	}
}

func TestALargeReservationIsGrantedOnceSegmentsAreReady(t *testing.T) {
	b := newBudget(defaultSegmentBytes, defaultPendingBytes)
	for b.room = b.usable; b.room >= 0; b.room -= 64 << 10 {
		b.spares = b.wanted()
		if ok, _ := b.fits(b.pendingMax); !ok {
			t.Fatalf("refused with %d bytes left and %d spare segments", b.room, b.spares)
		}
	}
}

type segmentModel struct {
	segment
	used int64
}

func segmentWith(b *budget) segment { return segment{room: b.usable, tailRoom: b.tail} }
