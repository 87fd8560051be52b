package storage_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// The life test does to a database what happens to one in years, at random, and beside it
// to a map of slices. Samples come in order, late, over others, and by imports; series
// are deleted; the head is cut, blocks are merged, days rolled up and folded, samples
// expire; snapshots are made, compared with the model of their moment, and gone on from;
// the database is stopped, killed, or loses power, and comes back with other options.
//
// After random operations everything must be as in the model: the samples, bit by bit;
// the lists of labels and series; the exemplars; and the answers to random queries, of
// samples as those of Prometheus' engine on the model, and of rollups as those of samples,
// from the cache and where samples have expired too. Retention is by time, by rules that
// change while the database runs, and by bytes; backups are made, and moments between them
// restored, compared, and gone on from. In the end the files are checked.
//
// An operation does not depend on those before it. So a life that fails is made short by
// leaving operations out, and printed.
//
//	TSDB_LIFE_SEED=17 go test ./storage -run TestLife              one life
//	TSDB_SOAK_SEEDS=50000 go test -timeout 0 ./storage -run TestLife  the first 50,000,
//	                                                               or from TSDB_SOAK_FROM on
//
// 500 lives take a minute and a half of a CPU. A run has the first lifeSeeds, always the
// same.
func TestLife(t *testing.T) {
	seeds := lifeSeedsOf(t)
	defer debug.SetGCPercent(debug.SetGCPercent(1000)) // a life holds little and makes much garbage
	var next atomic.Int64
	var total lifeCounts
	var mu sync.Mutex
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(seeds)) {
		all.Go(func() {
			var counts lifeCounts
			for !t.Failed() {
				i := int(next.Add(1)) - 1
				if i >= len(seeds) {
					break
				}
				live(t, seeds[i], &counts)
			}
			mu.Lock()
			defer mu.Unlock()
			total.add(&counts)
		})
	}
	all.Wait()
	t.Logf("%d lives of %d operations, the first of seed %d: %+v", len(seeds), lifeOperations, seeds[0], total)
	if n := int64(len(seeds)); !t.Failed() && n > 10 {
		total.enough(t, n)
	}
}

const (
	lifeOperations = 2000
	lifeSeeds      = 500
)

// lifeSeedsOf returns the seeds of a run.
func lifeSeedsOf(t *testing.T) (seeds []uint64) {
	number := func(name string) (uint64, bool) {
		s := os.Getenv(name)
		if s == "" {
			return 0, false
		}
		v, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		return v, true
	}
	if one, ok := number("TSDB_LIFE_SEED"); ok {
		return []uint64{one}
	}
	n := uint64(lifeSeeds)
	if testing.Short() {
		n = 5
	}
	if soak, ok := number("TSDB_SOAK_SEEDS"); ok {
		n = soak
	}
	from, _ := number("TSDB_SOAK_FROM")
	for i := range n {
		seeds = append(seeds, from+i)
	}
	return seeds
}

func live(t *testing.T, seed uint64, counts *lifeCounts) {
	o, ops := generateLife(seed, lifeOperations)
	at, err := runLife(o, ops, counts)
	if err == nil {
		return
	}
	short, shortErr := shrinkLife(o, ops[:min(at+1, len(ops))])
	t.Errorf("seed %d, operation %d: %v\nfails already with:\nopen %v\n%s%v", seed, at, err, o, script(short), shortErr)
}

func script(ops []lifeOp) string {
	var b strings.Builder
	for _, o := range ops {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

// shrinkLife leaves operations out of a life that fails, as long as it still does.
func shrinkLife(o lifeOptions, ops []lifeOp) ([]lifeOp, error) {
	_, err := runLife(o, ops, &lifeCounts{})
	if err == nil {
		return ops, fmt.Errorf("it does not fail again")
	}
	fails := func(ops []lifeOp) bool {
		_, err := runLife(o, ops, &lifeCounts{})
		return err != nil
	}
	for size := len(ops) / 2; size > 0; {
		smaller := false
		for from := 0; from < len(ops); {
			rest := append(append([]lifeOp(nil), ops[:from]...), ops[min(from+size, len(ops)):]...)
			if fails(rest) {
				ops, smaller = rest, true
			} else {
				from += size
			}
		}
		if size == 1 && !smaller {
			break
		}
		size = max(size/2, 1)
	}
	for i := 0; i+1 < len(ops); { // steps of the clock that follow each other
		if ops[i].kind == opAdvance && ops[i+1].kind == opAdvance {
			rest := withOp(without(ops, i+1), i, func(o *lifeOp) { o.by += ops[i+1].by })
			if fails(rest) {
				ops = rest
				continue
			}
		}
		i++
	}
	for i := range ops { // fewer bursts and selectors
		for k := len(ops[i].bursts) - 1; k >= 0 && len(ops[i].bursts) > 1; k-- {
			if rest := withOp(ops, i, func(o *lifeOp) { o.bursts = without(o.bursts, k) }); fails(rest) {
				ops = rest
			}
		}
		for k := len(ops[i].sets) - 1; k >= 0 && len(ops[i].sets) > 1; k-- {
			if rest := withOp(ops, i, func(o *lifeOp) { o.sets = without(o.sets, k) }); fails(rest) {
				ops = rest
			}
		}
		for k := range ops[i].bursts {
			for ops[i].bursts[k].n > 1 {
				rest := withOp(ops, i, func(o *lifeOp) {
					o.bursts = append([]burst(nil), o.bursts...)
					o.bursts[k].n /= 2
				})
				if !fails(rest) {
					break
				}
				ops = rest
			}
		}
	}
	_, err = runLife(o, ops, &lifeCounts{})
	return ops, err
}

func withOp(ops []lifeOp, i int, change func(*lifeOp)) []lifeOp {
	ops = append([]lifeOp(nil), ops...)
	change(&ops[i])
	return ops
}

func without[T any](list []T, i int) []T {
	return append(append([]T(nil), list[:i]...), list[i+1:]...)
}

// enough fails the test if little happened in n lives.
func (c *lifeCounts) enough(t *testing.T, n int64) {
	for _, one := range []struct {
		what    string
		got, of int64
	}{
		{"merges", c.merges, 10 * n}, {"steps of rollups", c.rolls, 2 * n}, {"answers", c.answers, 10 * n}, {"snapshots", c.snapshots, n / 2},
		{"databases gone on from", c.restores, n / 3}, {"backups", c.backups, n}, {"moments restored", c.restoredMoments, n / 10},
		{"reloads", c.reloads, n}, {"floors raised", c.expired, 5 * n}, {"floors raised by bytes", c.sizeExpired, n}, {"answers of hours alone", c.oldAnswers, n / 10},
		{"answers of six hours alone", c.sixAnswers, n / 100}, {"answers from the cache", c.cached, n},
	} {
		if one.got < one.of {
			t.Errorf("%d lives had %d %s, want %d", n, one.got, one.what, one.of)
		}
	}
}

func (c *lifeCounts) add(o *lifeCounts) {
	c.samples += o.samples
	c.refused += o.refused
	c.deleted += o.deleted
	c.merges += o.merges
	c.rolls += o.rolls
	c.snapshots += o.snapshots
	c.restores += o.restores
	c.restarts += o.restarts
	c.expired += o.expired
	c.answers += o.answers
	c.backups += o.backups
	c.moments += o.moments
	c.restoredMoments += o.restoredMoments
	c.reloads += o.reloads
	c.sizeExpired += o.sizeExpired
	c.oldAnswers += o.oldAnswers
	c.sixAnswers += o.sixAnswers
	c.oldDoubts += o.oldDoubts
	c.cached += o.cached
}
