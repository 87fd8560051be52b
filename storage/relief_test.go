package storage

import (
	"math/rand/v2"
	"testing"
)

func TestReliefOfAShortage(t *testing.T) {
	tests := []struct {
		name string
		s    supply
		want relief
	}{
		{"enough", supply{free: 100, needed: 100, cutFrees: 50, block: 1, pooled: 9, mergeable: 9}, reliefNone},
		{"cut first", supply{free: 20, needed: 32, cutFrees: 192, block: 7, pooled: 64, mergeable: 50}, reliefCut},
		{"block as large as the log", supply{free: 20, needed: 32, cutFrees: 7, block: 7, pooled: 64, mergeable: 50}, reliefPool},
		{"nothing in memory", supply{free: 20, needed: 32, mergeable: 50}, reliefMerge},
		{"pool before merges", supply{free: 20, needed: 32, pooled: 32, mergeable: 50}, reliefPool},
		{"room for the block comes first", supply{free: 5, needed: 32, cutFrees: 192, block: 7, pooled: 64}, reliefPool},
		{"or by a merge", supply{free: 5, needed: 32, cutFrees: 192, block: 7, mergeable: 4}, reliefMerge},
		{"in the end it is tried", supply{free: 5, needed: 32, cutFrees: 192, block: 7}, reliefCut},
		{"nothing helps", supply{free: 5, needed: 32, cutFrees: 3, block: 7}, reliefNone},
		{"a disk without a free byte", supply{needed: 32, pooled: 1}, reliefPool},
	}
	for _, c := range tests {
		if got := c.s.relief(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Relief on random disks: it ends, never takes more than there is, and when it
// ends without enough, nothing is left that would give space back.
func TestReliefEnds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 10_000 {
		s := supply{free: rng.Int64N(64), needed: rng.Int64N(128), cutFrees: rng.Int64N(8) * 32, block: rng.Int64N(128),
			pooled: rng.Int64N(3) * 32, mergeable: rng.Int64N(64)}
		begin, real := s, s.block/(1+rng.Int64N(8)) // the estimate is a bound
		failedCut := false
		steps := 0
		for ; steps < 10; steps++ {
			step := s.relief()
			switch {
			case step == reliefNone:
			case step == reliefCut && real > s.free:
				failedCut = true // ENOSPC; nothing else was left to try
				if s.pooled > 0 || s.mergeable > 0 {
					t.Fatalf("round %d: a cut without room in %+v", round, s)
				}
			case step == reliefCut:
				s.free += s.cutFrees - real
				s.needed = max(s.needed-begin.block, 0)
				s.cutFrees, s.block = 0, 0
			case step == reliefPool:
				s.free, s.pooled = s.free+s.pooled, 0
			case step == reliefMerge:
				s.free, s.mergeable = s.free+s.mergeable/4, 0
			}
			if step == reliefNone || failedCut {
				break
			}
		}
		if steps == 10 {
			t.Fatalf("round %d: no end in %+v", round, begin)
		}
		if s.free < s.needed && !failedCut && (s.pooled > 0 || s.mergeable > 0 || s.cutFrees > s.block) {
			t.Fatalf("round %d: given up in %+v, from %+v", round, s, begin)
		}
	}
}
