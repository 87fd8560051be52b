package reqbody

import (
	"slices"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

func TestPaceMovesTheDueTime(t *testing.T) {
	f := func(name string, minRate int64, due, now float64, n int, want float64) {
		t.Helper()
		if got := (pace{minRate}).after(at(due), at(now), n); !got.Equal(at(want)) {
			t.Errorf("%s: due after %v, want %v s", name, got.Sub(epoch).Seconds(), want)
		}
	}
	f("nothing came", 100, 30, 10, 0, 30)
	f("half the rate", 100, 30, 10, 500, 35)
	f("exactly the rate", 100, 30, 10, 1000, 40)
	f("fast bytes earn no more than the grace", 100, 30, 10, 1<<30, 40)
	f("a part of a second", 100, 20, 10, 50, 20.5)
	f("a rate above the bytes", 1<<50, 30, 10, 1<<20, 30.00000000093)
	f("no rate: each byte is worth the grace", 0, 11, 10, 1, 40)
	f("no rate, no byte", 0, 11, 10, 0, 11)
	if got := (pace{100}).begin(at(7)); !got.Equal(at(37)) {
		t.Errorf("begins due at %v", got)
	}
}

func TestBodiesWithTheLeastProgressYield(t *testing.T) {
	bodies := []progress{
		{at(60), 100}, // makes progress
		{at(40), 100},
		{at(31), 100}, // least progress
		{at(50), 0},   // holds nothing
		{at(40), 300}, // as slow, but holds more
		{at(59.5), 1000},
	}
	f := func(name string, need int64, rival float64, want ...int) {
		t.Helper()
		if got := chooseYielding(bodies, need, at(rival)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	f("one is enough", 50, 60, 2)
	f("exactly one", 100, 60, 2)
	f("two are needed, the larger of equals", 101, 60, 2, 4)
	f("all that are behind, not those within a second", 10_000, 60, 2, 4, 1)
	f("a slow one asks: only slower ones yield", 10_000, 40.5, 2)
	f("the slowest one asks: none is behind", 10_000, 31)
	f("nothing is needed", 0, 60)
	if got := chooseYielding(nil, 5, at(60)); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}

// TestSimulationHonestBodiesOutliveStalledOnes simulates the arithmetic in steps of
// 100 ms: a budget of 50 chunks, 100 bodies that stall after one chunk each, and
// honest bodies on slow and fast links that start continuously. Every honest body
// completes, and none yields while a stalled one holds a chunk.
func TestSimulationHonestBodiesOutliveStalledOnes(t *testing.T) {
	const (
		step    = 0.1
		limit   = 50 * chunkBytes
		size    = 4 * chunkBytes
		minRate = 256
	)
	type kind struct {
		name string
		rate float64 // bytes a second; 0 stalls after a chunk
	}
	slow, fast, stalled := kind{"slow", 1024}, kind{"fast", 1 << 20}, kind{"stalled", 0}
	type body struct {
		kind
		came float64
		progress
	}
	p := pace{minRate}
	var bodies []*body
	used := int64(0)
	begun, ended := map[string]int{}, map[string]int{}
	remove := func(b *body) {
		used -= b.held
		bodies = slices.DeleteFunc(bodies, func(x *body) bool { return x == b })
	}
	for i := range 20_000 {
		now := at(float64(i) * step)
		begin := func(k kind) {
			begun[k.name]++
			bodies = append(bodies, &body{kind: k, progress: progress{due: p.begin(now)}})
		}
		if i < 100 {
			begin(stalled)
		}
		if i%50 == 0 && i < 5000 {
			begin(fast)
		}
		if i%1000 == 0 && i < 5000 {
			begin(slow)
		}
		for _, b := range slices.Clone(bodies) {
			if !slices.Contains(bodies, b) {
				continue // it yielded in this step
			}
			came := b.rate * step
			if b.kind == stalled && b.came == 0 {
				came = chunkBytes
			}
			for b.came+came > float64(b.held) {
				if used+chunkBytes > limit {
					all := make([]progress, len(bodies))
					for j, x := range bodies {
						all[j] = x.progress
					}
					var out []*body
					for _, j := range chooseYielding(all, used+chunkBytes-limit, b.due) {
						out = append(out, bodies[j])
					}
					for _, x := range out {
						if x.kind != stalled {
							t.Fatalf("at %v a %s body yields after %v of %d bytes", now.Sub(epoch), x.name, x.came, size)
						}
						remove(x)
						ended["yielded"]++
					}
				}
				if used+chunkBytes > limit {
					break // it waits for another step
				}
				used += chunkBytes
				b.held += chunkBytes
			}
			if came = min(came, float64(b.held)-b.came); came > 0 {
				b.came += came
				b.due = p.after(b.due, now, int(came))
			}
			switch {
			case b.came >= size && b.kind != stalled:
				remove(b)
				ended[b.name]++
			case !b.due.After(now):
				if b.kind != stalled {
					t.Fatalf("a %s body is ended for its rate after %v bytes", b.name, b.came)
				}
				remove(b)
				ended["due"]++
			}
		}
	}
	if len(bodies) != 0 || used != 0 {
		t.Errorf("%d bodies never end, %d bytes are used", len(bodies), used)
	}
	if ended["slow"] != begun["slow"] || ended["fast"] != begun["fast"] || ended["yielded"]+ended["due"] != begun["stalled"] || ended["yielded"] == 0 {
		t.Errorf("begun %v, ended %v", begun, ended)
	}
}
